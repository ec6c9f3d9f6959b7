"""Every stored file, damaged in every way, under every command: rebuilt and said, or left out and said.

``make test-faults`` runs the whole matrix and prints the counts of its cells; ``make test`` runs a sample.
"""

import contextlib
import encodings.cp437  # noqa: F401 (zipfile asks for it by name)
import io
import itertools
import json
import logging
import os
import re
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tsdistill import cli
from tsdistill.store.listing import list_runs

WHOLE = bool(os.environ.get("TSDISTILL_LONG"))
EVERY = 1 if WHOLE else 211
"""Of the matrix's cells, in an order that mixes files, damages and commands, one in so many is run."""
NOBODY = 65534
TINY = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=0.2", "saliency.perturbations=4"),
)
STUDENT = (*TINY, "student=lstm_8", "training.epochs=1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "report": ("report", "figures=false"),
    "runs": ("runs",),
    "verify": ("runs", "verify=true"),
    "clean": ("clean",),
    "evaluate": ("evaluate", "series=2", "groups=[cost]"),
    "explain": ("explain", "averaged=1"),
    "train-teacher": ("train-teacher", *TINY),
    "distill": ("distill", *STUDENT, "method=tsd"),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lock_up(path: Path) -> None:
    os.chown(path, 0, 0)
    path.chmod(0o600)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "halved": halve,
    "emptied": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "folder": replace_by_folder,
    "another's": lambda path: os.chown(path, 0, 0),
    "unreadable": lock_up,
}
AS_NOBODY = ("another's", "unreadable")
"""Damages that root does not notice: the command runs as nobody."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, its pool and maps, and two students."""
    out = tmp_path_factory.mktemp("faults") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [])
        patch.chdir(out.parent)
        assert cli.run("train-teacher", (*TINY, f"out={out}")) == 0
        for method in ("kd", "tsd"):
            assert cli.run("distill", (*STUDENT, f"method={method}", f"out={out}")) == 0
        if WHOLE:  # nobody may not be allowed to import what root's interpreter has not imported yet
            for words in COMMANDS.values():
                assert (
                    cli.run(words[0], (*words[1:], f"out={shutil.copytree(out, out.parent / words[0])}")) == 0
                )
                shutil.rmtree(out.parent / words[0])
    torch.use_deterministic_algorithms(False)
    return out


def in_fork(folder: Path, as_nobody: bool, words: tuple[str, ...]) -> tuple[int, str]:
    """Run a command in a forked process; its status, and all that it said."""
    said = folder / "said.txt"
    child = os.fork()
    if child == 0:
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        status = 99
        try:
            status = _run(folder, as_nobody, words)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, said.read_text(errors="replace")


def _run(folder: Path, as_nobody: bool, words: tuple[str, ...]) -> int:
    sys.stdout, sys.stderr = (io.TextIOWrapper(open(n, "wb", 0), write_through=True) for n in (1, 2))  # noqa: SIM115, PTH123
    from tsdistill.console import console

    console.file = sys.stdout
    logging.getLogger().handlers = [logging.StreamHandler(sys.stderr)]
    if as_nobody:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.chdir(folder)
    os.environ["HOME"] = str(folder)
    return cli.run(words[0], (*words[1:], f"out={folder}/out"))


def cells(stored: Path) -> Iterator[tuple[Path, str, str]]:
    kinds = ("runs", "teachers", "pools", "maps")
    files = sorted(path.relative_to(stored) for kind in kinds for path in (stored / kind).rglob("*.*"))
    whole = list(itertools.product(files, DAMAGES, COMMANDS))
    yield from whole[::EVERY]


def figures(out: Path) -> dict[str, Any]:
    results = list_runs(out).results
    return {run["id"]: json.dumps([run["test"], run["teacher_test"], run["settings"]]) for run in results}


SAID = re.compile(r"damaged|left out|set aside|cannot read|cannot write|cannot be read|can't be read")


def test_no_damage_gives_a_wrong_number_a_traceback_or_a_lasting_failure(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = figures(stored)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for number, (file, damage, command) in enumerate(cells(stored)):
        if damage in AS_NOBODY and os.geteuid() != 0:
            counts["skipped: only root can give a file to another user"] += 1
            continue
        folder = tmp_path / str(number)
        shutil.copytree(stored, folder / "out")
        _open_up(tmp_path, folder, damage in AS_NOBODY)
        DAMAGES[damage](folder / "out" / file)
        outcome = _outcome(folder, command, damage, right)
        counts[outcome] += 1
        if outcome.startswith("WRONG"):
            wrong.append(f"{file} {damage} {command}: {outcome}")
        shutil.rmtree(folder)
    with capsys.disabled():
        print("\ncells:", *(f"{count} {outcome}" for outcome, count in sorted(counts.items())), sep="\n  ")
    assert not wrong, "\n".join(wrong)


def _open_up(top: Path, folder: Path, to_nobody: bool) -> None:
    """Let nobody reach a folder, and own what lies in it."""
    if not to_nobody:
        return
    for parent in (top, *itertools.takewhile(lambda path: path != Path("/tmp"), top.parents)):
        with contextlib.suppress(PermissionError):
            parent.chmod(parent.stat().st_mode | 0o055)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def _outcome(folder: Path, command: str, damage: str, right: dict[str, Any]) -> str:
    as_nobody = damage in AS_NOBODY
    status, said = in_fork(folder, as_nobody, COMMANDS[command])
    if "Traceback" in said or "internal error" in said or status not in (0, 1, 2):
        return f"WRONG: status {status}: {said[-300:]}"
    found = figures(folder / "out")
    changed = [run for run, values in found.items() if right.get(run) not in (None, values)]
    if changed:
        return "WRONG: another number"
    if status and not SAID.search(said):
        return f"WRONG: status {status} without a reason: {said[-300:]}"
    if status and command in ("train-teacher", "distill") and damage != "unreadable":
        again, said = in_fork(folder, as_nobody, COMMANDS[command])
        return f"WRONG: fails for ever: {said[-300:]}" if again else "rebuilt at the second call"
    if SAID.search(said):
        return "refused or left out, and said" if status else "rebuilt or left out, and said"
    return "not concerned"
