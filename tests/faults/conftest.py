"""Commands in forked processes: their settings are composed once, and each call is a fork of that process."""

import gc
import io
import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tsdistill import cli
from tsdistill.config import code
from tsdistill.runs.session import _load

Words = tuple[str, ...]
NOBODY = 65534
TINY: Words = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=0.2", "saliency.perturbations=4"),
)
STUDENT: Words = (*TINY, "student=lstm_8", "training.epochs=1")
COMMANDS: Mapping[str, Words] = {
    "report": ("report", "figures=false"),
    "runs": ("runs",),
    "verify": ("runs", "verify=true"),
    "clean": ("clean",),
    "evaluate": ("evaluate", "series=2", "groups=[cost]"),
    "explain": ("explain", "averaged=1"),
    "train-teacher": ("train-teacher", *TINY),
    "distill": ("distill", *STUDENT, "method=tsd"),
}
MAKERS: Mapping[str, Words] = {
    "train-teacher": COMMANDS["train-teacher"],
    "tsd": COMMANDS["distill"],
    "kd": ("distill", *STUDENT, "method=kd"),
    "fails": ("distill", "-m", *STUDENT, "method=none", "seed=5", "training.lr=1e30", "training.epochs=9"),
}
"""The commands that made what is stored; the last one's run diverges and leaves a note."""


@pytest.fixture(scope="session")
def forked() -> SimpleNamespace:
    """What this file has for tests."""
    return SimpleNamespace(
        commands=COMMANDS, makers=MAKERS, nobody=NOBODY, serve=Server, in_fork=in_fork, guarded=_guarded
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A teacher, its pool and maps, two students, and the note of a failed one; all caches are filled."""
    out = tmp_path_factory.mktemp("faults") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [])
        patch.chdir(out.parent)
        without_pictures(patch)
        for name, words in MAKERS.items():
            assert cli.run(words[0], (*words[1:], "out=out")) == (name == "fails")
        shutil.rmtree(out / "sweeps", ignore_errors=True)
        assert cli.run("runs", ("out=out",)) == 0
        _warm_up(out)
        yield out
    torch.use_deterministic_algorithms(False)


def _warm_up(out: Path) -> None:
    """Run every command once on a copy: each fork then finds libraries and compiled kernels in its memory.

    To load them anew took most of a cell's time.
    """
    copy = shutil.copytree(out, out.with_name("warm"))
    for words in COMMANDS.values():
        assert cli.run(words[0], (*words[1:], f"out={copy}")) == 0
    gc.collect()
    gc.freeze()


def without_pictures(patch: pytest.MonkeyPatch) -> None:
    """Draw nothing: pictures come after all that is read, and take most of the time."""
    patch.setattr("tsdistill.runs.explain.draw_strips", lambda *args, **kwargs: None)
    patch.setattr("tsdistill.runs.explain.save", lambda *args, **kwargs: None)


class Server:
    """One command with its settings; each call runs it in a fork, from where its work begins.

    Args:
        words: the command and its overrides.
    """

    def __init__(self, words: Words) -> None:
        asked, self._ask = os.pipe()
        self._answer, answered = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._ask)
            os.close(self._answer)
            _guarded(lambda: _serve(words, asked, answered))
        os.close(asked)
        os.close(answered)

    def __call__(self, folder: Path, as_nobody: bool = False, anew: bool = False) -> tuple[int, str]:
        """Run the command on ``folder/out``; its status, and all that it said.

        Args:
            folder: where it runs.
            as_nobody: whether as the user nobody.
            anew: whether sources that this process knows already are looked up in ``out/code`` all the same.
        """
        os.write(self._ask, json.dumps([str(folder), as_nobody, anew]).encode() + b"\n")
        status = int(os.read(self._answer, 16))
        return status, (folder / "said.txt").read_text(errors="replace")

    def close(self) -> None:
        """End the process."""
        os.write(self._ask, b"\n")
        os.close(self._ask)
        os.close(self._answer)
        os.waitpid(self.pid, 0)


def _serve(words: Words, asked: int, answered: int) -> int:
    """Compose a command, wait where its work begins, and fork there for each folder that is asked for."""
    task, server = cli._task, os.getpid()

    def waiting(command: str) -> Callable[[Any], None]:
        work = task(command)

        def job(conf: Any) -> None:
            for line in iter(os.fdopen(asked).readline, "\n"):
                folder, as_nobody, anew = json.loads(line)
                child = os.fork()
                if child == 0:
                    enter(Path(folder), as_nobody, anew)
                    return work(conf)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                os.write(answered, str(status).encode())
            return None

        return job

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_task", waiting)
        status = cli.run(words[0], (*words[1:], "out=out"))
    return 0 if os.getpid() == server else status


def in_fork(words: Words, folder: Path) -> tuple[int, str]:
    """Run a whole command in a fork; its status, and all that it said."""
    child = os.fork()
    if child == 0:
        enter(folder)
        _guarded(lambda: cli.run(words[0], words[1:]))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, (folder / "said.txt").read_text(errors="replace")


def _guarded(work: Callable[[], int]) -> None:
    """End this process with the status that the work returns."""
    status = 99
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def enter(folder: Path, as_nobody: bool = False, anew: bool = False) -> None:
    """Make this process one of a user's who works in a folder and whose output goes to ``said.txt``."""
    said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout, sys.stderr = (io.TextIOWrapper(open(n, "wb", 0), write_through=True) for n in (1, 2))  # noqa: SIM115, PTH123
    from tsdistill.console import console

    console.file = sys.stdout
    logging.getLogger().handlers = [logging.StreamHandler(sys.stderr)]
    _load.cache_clear()
    if anew:
        code._memory = code._Memory()
    if as_nobody:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.chdir(folder)
    os.environ["HOME"] = str(folder)
