"""One data set's runs: all that lies in its folder is stamped, and what is new is held against its manifest.

Nothing is written here, so that several processes can each scan a data set of their own.
"""

import hashlib
import math
import os
import time
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tsdistill.store.artefact import problem_of
from tsdistill.store.columns import encode
from tsdistill.store.contents import Contents, Folder
from tsdistill.store.formats import is_sealed, parse_json, read_json
from tsdistill.store.lookup import contents_of
from tsdistill.store.manifest import BROKEN, hold
from tsdistill.store.packs import Pack, Packed, is_pack, number_of, read_pack
from tsdistill.store.records import OlderVersionError, of_this_schema, parse_result, with_nan
from tsdistill.store.shape import check_failure
from tsdistill.store.stamps import RUN_FILES, Stamp, stamp_of_file, stamp_of_record

YOUNGEST_SECONDS = 2.0
"""A file that changed later than this may change again within one tick of the file system's clock."""
MOST_TOGETHER = 4096
"""Records whose results are in memory at a time."""
_READ = ("result.json", "timing.json", "environment.json")


class Known(NamedTuple):
    """Records that were verified earlier: what the index calls them together, their names and stamps."""

    number: int
    names: Sequence[str]
    stamps: Sequence[str]


class Verified(NamedTuple):
    """Records that were verified now.

    Attributes:
        names: their keys, sorted.
        stamps: of their files; empty where a file is too young to be told from a later one, or is one that
            no record has.
        digests: SHA-256 of each ``result.json``.
        content: their results, see :func:`tsdistill.store.columns.encode`.
    """

    names: Sequence[str]
    stamps: Sequence[str]
    digests: Sequence[str]
    content: bytes


@dataclass
class Scanned:
    """What lies in a data set's folder.

    Attributes:
        mark: tells this state of the folder from any other; empty where something in it can't be read.
        age: seconds from the last change of a file to this look.
        kept: of what is known, by number, the places of records that are as they were.
        verified: the other whole records.
        failures: notes of runs that failed and have not succeeded since.
        damaged: names of what is not whole, and why.
        older: how many records an older version wrote.
        packs: keys in each pack, by its stamp.
    """

    mark: str = ""
    age: float = math.inf
    kept: dict[int, list[int]] = field(default_factory=dict)
    verified: list[Verified] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    older: int = 0
    packs: dict[str, Sequence[str]] = field(default_factory=dict)


def marked(dataset: Path) -> Scanned:
    """The mark and age of a data set's folder, without what lies in it.

    Raises:
        OSError: the folder can't be read.
    """
    return Scanned(*_mark(_stamps(str(dataset)) if dataset.is_dir() else {}))


def scan(
    dataset: Path, known: Sequence[Known] = (), packs: Mapping[str, Sequence[str]] | None = None
) -> Scanned:
    """Look at every run of a data set; each file of a record that is new is held against the manifest.

    Args:
        dataset: the folder ``<out>/runs/<dataset>``.
        known: what was verified earlier.
        packs: keys in packs that were read earlier, by the stamp of the pack.

    Raises:
        OSError: the folder can't be read.
    """
    return _Scan(dataset, known, packs or {}).done() if dataset.is_dir() else marked(dataset)


Stamps = dict[str, Stamp | None]
"""Of all that lies in a folder, by name; None for what can't be read, or is gone again."""


def _stamps(dataset: str, before: Container[str] = ()) -> Stamps:
    """Stamps of all in a data set's folder but what is half-written, and what was there before."""
    with os.scandir(dataset) as found:
        return {
            entry.name: _stamp(entry)
            for entry in found
            if not entry.name.startswith(".") and entry.name not in before
        }


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    try:
        return stamp_of_record(entry.path) if entry.is_dir() else stamp_of_file(entry.path)
    except OSError:
        return None


def _mark(stamps: Stamps) -> tuple[str, float]:
    """What tells these stamps from any others, and the seconds since the last change."""
    told, changed = [], -math.inf
    for name, stamp in sorted(stamps.items()):
        if stamp is None:
            return "", 0.0
        changed = max(changed, stamp.changed)
        told.append((name, stamp.text))
    return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest(), time.time() - changed


class _Fresh(NamedTuple):
    """A record that has just been verified: its key, result, stamp, and the hash of its ``result.json``."""

    name: str
    result: dict[str, Any]
    stamp: str
    digest: str


class _Scan:
    """One look at a data set's folder."""

    def __init__(self, dataset: Path, known: Sequence[Known], packs: Mapping[str, Sequence[str]]) -> None:
        self._dataset, self._packs = dataset, packs
        self._stamps: Stamps = {}
        self._packed: dict[str, str] = {}
        self._opened: dict[str, Pack] = {}
        self._known = {
            name: (stamp, each.number, place)
            for each in known
            for place, (name, stamp) in enumerate(zip(each.names, each.stamps, strict=True))
        }
        self._found = Scanned()
        self._fresh: list[_Fresh] = []

    def done(self) -> Scanned:
        """Everything in the folder."""
        self._look()
        self._found.mark, self._found.age = _mark(self._stamps)
        for name in sorted(self._stamps.keys() | self._packed.keys()):
            if name in self._known and self._is_known(name):
                continue
            try:
                self._found.older += self._add(name)
            except OSError as error:
                self._found.damaged.append((name, f"it can't be read: {error.strerror or error}"))
            except MemoryError:
                self._found.damaged.append((name, "it does not fit into memory"))
            if len(self._fresh) == MOST_TOGETHER:
                self._put_together()
        self._put_together()
        return self._found

    def _look(self) -> None:
        """Look at folders, at packs, and at folders again.

        So what another process packs or unpacks in the meantime is found in the one or the other.
        """
        top = str(self._dataset)
        while True:
            self._stamps = _stamps(top)
            self._stamps |= _stamps(top, self._stamps)
            try:
                self._packed = self._keys_in_packs()
            except FileNotFoundError:  # its records have just been moved into another
                continue
            self._stamps |= _stamps(top, self._stamps)
            return

    def _keys_in_packs(self) -> dict[str, str]:
        """The packs of packed records by key, a later pack before an earlier one."""
        found: dict[str, str] = {}
        for name in sorted((name for name in self._stamps if is_pack(name)), key=number_of):
            stamp = self._stamps[name]
            keys = self._packs.get(stamp.text) if stamp is not None else None
            if keys is None:
                keys = self._keys_of(name)
            if keys is None:
                continue
            if stamp is not None:
                self._found.packs[stamp.text] = keys
            found.update(dict.fromkeys(keys, name))
        return found

    def _keys_of(self, pack: str) -> Sequence[str] | None:
        try:
            return list(self._pack(pack).records)
        except FileNotFoundError:
            raise
        except (ValueError, OSError):  # it is named as damaged later
            return None

    def _pack(self, name: str) -> Pack:
        """A pack's directory, read once; raises FileNotFoundError if it has been replaced meanwhile."""
        path = self._dataset / name
        if name not in self._opened:
            try:
                self._opened[name] = read_pack(path)
            except FileNotFoundError:
                if not path.is_symlink():
                    raise
                raise ValueError("it is a link to a file that is not there") from None
        return self._opened[name]

    def _is_known(self, name: str) -> bool:
        """Whether a record is as it was when it was verified; its place is then noted."""
        stamp, number, place = self._known[name]
        found = self._stamps.get(name if name in self._stamps else self._packed[name])
        if found is None or found.text != stamp:
            return False
        self._found.kept.setdefault(number, []).append(place)
        return True

    def _add(self, name: str) -> bool:
        """Add one thing in the folder; returns whether it is a record of an older version."""
        key, _, kind = name.partition(".")
        record = self._record(key)
        path = self._dataset / name
        looked = self._stamps.get(name if name in self._stamps else self._packed.get(name, ""))
        try:
            if not kind:
                if (fresh := _verified(record, looked)) is not None:
                    self._fresh.append(fresh)
                    if not fresh.stamp:
                        self._found.mark = ""
            elif kind == "failed.json" and record is None:
                self._found.failures.append(_failure(path))
            elif kind.startswith("broken-") and record is None:
                self._found.damaged.append((name, f"it was set aside: {problem_of(path)}"))
            elif is_pack(name) and (looked is None or looked.text not in self._packs):
                with suppress(FileNotFoundError):
                    self._pack(name)
        except OlderVersionError:
            return not kind  # `tsdistill clean` lists older notes of failures too
        except BROKEN as problem:
            self._found.damaged.append((name, " ".join(str(problem).split())))
        return False

    def _record(self, key: str) -> Contents | None:
        """A record; None for a stranger's file, and for what is no record."""
        path = self._dataset / key
        if key not in self._stamps:
            if key not in self._packed:
                return None
            with suppress(FileNotFoundError):  # another process has just unpacked it
                return Packed(path, self._pack(self._packed[key]))
            return contents_of(path)
        if path.is_dir():
            return Folder(path)
        return None if path.exists() else contents_of(path)

    def _put_together(self) -> None:
        """Bring the results that were verified into the form that the index keeps."""
        if self._fresh:
            names, results, stamps, digests = zip(*self._fresh, strict=True)
            self._found.verified.append(Verified(names, stamps, digests, encode(results)))
            self._fresh = []


def _verified(record: Contents | None, looked: Stamp | None) -> _Fresh | None:
    """A record's result, with its times and environment, from files that are hashed; None if it is gone.

    ``looked`` is its stamp of a moment ago.
    """
    while record is not None:
        identity, stamp, looked = record.identity(), looked, None
        try:
            stamp = stamp or record.stamp()
            files = hold(record, _READ)
            result = parse_result(files.files["result.json"], record.path)
            timing, environment = (parse_json(files.files[name], name) for name in _READ[1:])
        except BROKEN:
            if identity is not None and record.identity() == identity and _is_stamp(record, stamp):
                raise
            record = contents_of(record.path)  # another process replaced, packed or unpacked it meanwhile
            continue
        lasting = time.time() - stamp.changed > YOUNGEST_SECONDS and _is_stamp(record, stamp)
        lasting = lasting and RUN_FILES.issuperset(files.digests)  # a stamp is of no other files
        whole = with_nan({**result, "timing": timing, "environment": environment})
        return _Fresh(record.path.name, whole, stamp.text if lasting else "", files.digests["result.json"])
    return None


def _is_stamp(record: Contents, stamp: Stamp | None) -> bool:
    """Whether a record is still as it was; one that can't be told so is not looked at again."""
    try:
        return record.stamp() == stamp
    except OSError:
        return True


def _failure(path: Path) -> dict[str, Any]:
    note = of_this_schema(read_json(path), path.name)
    if not is_sealed(note):
        raise ValueError("it has changed since it was written")
    check_failure(note)
    return {name: value for name, value in note.items() if name != "sha256"}
