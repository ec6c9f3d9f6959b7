"""What is stored under a name: in a folder of its own, or in a pack beside those folders."""

import os
from collections.abc import Iterator
from pathlib import Path

from tsdistill.store.contents import Contents, Folder
from tsdistill.store.packs import Packed, packs_in


def contents_of(folder: Path) -> Contents | None:
    """What is stored under a folder's name; None if nothing is.

    A folder goes before a pack, and a later pack before an earlier one: what is there twice was changed since
    it was packed.
    """
    if folder.exists():
        return Folder(folder)
    for pack in packs_in(folder.parent):
        if folder.name in pack.records:
            return Packed(folder, pack)
    return Folder(folder) if folder.exists() else None  # it may just have been unpacked


def names_in(dataset: Path) -> list[str]:
    """Keys of what is stored in a dataset's folder, whole or not, sorted.

    Raises:
        OSError: it can't be read.
    """
    names, packed = entries_of(dataset)
    return sorted({name for name in names if "." not in name} | packed.keys())


def entries_of(dataset: Path) -> tuple[set[str], dict[str, Packed]]:
    """Names of all that lies in a dataset's folder, and the packed records by key.

    What another process packs or unpacks in the meantime is among the one or the other: the folder is read
    before the packs and after them.

    Raises:
        OSError: it can't be read.
    """
    if not dataset.is_dir():
        return set(), {}
    before = _names(dataset)
    packs = packs_in(dataset)
    packed = {name: Packed(dataset / name, pack) for pack in reversed(packs) for name in pack.records}
    return before | _names(dataset), packed


def _names(folder: Path) -> set[str]:
    with os.scandir(folder) as found:
        return {entry.name for entry in found}


def stored_in(kind: Path) -> Iterator[Contents]:
    """All that is stored in the folder of a kind, by dataset and key, whole or not.

    Raises:
        OSError: it can't be read.
    """
    for dataset in sorted(kind.iterdir()) if kind.is_dir() else ():
        for name in names_in(dataset):
            if (stored := contents_of(dataset / name)) is not None:
                yield stored
