"""Locks save work: two processes that want the same thing make it once. They decide nothing that is written.

What is written is decided by a rename alone (see :mod:`tsdistill.store.artefact`), so on network filesystems
without working locks two processes may do the same work twice, but never spoil each other's. What is removed
is decided by a lock that is held (:func:`locked_if_free`), so without locks nothing is removed.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import cannot_write, set_aside
from tsdistill.store.temporary import is_lacking, lock_at

T = TypeVar("T")


@contextmanager
def locked(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of an artefact, ``<out>/locks/<kind>-<key>.lock``; a process that ends gives it back.

    Args:
        folder: the artefact's folder, ``<out>/<kind>/<dataset>/<key>``.
        waiting: called once if another process holds the lock, before waiting for it without limit.

    Raises:
        TsdistillError: the lock's folder can't be written.
    """
    from filelock import Timeout

    path = _lock_of(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            set_aside(path, "a folder in the place of a file")
        lock = lock_at(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting is not None:
                waiting()
            lock.acquire(poll_interval=0.1)
    except (NotImplementedError, OSError) as error:
        if not is_lacking(error):
            raise cannot_write(path, error) from error  # type: ignore[arg-type]
        logging.getLogger("tsdistill").debug("%s: no locks on this filesystem", path.parent)
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _lock_of(folder: Path) -> Path:
    return folder.parents[2] / "locks" / f"{folder.parents[1].name}-{folder.name}.lock"


@contextmanager
def locked_if_free(folder: Path) -> Iterator[bool]:
    """Hold the lock of an artefact if no other process does; yields whether it is held.

    Raises:
        TsdistillError: the lock's folder can't be written, or its filesystem has no locks.
    """
    from filelock import Timeout

    path = _lock_of(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            set_aside(path, "a folder in the place of a file")
        lock = lock_at(path)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except (NotImplementedError, OSError) as error:
        if not is_lacking(error):
            raise cannot_write(path, error) from error  # type: ignore[arg-type]
        raise TsdistillError(
            f"{path.parent}: this filesystem has no locks, so what is in use can't be told: "
            "nothing is removed from here on"
        ) from error
    try:
        yield True
    finally:
        lock.release()


def made_once(
    folder: Path,
    read: Callable[[], T | None],
    make: Callable[[], T],
    waiting: Callable[[], None] | None = None,
) -> T:
    """Read an artefact; if there is none, make it, or wait for the process that is making it.

    Args:
        folder: the artefact's folder.
        read: returns the artefact or None.
        make: makes, writes and returns it.
        waiting: see :func:`locked`.
    """
    found = read()
    if found is not None:
        return found
    with locked(folder, waiting):
        found = read()
        return make() if found is None else found
