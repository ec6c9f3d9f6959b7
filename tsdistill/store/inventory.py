"""All that lies in the folders of an output folder, told apart by what it is; links are never followed."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import PROBLEM, is_leftover
from tsdistill.store.lookup import entries_of
from tsdistill.store.manifest import FILES, MANIFEST
from tsdistill.store.packs import is_pack, packs_in
from tsdistill.store.temporary import is_temporary

KINDS = ("checkpoints", "maps", "pools", "runs", "teachers")
"""Folders of an output folder that hold artefacts; what depends on others comes first."""
STALE_SECONDS = 24 * 3600.0
"""Age of a cache's temporary file that is listed; a writer that loses one does without the cache."""
SCRATCH = (("data/parsed", "."), ("code", ".code-"))
"""Where files are written under a temporary name, and how such a name begins."""

What = Literal["artefact", "failure", "leftover", "stranger"]


@dataclass(frozen=True)
class Entry:
    """One thing under an output folder.

    Attributes:
        kind: the folder it lies in, such as ``"teachers"``.
        path: where it lies.
        what: an artefact, the note of a failed run, a leftover, or something not made by tsdistill.
        packed: whether its files lie in a pack; ``path`` is then where its folder would be.
    """

    kind: str
    path: Path
    what: What
    packed: bool = False

    @property
    def size(self) -> int:
        """Bytes of its files."""
        files = [self.path] if not self.path.is_dir() else list(self.path.iterdir())
        return sum(file.lstat().st_size for file in files)


def inventory(out: Path) -> Iterator[Entry]:
    """Yield what lies under ``out``, by kind, dataset and name.

    Raises:
        TsdistillError: a folder can't be read.
    """
    try:
        for kind in KINDS:
            for dataset in _sorted(out / kind):
                if not dataset.is_dir(follow_symlinks=False):
                    yield Entry(kind, Path(dataset.path), "stranger")
                    continue
                yield from _in_dataset(kind, Path(dataset.path))
        yield from _scratch(out)
    except OSError as error:
        raise TsdistillError(
            f"cannot read {error.filename}: {error.strerror}; check the permissions"
        ) from error


def _in_dataset(kind: str, dataset: Path) -> Iterator[Entry]:
    names, packed = entries_of(dataset)
    for entry in _sorted(dataset):
        if (what := _what(kind, entry)) is not None:
            yield Entry(kind, Path(entry.path), what)
    for name in sorted(packed.keys() - names):
        yield Entry(kind, dataset / name, "artefact", packed=True)


def _sorted(folder: Path) -> list[os.DirEntry[str]]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _what(kind: str, entry: os.DirEntry[str]) -> What | None:
    """Say what an entry is; None if a process is writing it now, and for a pack: its records are told."""
    path = Path(entry.path)
    if is_temporary(path) and entry.is_file(follow_symlinks=False):
        return "leftover" if is_leftover(path) else None
    if is_pack(entry.name) and path in (pack.path for pack in packs_in(path.parent)):
        return None
    if entry.is_file(follow_symlinks=False):
        return "failure" if kind == "runs" and entry.name.endswith(".failed.json") else "stranger"
    if not entry.is_dir(follow_symlinks=False) or not _is_ours(path):
        return "stranger"
    if is_leftover(path):
        return "leftover"
    if is_temporary(path):
        return None
    return "stranger" if "." in entry.name or not (path / MANIFEST).exists() else "artefact"


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds nothing but plain files that an artefact may have."""
    return all(
        entry.name in FILES | {PROBLEM} and entry.is_file(follow_symlinks=False) for entry in _sorted(folder)
    )


def _scratch(out: Path) -> Iterator[Entry]:
    """Temporary files of processes that must be gone by now."""
    for place, prefix in SCRATCH:
        for entry in _sorted(out / place):
            old = time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
            if old and entry.name.startswith(prefix) and entry.is_file(follow_symlinks=False):
                yield Entry(place, Path(entry.path), "leftover")
