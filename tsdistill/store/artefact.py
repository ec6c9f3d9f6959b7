"""A stored thing is a folder that is written whole or not at all, and verified when it is read."""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from tsdistill.errors import TsdistillError, advice_on
from tsdistill.store.contents import Contents, Folder
from tsdistill.store.files import read_whole
from tsdistill.store.lookup import contents_of
from tsdistill.store.manifest import BROKEN, FILES, hold, seal
from tsdistill.store.temporary import OLD, is_abandoned, owned, remove, sweep

PROBLEM = "problem.txt"
"""Says in a folder that was set aside what was wrong with it."""

T = TypeVar("T")
_log = logging.getLogger("tsdistill")
_aside_name = re.compile(r"[0-9A-Za-z_-]{1,64}(\.failed\.json)?\.broken-\d+")


def safe_name(text: str) -> str:
    """Make one path component of any text, different for different texts: it can't leave its folder.

    All but letters, digits and ``_ - . ~`` is percent-encoded, and so is a dot at either end; what is longer
    than 120 characters is cut and ends in a hash.

    Raises:
        TsdistillError: the text is empty.
    """
    if not text:
        raise TsdistillError("a dataset's name is empty: set dataset.name")
    name = quote(text, safe="", errors="surrogatepass")
    name = re.sub(r"^\.|\.$", "%2E", name)
    if len(name) > 120:
        name = f"{name[:100]}={hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name


def place(out: Path, kind: str, dataset: str, key: str) -> Path:
    """Say where an artefact lies: ``<out>/<kind>/<dataset>/<key>``.

    Raises:
        ValueError: the key is not made of letters, digits, ``_`` and ``-``.
    """
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", key):
        raise ValueError(f"not a key: {key!r}")
    return out / kind / safe_name(dataset) / key


@contextmanager
def staged(folder: Path, replace: bool = False) -> Iterator[Path]:
    """Write a folder whole or not at all.

    The body writes plain files (no sub-folders) into the folder that is yielded: a hidden one beside the
    final one. At the end a manifest of their hashes is added, all is flushed to disk, and one rename decides.
    After any exception nothing has changed.

    Args:
        folder: where the artefact goes.
        replace: put it in the place of one that is there. Otherwise one that appeared meanwhile is kept, and
            ours is dropped: equal keys mean equal contents.

    Raises:
        TsdistillError: the folder can't be written (disk full, no permission).
    """
    with _published(folder, replace) as temporary:
        yield temporary
        seal(temporary)


def copy_artefact(stored: Contents, folder: Path) -> None:
    """Copy what is stored, with its manifest, whole or not at all; one that is there already is kept.

    Args:
        stored: what is copied.
        folder: where it goes.

    Raises:
        one of ``BROKEN``: the copy does not match its manifest.
        TsdistillError: it can't be written.
    """
    with _published(folder) as temporary:
        for name in stored.names() & FILES:
            with stored.opened(name) as (file, _), (temporary / name).open("xb") as copy:
                shutil.copyfileobj(file, copy)
        hold(Folder(temporary))


@contextmanager
def _published(folder: Path, replace: bool = False) -> Iterator[Path]:
    """Yield a hidden folder; what the body wrote there is flushed to disk, and one rename decides."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        with owned(folder) as temporary:
            try:
                temporary.mkdir()
                yield temporary
                _flush_all(temporary)
                _publish(temporary, folder, replace)
            finally:
                remove(temporary)
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(path: Path, error: OSError) -> TsdistillError:
    """Say in one line that ``path`` can't be written, why, and what to do."""
    return TsdistillError(f"cannot write {path}: {error.strerror or error}; {advice_on(error)}")


def _flush_all(folder: Path) -> None:
    """Flush every file and the folder to disk."""
    paths = list(folder.iterdir())
    with ThreadPoolExecutor(len(paths)) as pool:  # flushed together they share the disk's commits
        list(pool.map(_flush, paths))
    sync_folder(folder)


def _flush(path: Path) -> None:
    """Flush a file to disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the folder's entries to disk, if the system supports it."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _publish(temporary: Path, folder: Path, replace: bool) -> None:
    """Rename ``temporary`` to ``folder``; keep or replace one that is already there."""
    old, published = temporary.with_name(f"{temporary.name}{OLD}"), False
    try:
        if replace:
            with suppress(FileNotFoundError):
                folder.rename(old)
        temporary.rename(folder)
        published = True
        sync_folder(folder.parent)
    except BaseException as error:
        if not (isinstance(error, OSError) and temporary.exists() and folder.is_dir()):
            with suppress(OSError):
                old.rename(folder)  # does nothing where the new one already stands there
            raise
        _log.debug("%s was written by another process in the meantime; that one is kept", folder)
    finally:
        if published or folder.exists():  # another writer may just be replacing ours
            remove(old)


def read_artefact(folder: Path, parse: Callable[[Contents], T]) -> T | None:
    """Verify a stored thing against its manifest and read it.

    Args:
        folder: where it lies.
        parse: reads what was verified; a ValueError, KeyError or TypeError of its says that it is broken.

    Returns:
        What ``parse`` returned; None if nothing is stored there, or if it is damaged: callers rebuild it. A
        damaged folder has then been renamed to ``<name>.broken-<n>`` with a warning to the logger
        ``tsdistill``; a pack stays as it is, and what is rebuilt goes before it.

    Raises:
        TsdistillError: the folder is there but can't be read (permissions, a failing disk).
    """
    try:
        while (stored := contents_of(folder)) is not None:
            seen = stored.identity()
            try:
                hold(stored)
                return parse(stored)
            except BROKEN as problem:
                if (
                    seen is None or stored.identity() != seen
                ):  # another process replaced it meanwhile: look again
                    continue
                if stored.place != folder:
                    _log.warning("%s in %s is damaged (%s)", folder.name, stored.place, problem)
                    return None
                set_aside(folder, str(problem))
    except MemoryError:
        raise TsdistillError(f"cannot read {folder}: it does not fit into memory") from None
    except OSError as error:
        raise TsdistillError(
            f"cannot read {folder}: {error.strerror or error}; check the permissions"
        ) from error
    return None


def set_aside(folder: Path, problem: str) -> None:
    """Rename a broken folder to ``<name>.broken-<n>``, note the reason in it, and say so."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.broken-{number}")).exists():
        number += 1
    with suppress(FileNotFoundError):  # another process was faster
        folder.rename(aside)
        with suppress(OSError):
            (aside / PROBLEM).write_text(f"{problem}\n", encoding="utf-8")
        _log.warning("%s is damaged (%s); set aside as %s", folder, problem, aside.name)


def problem_of(aside: Path) -> str:
    """Why a folder was set aside."""
    try:
        return " ".join(read_whole(aside / PROBLEM).decode(errors="replace").split())
    except (OSError, ValueError):
        return "the reason was not noted"


@contextmanager
def replaced_whole(path: Path) -> Iterator[Path]:
    """Write one file whole or not at all, in the place of one that is there.

    What a killed writer left beside it is removed.

    Args:
        path: where the file goes; its folder is made.

    Yields:
        The temporary file beside it that the body writes.

    Raises:
        TsdistillError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            set_aside(path, "a folder in the place of a file")
        with suppress(OSError):  # a folder may be writable and not readable
            sweep(path.parent)
        with owned(path) as temporary:
            try:
                yield temporary
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.replace(path)
                sync_folder(path.parent)
            finally:
                remove(temporary)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_atomically(path: Path, text: str) -> None:
    """Write a text as ``replaced_whole`` does."""
    with replaced_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def discard(folder: Path) -> None:
    """Remove a folder: one rename takes it out of the store, then its files are deleted.

    What an interruption leaves is swept by the next that is written beside it.

    Raises:
        TsdistillError: it can't be removed.
    """
    try:
        with owned(folder) as hidden:
            folder.rename(hidden)
            shutil.rmtree(hidden)
    except OSError as error:
        raise TsdistillError(
            f"cannot remove {folder}: {error.strerror or error}; check the permissions"
        ) from error


def is_leftover(path: Path) -> bool:
    """Whether something was half-written by a process that is gone, or set aside as broken."""
    return _aside_name.fullmatch(path.name) is not None or is_abandoned(path)
