"""Ctrl-C and SIGTERM: what is under way first writes down how far it has come, then the process ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HEEDED = (signal.SIGINT, signal.SIGTERM)

_asked: signal.Signals | None = None
_deferring = 0


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
def heeded() -> Iterator[None]:
    """Let both signals raise ``Stopped`` in the meantime, at once or at the end of what is ``deferred``.

    Elsewhere than in the main thread, which alone may handle signals, nothing changes.
    """
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in HEEDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked = None


@contextmanager
def deferred() -> Iterator[None]:
    """Let the first signal wait until this ends; a second one does not wait."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
    if asked_to_stop() and not _deferring:
        stop()


def _handle(number: int, frame: FrameType | None) -> None:
    global _asked
    again, _asked = _asked is not None, signal.Signals(number)
    if again or not _deferring:
        stop()
