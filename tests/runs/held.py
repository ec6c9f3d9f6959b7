"""Another process that holds the lock of something stored."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tsdistill.store.locks import locked


def _hold(folder: Path, connection: Connection) -> None:
    with locked(folder):
        connection.send(None)
        connection.recv()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Let another process hold the lock of a folder in the meantime."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(folder, theirs))
    process.start()
    try:
        ours.recv()
        yield
    finally:
        ours.send(None)
        process.join()
