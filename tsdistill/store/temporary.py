"""What is being written: it lies beside its final place under a name of its own, and its writer holds a lock.

Whether the writer of a half-written thing still lives is decided by that lock alone: the system gives it back
when the process ends, however it ends, on whatever machine or in whatever container. Neither process ids nor
host names nor clocks are asked, because containers share the former and machines differ in the latter. Where
the file system has no locks nothing half-written is ever removed.
"""

import errno
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"
OLD = "-old"
_name = re.compile(r"(?P<base>\.(?P<final>.+)\.tmp-[0-9a-f]{32})(-old|\.lock)?")
_log = logging.getLogger("tsdistill")


def lock_at(path: Path) -> FileLock:
    """A lock that is the system's own, never a file whose mere presence counts."""
    return FileLock(path, fallback_to_soft=False)


@contextmanager
def owned(final: Path) -> Iterator[Path]:
    """Yield a name beside ``final`` that no other has, and hold its lock.

    The name holds 128 random bits. What lies there at the end is not removed.

    Raises:
        OSError: the folder can't be written.
    """
    while True:
        temporary = final.with_name(f".{final.name}.tmp-{secrets.token_hex(16)}")
        path = temporary.with_name(temporary.name + LOCK)
        lock = lock_at(path)
        path.touch()  # filelock would wait where no file can be made, as in /proc
        try:
            lock.acquire(timeout=0)
        except Timeout:  # a sweep took the new file for a leftover and removes it: another name
            continue
        except (NotImplementedError, OSError) as error:
            if not is_lacking(error):
                raise
            _log.debug("%s: no locks on this file system", final.parent)
        break
    try:
        yield temporary
    finally:
        with suppress(OSError):
            path.unlink()
        lock.release()


def is_lacking(error: Exception) -> bool:
    """Whether an error says that the file system has no locks."""
    lacking = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
    return isinstance(error, NotImplementedError) or getattr(error, "errno", None) in lacking


def is_temporary(path: Path) -> bool:
    """Whether something has the name of what is being written, or of its lock."""
    return _name.fullmatch(path.name) is not None


@contextmanager
def _if_abandoned(base: Path) -> Iterator[bool]:
    """Hold the lock of something half-written if its writer is gone; yields whether it is held."""
    path = base.with_name(base.name + LOCK)
    lock = lock_at(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, NotImplementedError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):
            path.unlink()
        lock.release()


def is_abandoned(path: Path) -> bool:
    """Whether the writer of something half-written is gone; False where that can't be told."""
    named = _name.fullmatch(path.name)
    if named is None:
        return False
    with _if_abandoned(path.with_name(named["base"])) as gone:
        return gone


def sweep(parent: Path) -> None:
    """Remove what writers that are gone left in ``parent``; put back what one was about to replace."""
    found = [named for path in os.scandir(parent) if (named := _name.fullmatch(path.name))]
    for base, final in sorted({(named["base"], named["final"]) for named in found}):
        with _if_abandoned(parent / base) as gone:
            if gone:
                with suppress(OSError):
                    _restore(parent / f"{base}{OLD}", parent / final)
                remove(parent / base)
                remove(parent / f"{base}{OLD}")


def _restore(old: Path, final: Path) -> None:
    """Put an artefact back whose writer was killed between the two renames of a replacement."""
    if old.is_dir() and not final.exists():
        old.rename(final)


def remove(path: Path) -> None:
    """Remove a file or a folder; what can't be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
