"""Moving finished records of a dataset from folders into packs, and back; each is always in one of the two.

A pack is written, flushed to disk and held against its manifests before a folder goes. A folder goes under
its run's lock and only if it still is what was packed, so that what another process adds meanwhile stays.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import copy_artefact, discard, replaced_whole, set_aside, sync_folder
from tsdistill.store.contents import Contents, Folder
from tsdistill.store.locks import locked_if_free
from tsdistill.store.lookup import entries_of
from tsdistill.store.manifest import BROKEN, MANIFEST, digests_of, hold, problem_with
from tsdistill.store.packs import MOST_RECORDS, Pack, Packed, next_pack, packs_in, read_pack
from tsdistill.store.records import parse_result
from tsdistill.store.temporary import sweep

LARGEST_CONTENT = 2**30
"""Bytes after which another pack is begun; a larger record stays a folder."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every member, so that the same records give the same pack."""


@dataclass
class Moved:
    """What was moved in a dataset's folder.

    Attributes:
        records: how many records went into packs, or back into folders.
        files: how many packs they went into.
        left: what stays where it is because it is damaged or no whole record, by name, and why.
        busy: records that stay folders because another process uses them.
    """

    records: int = 0
    files: int = 0
    left: dict[str, str] = field(default_factory=dict)
    busy: list[str] = field(default_factory=list)


@contextmanager
def _alone(dataset: Path) -> Iterator[None]:
    """Be the only process that packs or unpacks in an output folder.

    Raises:
        TsdistillError: another does, or there are no locks.
    """
    with locked_if_free(dataset / "pack") as held:
        if not held:
            raise TsdistillError(f"another process packs or unpacks {dataset.parents[1]}; wait for it")
        sweep(dataset)
        yield


def pack(dataset: Path) -> Moved:
    """Move every whole record that has a folder of its own into a pack.

    Small packs, and those that hold an older version of one of these records, become part of the new one.

    Args:
        dataset: the folder ``<out>/runs/<dataset>``.

    Raises:
        TsdistillError: a file can't be written, or another process packs.
    """
    moved = Moved()
    with _alone(dataset):
        names, _ = entries_of(dataset)
        folders = {name: Folder(dataset / name) for name in sorted(names) if "." not in name}
        chosen: dict[str, Contents] = {n: f for n, f in folders.items() if _is_packable(f, moved)}
        if not chosen:
            return moved
        absorbed = _absorbed(dataset, chosen)
        made = []
        for part in _parts(chosen):
            path = next_pack(dataset)
            _write(path, part)
            made.append(_checked(path))
        for old in absorbed:
            old.path.unlink(missing_ok=True)
        sync_folder(dataset)
        for new in made:
            _remove_packed(new, folders, moved)
    moved.files = len(made)
    return moved


def _is_packable(record: Folder, moved: Moved) -> bool:
    """Whether a record is whole, of this version, and not too large; if not, why is noted."""
    if not record.path.is_dir():
        return False
    try:
        held = hold(record, ("result.json",))
        parse_result(held.files["result.json"], record.path)
        strange = sorted(record.names() - held.digests.keys() - {MANIFEST})
        if strange:
            raise ValueError(f"{strange[0]} is not a file of a record")
        if _size(record) > LARGEST_CONTENT:
            raise ValueError(f"it has more than {LARGEST_CONTENT:,} bytes")
    except BROKEN as problem:
        moved.left[record.path.name] = " ".join(str(problem).split())
        return False
    return True


def _size(record: Contents) -> int:
    return sum(record.size(name) for name in record.names())


def _absorbed(dataset: Path, chosen: dict[str, Contents]) -> list[Pack]:
    """Add the records of packs that become part of the new one to those that are chosen.

    A pack with a damaged record is not among them: what it holds is left as it is.
    """
    found, newer = [], set(chosen)
    for old in packs_in(dataset):
        records = {name: Packed(dataset / name, old) for name in old.records}
        current = {name: record for name, record in records.items() if name not in newer}
        newer |= records.keys()
        is_worthwhile = len(records) < MOST_RECORDS // 2 or len(current) < len(records)
        if is_worthwhile and all(problem_with(record) is None for record in current.values()):
            chosen.update(current)
            found.append(old)
    return found


def _parts(records: Mapping[str, Contents]) -> Iterator[dict[str, Contents]]:
    """Records in portions that a pack can hold, by id."""
    part: dict[str, Contents] = {}
    total = 0
    for name in sorted(records):
        size = _size(records[name])
        if part and (len(part) == MOST_RECORDS or total + size > LARGEST_CONTENT):
            yield part
            part, total = {}, 0
        part[name] = records[name]
        total += size
    yield part


def _write(path: Path, records: Mapping[str, Contents]) -> None:
    with replaced_whole(path) as temporary, ZipFile(temporary, "w", allowZip64=False) as file:
        for key, record in records.items():
            for name in sorted(record.names()):
                member = ZipInfo(f"{key}/{name}", _DATE)
                member.create_system, member.external_attr = 3, 0o644 << 16
                with record.opened(name) as (content, member.file_size), file.open(member, "w") as copy:
                    shutil.copyfileobj(content, copy)


def _checked(path: Path) -> Pack:
    """A pack that was just written, held against all its manifests.

    Raises:
        TsdistillError: it is not what was to be written; it has been removed.
    """
    try:
        new = read_pack(path)
        for name in new.records:
            hold(Packed(path.with_name(name), new))
    except BROKEN as problem:
        path.unlink()
        raise TsdistillError(
            f"{path} was not written as it should be ({problem}) and was removed; "
            "what it held is where it was: try again"
        ) from problem
    return new


def _remove_packed(new: Pack, folders: Mapping[str, Folder], moved: Moved) -> None:
    """Remove the folders of records that are in a new pack."""
    for name in new.records.keys() & folders.keys():
        folder, packed = folders[name], Packed(folders[name].path, new)
        with locked_if_free(folder.path.with_name(name.partition("-")[0])) as held:
            if held and _same(folder, packed):
                discard(folder.path)
                moved.records += 1
            else:
                moved.busy.append(name)


def _same(one: Contents, other: Contents) -> bool:
    """Whether two records hold the same files, by their manifests."""
    try:
        return digests_of(one) == digests_of(other) and one.names() == other.names()
    except BROKEN:
        return False


def unpack(dataset: Path) -> Moved:
    """Move every packed record back into a folder, bit for bit; a pack with a damaged record stays.

    Args:
        dataset: the folder ``<out>/runs/<dataset>``.

    Raises:
        TsdistillError: a file can't be written, or another process packs.
    """
    moved = Moved()
    with _alone(dataset):
        packs = packs_in(dataset)
        _, packed = entries_of(dataset)
        for name, record in sorted(packed.items()):
            _unpack_one(name, record, moved)
        for old in packs:
            if not old.records.keys() & moved.left.keys():
                old.path.unlink(missing_ok=True)
                moved.files += 1
        sync_folder(dataset)
    return moved


def _unpack_one(name: str, record: Packed, moved: Moved) -> None:
    """Write a record's folder, unless a whole one, which is newer, stands there."""
    folder = Folder(record.path)
    if folder.path.exists():
        problem = problem_with(folder)
        if problem is None:
            return
        set_aside(folder.path, problem)
    problem = problem_with(record)
    if problem is not None:
        moved.left[name] = problem
        return
    copy_artefact(record, folder.path)
    moved.records += 1
