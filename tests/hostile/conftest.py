"""Work on hostile input runs in a forked process whose time and memory are bounded."""

import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tsdistill.errors import TsdistillError

MOST_BYTES = 2**30
"""Memory that hostile input may take beyond what the process has."""
MOST_SECONDS = 30
"""Seconds of the processor's time."""
LONGEST_WAIT = 600
"""Seconds by the clock; a busy machine may need many."""

Bounded = Callable[[Callable[[], object]], str]


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that every attack tries to overwrite, create or remove."""
    path = tmp_path / "canary"
    path.write_text("untouched")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY", str(path))
    return path


@pytest.fixture
def bounded(tmp_path: Path) -> Bounded:
    """Run some work; returns its result as text, the message of its TsdistillError, or what escaped.

    A process that takes more than its time is killed, and its work has then "escaped".
    """

    def run(work: Callable[[], object]) -> str:
        told = tmp_path / ".told"
        told.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _limited(work, told)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return told.read_text(errors="surrogateescape") if status == 0 else f"escaped: status {status}"

    return run


def _limited(work: Callable[[], object], told: Path) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.alarm(LONGEST_WAIT)  # for what waits without end
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    status = 1
    try:
        try:
            result = work()
            found = "done" if result is None else str(result)
        except TsdistillError as error:
            found = str(error)
        except BaseException:
            found = f"escaped: {traceback.format_exc()}"
        told.write_text(found, errors="surrogateescape")
        status = 0
    finally:
        os._exit(status)
