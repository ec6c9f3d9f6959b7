"""Locks save work: two processes that want the same thing make it once. They decide nothing that is written.

What is written is decided by a rename alone (see :mod:`tsdistill.store.artefact`), so on network filesystems
without working locks two processes may do the same work twice, but never spoil each other's. What is removed
is decided by a lock that is held (:func:`locked_if_free`), so without locks nothing is removed.
"""

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import cannot_write, set_aside
from tsdistill.store.formats import parse_json
from tsdistill.store.temporary import is_lacking, lock_at

T = TypeVar("T")


class BusyError(Exception):
    """Another process is making what this one needs.

    Attributes:
        kind: what it makes: ``teachers``, ``pools``, ``maps`` or ``runs``.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder}: another process is making it")
        self.kind = folder.parents[1].name


_impatient = False


@contextmanager
def impatient() -> Iterator[None]:
    """Raise ``BusyError`` in the meantime where this process would have to wait for a lock."""
    global _impatient
    before, _impatient = _impatient, True
    try:
        yield
    finally:
        _impatient = before


@contextmanager
def locked(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of an artefact, ``<out>/locks/<kind>-<key>.lock``; a process that ends gives it back.

    Args:
        folder: the artefact's folder, ``<out>/<kind>/<dataset>/<key>``.
        waiting: called once if another process holds the lock, before waiting for it without limit.

    Raises:
        TsdistillError: the lock's folder can't be written.
        BusyError: another process holds the lock, and this one is ``impatient``.
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
            if _impatient:
                raise BusyError(folder) from None
            if waiting is not None:
                waiting()
            lock.acquire(poll_interval=0.1)
    except (NotImplementedError, OSError) as error:
        if not is_lacking(error):
            raise cannot_write(path, error) from error  # type: ignore[arg-type]
        logging.getLogger("tsdistill").debug("%s: no locks on this filesystem", path.parent)
        yield
        return
    _sign(path)
    try:
        yield
    finally:
        lock.release()


def _sign(path: Path) -> None:
    """Write into a lock that is held who holds it and since when: for display alone."""
    note = {"host": platform.node(), "pid": os.getpid(), "since": time.time()}
    with suppress(OSError):
        path.write_text(json.dumps(note), encoding="utf-8")


@dataclass(frozen=True)
class Holder:
    """Who is making an artefact.

    Attributes:
        host: name of the machine.
        since: when it began, in seconds of the Unix epoch, by its own clock; None where it didn't say.
    """

    host: str
    since: float | None


def holder(folder: Path) -> Holder | None:
    """Who is making an artefact now; None if nobody is. Nothing is written.

    Raises:
        NotImplementedError: the file system has no locks, or this process may not try them.
    """
    return _holder(_lock_of(folder))


def holders(out: Path, kind: str) -> Iterator[tuple[str, Holder]]:
    """Keys of the artefacts of a kind that are being made now, with who makes them. Nothing is written.

    Raises:
        NotImplementedError: see ``holder``.
    """
    for path in sorted((out / "locks").glob(f"{kind}-*.lock")):
        found = _holder(path)
        if found is not None:
            yield path.name.removeprefix(f"{kind}-").removesuffix(".lock"), found


def _holder(path: Path) -> Holder | None:
    from filelock import Timeout

    if not path.is_file():
        return None
    try:
        with lock_at(path).acquire(timeout=0):
            return None
    except Timeout:
        pass
    except (NotImplementedError, OSError) as error:
        raise NotImplementedError(f"{path}: can't be tried") from error
    try:
        note = parse_json(path.read_bytes(), path.name)
        return Holder(str(note["host"]), float(note["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder("an unknown machine", None)


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
