"""Ctrl-C and SIGTERM: what is under way first writes down how far it has come, then the process ends.

The processes of a sweep's launcher are asked to do the same, and are waited for.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

HEEDED = (signal.SIGINT, signal.SIGTERM)
GRACE = 25.0
"""Seconds that a launcher's processes have to end; a cluster's scheduler gives some 30 before it kills."""
LINGER = 2.0
"""Seconds that such a process stays after its work, since the launcher kills the others once one is gone."""

ONE_PRESS = 1.0
"""Seconds within which a further signal is the same request: a terminal's Ctrl-C reaches a process of a sweep
itself, and again through the process that started it."""

_asked: signal.Signals | None = None
_asked_at = 0.0
_deferring = 0
_heeding = False
_by_itself = False


class Stopped(KeyboardInterrupt):
    """A signal ends this process.

    Attributes:
        status: the exit status that tells it, 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def asked_to_stop() -> bool:
    """Whether a signal waits for what is under way to end."""
    return _asked is not None


def stop() -> None:
    """End this process as the signal asks."""
    assert _asked is not None
    raise Stopped(_asked)


@contextmanager
def heeded(*, once: bool = False) -> Iterator[None]:
    """Let both signals raise ``Stopped`` in the meantime, at once or at the end of what is ``deferred``.

    Elsewhere than in the main thread, which alone may handle signals, nothing changes.

    Args:
        once: after a signal was heeded, ignore further ones for good: the process is about to end.
    """
    global _asked, _heeding
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in HEEDED}
    outer, _heeding = _heeding, True
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if once and _asked is not None else handler)
        _asked, _heeding = None, outer


def end_by_itself() -> None:
    """Let this process end at once when asked to: its launcher does not kill the others once it is gone.

    What reaches it between jobs ends it; Ctrl-C does not, since whoever started it passes that on as SIGTERM.
    """
    global _by_itself
    _by_itself = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


@contextmanager
def heeded_by_worker() -> Iterator[None]:
    """Let a launcher's process end after what it does in the meantime, if a signal asked for that.

    In the command's own process, which heeds signals already, and in other threads nothing changes.
    """
    if _heeding or threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        with heeded(once=True):
            yield
    except Stopped as stopped:
        _end(stopped.status)
    if not _by_itself:
        for number in HEEDED:  # an idle process that died at once would take the others with it
            signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    _end(128 + number)


def _end(status: int) -> None:
    for number in HEEDED:  # a terminal's signal comes again from the process that started this one
        signal.signal(number, signal.SIG_IGN)
    if _by_itself:
        raise SystemExit(status)
    time.sleep(LINGER)
    os._exit(status)


@contextmanager
def deferred() -> Iterator[None]:
    """Let the first signal wait until this ends; a second one, ``ONE_PRESS`` later, does not wait."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
    if asked_to_stop() and not _deferring:
        stop()


def _handle(number: int, frame: FrameType | None) -> None:
    global _asked, _asked_at
    again, now = _asked is not None, time.monotonic()
    if again and now - _asked_at < ONE_PRESS:
        return
    if not again:
        _asked, _asked_at = signal.Signals(number), now
    if again or not _deferring:
        if not again:
            _end_children()
        stop()


def _end_children() -> None:
    """End a launcher's processes as SIGTERM does, and wait for them."""
    children = [child for child in multiprocessing.active_children() if child.pid is not None]
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)  # type: ignore[arg-type]
    until = time.monotonic() + GRACE
    for child in children:
        child.join(max(0.0, until - time.monotonic()))
