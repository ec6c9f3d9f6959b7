"""Every stored file, damaged in every way, under every command: rebuilt and said, or left out and said.

``make test-faults`` runs the whole matrix and prints the counts of its cells; ``make test`` runs a sample.
"""

import contextlib
import csv
import encodings.cp437  # noqa: F401 (zipfile asks for it by name)
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from tsdistill.store.listing import list_runs
from tsdistill.store.manifest import BROKEN, hold

WHOLE = bool(os.environ.get("TSDISTILL_LONG"))
EVERY = 1 if WHOLE else 211
"""Of the matrix's cells, in an order that mixes files, damages and commands, one in so many is run."""
ARTEFACTS = ("runs", "teachers", "pools", "maps")
TOUCHED = {
    **dict.fromkeys(("report", "runs"), ("runs",)),
    "verify": ARTEFACTS,
    **dict.fromkeys(("evaluate", "explain"), ("runs", "teachers")),
    "train-teacher": ("teachers", "pools", "maps"),
}
"""What a command reads, and so has to say if it is damaged."""


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes()) or bytearray(1)
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


SHORTENED = ("halved", "emptied")
"""Damages that leave an empty file, such as a lock, as it is."""


class Cell(NamedTuple):
    """A file, what is done to it, and the command that meets it."""

    file: Path
    damage: str
    command: str

    @property
    def kind(self) -> str:
        return self.file.parts[0]

    @property
    def key(self) -> str:
        """The artefact's key, or the file's name."""
        return (self.file.parts[2] if self.kind in ARTEFACTS else self.file.name).partition(".")[0]

    @property
    def is_read(self) -> bool:
        """Whether the command reads what is damaged, and so has to say it."""
        return self.kind in TOUCHED.get(self.command, ())

    @property
    def is_harmless(self) -> bool:
        """Whether nothing is lost: a file can be read all the same, or nobody misses it."""
        return self.damage == "another's" or (self.damage == "missing" and self.file.suffixes[0] == ".failed")


def cells(stored: Path, commands: Iterable[str]) -> list[Cell]:
    """The matrix, or the sample of it."""
    files = sorted(path.relative_to(stored) for path in stored.rglob("*") if path.is_file())
    whole = (Cell(*each) for each in itertools.product(files, DAMAGES, commands))
    changed = [cell for cell in whole if (stored / cell.file).stat().st_size or cell.damage not in SHORTENED]
    return changed[::EVERY]


# --- what a command left ---


def numbers(out: Path) -> dict[str, str]:
    """Every number that can be read from an output folder, by what it belongs to."""
    found = {}
    for run in list_runs(out).results:
        lasting = {name: value for name, value in run.items() if name not in ("timing", "environment")}
        found[f"run {run['id']}"] = json.dumps(lasting)
    for path in out.glob("*/*/*/*.safetensors"):
        with contextlib.suppress(*BROKEN):
            if "." not in path.parent.name:
                hold(path.parent)
                found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in out.glob("report/runs.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        found |= {f"{row['id']} {k}": _plain(v) for row in rows for k, v in row.items() if v and "." in k}
    for path in out.glob("explain/**/maps.npz"):
        with np.load(path) as stored:
            for name, maps in zip(stored["names"], stored["maps"], strict=True):
                found[f"map of {name}"] = hashlib.sha256(maps.tobytes()).hexdigest()
    return found


def _plain(text: str) -> str:
    """A number however it is written: a whole one becomes 1.0 in a column that has gaps."""
    with contextlib.suppress(ValueError):
        return str(float(text))
    return text


def runs_of(out: Path) -> set[str]:
    """Ids of the runs that are listed, whole or as damaged, and of failed ones."""
    listing = list_runs(out)
    whole = {run["id"] for run in (*listing.results, *listing.failures)}
    return whole | {each.path.name.partition(".")[0] for each in listing.damaged}


SAID = re.compile(r"(?<!0 )damaged|left out|set aside|can(not|'t) (read|write|be read)|no longer stored")
"""How a message says that something is not as it was."""
NAMED = re.compile(r"run again: (tsdistill .+)|`(tsdistill distill [^`]+)`")
REPEAT = re.compile(r"repeat the command that made it|distil it again|distil its students again")
PERMISSIONS = re.compile(r"check the permissions|Permission denied")


class WrongError(Exception):
    """What a cell shows and must not."""


class Bench:
    """A place to try cells: servers of all commands, and what each leaves where nothing is damaged."""

    def __init__(self, stored: Path, top: Path, forked: SimpleNamespace) -> None:
        self.stored, self.top, self.forked = stored, top, forked
        self.servers = {name: forked.serve(words) for name, words in forked.commands.items()}
        self.runs = runs_of(stored)
        self.allowed = {command: self._allowed(command) for command in self.servers}

    def _allowed(self, command: str) -> set[tuple[str, str]]:
        folder = self.copied(f"sound-{command}", as_nobody=False)
        before = numbers(folder / "out")
        status, said = self.servers[command](folder)
        assert status == 0 and not SAID.search(said), said
        after = numbers(folder / "out")
        shutil.rmtree(folder)
        return {*before.items(), *after.items()}

    def copied(self, name: str, as_nobody: bool) -> Path:
        """A copy of what is stored, nobody's if a command shall run as nobody."""
        folder = self.top / name
        shutil.copytree(self.stored, folder / "out")
        for path in (folder, *folder.rglob("*")) if as_nobody else ():
            os.chown(path, self.forked.nobody, self.forked.nobody)
        return folder

    def outcome(self, cell: Cell, number: int) -> str:
        """Damage, run, and look; what is wrong begins with WRONG."""
        as_nobody = cell.damage in AS_NOBODY
        if as_nobody and os.geteuid() != 0:
            return "skipped: only root can give a file to another user"
        folder = self.copied(str(number), as_nobody)
        DAMAGES[cell.damage](folder / "out" / cell.file)
        try:
            told = self._first(cell, folder, as_nobody)
        except WrongError as wrong:
            return f"WRONG: {wrong}"
        shutil.rmtree(folder)
        return told

    def _first(self, cell: Cell, folder: Path, as_nobody: bool) -> str:
        status, said = self._run(cell, folder, as_nobody)
        self._refuse_silence(cell, folder, said)
        if status == 0:
            return "rebuilt or left out, and said" if SAID.search(said) else "not concerned"
        if not SAID.search(said):
            raise WrongError(f"status {status} without a reason: {said[-300:]}")
        return f"refused or left out, and said; heals by {self._healed(cell, folder, as_nobody, said)}"

    def _run(self, cell: Cell, folder: Path, as_nobody: bool) -> tuple[int, str]:
        """Run the cell's command; nothing that it leaves or says may be wrong."""
        status, said = self.servers[cell.command](folder, as_nobody, anew=cell.kind == "code")
        if "Traceback" in said or "internal error" in said or status not in (0, 1, 2):
            raise WrongError(f"status {status}: {said[-600:]}")
        found = numbers(folder / "out")
        if other := [
            name for name, value in found.items() if (name, value) not in self.allowed[cell.command]
        ]:
            raise WrongError(f"another number of {', '.join(other)}")
        return status, said

    def _refuse_silence(self, cell: Cell, folder: Path, said: str) -> None:
        """Refuse what is missing without a word, and what was damaged, read, and not told."""
        if not cell.is_harmless:
            for run in self.runs - runs_of(folder / "out"):
                raise WrongError(f"nothing lists run {run} any more")
        if cell.is_read and not cell.is_harmless and not (cell.key in said and SAID.search(said)):
            raise WrongError(f"nothing said of {cell.key}: {said[-300:]}")
        if cell.command == "clean":
            for line in said.splitlines():
                if re.match("(run|teacher|pool|map|failed run) ", line) and cell.key not in line:
                    raise WrongError(f"would remove what is whole: {line}")

    def _healed(self, cell: Cell, folder: Path, as_nobody: bool, said: str) -> str:
        """How the command succeeds again: by itself, or after what its message says."""
        status, said = self._run(cell, folder, as_nobody)
        if status == 0:
            return "itself"
        way = self._mend(cell, folder, said)
        status, again = self._run(cell, folder, as_nobody)
        if status:
            raise WrongError(f"fails for ever, also after {way}: {said[-300:]} ... {again[-300:]}")
        return way

    def _mend(self, cell: Cell, folder: Path, said: str) -> str:
        """Do what a message says."""
        if cell.damage in AS_NOBODY and PERMISSIONS.search(said):
            path = folder / "out" / cell.file
            os.chown(path, self.forked.nobody, self.forked.nobody)
            path.chmod(0o644)
            return "the permissions"
        named = [one or other for one, other in NAMED.findall(said)]
        for command in named:
            self.forked.in_fork((*shlex.split(command)[1:], *LOCAL), folder)
        if named:
            return "the command that is named"
        if REPEAT.search(said):
            for words in self.forked.makers.values():
                self.forked.in_fork((*words, "out=out"), folder)
            return "the command that made it"
        raise WrongError(f"no way out is named: {said[-300:]}")


LOCAL = ("dataset.download=false", "hardware=cpu")
"""Settings that a named command gets besides."""


# --- the matrix ---


def work(cells: Sequence[tuple[int, Cell]], stored: Path, top: Path, forked: SimpleNamespace) -> int:
    """Try some cells, and write a line on each into ``outcomes.jsonl``."""
    top.mkdir()
    for parent in itertools.takewhile(lambda path: path != Path("/tmp"), (top, *top.parents)):
        with contextlib.suppress(PermissionError):  # nobody must get here
            parent.chmod(parent.stat().st_mode | 0o055)
    bench = Bench(stored, top, forked)
    with (top / "outcomes.jsonl").open("w", buffering=1) as file:
        for number, cell in cells:
            began = time.monotonic()
            outcome = bench.outcome(cell, number)
            seconds = round(time.monotonic() - began, 2)
            print(json.dumps([str(cell.file), cell.damage, cell.command, outcome, seconds]), file=file)
    for server in bench.servers.values():
        server.close()
    return 0


def test_no_damage_gives_a_wrong_number_a_traceback_or_a_lasting_failure(
    stored: Path, forked: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = list(enumerate(cells(stored, forked.commands)))
    many = len(os.sched_getaffinity(0)) if WHOLE else 1
    children = []
    for n in range(many):
        if (child := os.fork()) == 0:
            forked.guarded(lambda n=n: work(wanted[n::many], stored, tmp_path / f"worker-{n}", forked))
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    lines = [line for path in tmp_path.glob("*/outcomes.jsonl") for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    counts = Counter(outcome.split(": ")[0] for *_, outcome, _ in found)
    with capsys.disabled():
        print(f"\n{len(found)} cells:", *(f"{n:5} {told}" for told, n in sorted(counts.items())), sep="\n  ")
    assert not any(statuses) and len(found) == len(wanted)
    wrong = [
        f"{file} {damage} {command}: {told}" for file, damage, command, told, _ in found if "WRONG" in told
    ]
    assert not wrong, "\n".join(wrong)
