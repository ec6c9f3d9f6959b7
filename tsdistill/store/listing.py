"""All stored runs: each result as it was verified, and what is left out, with its reason."""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import problem_of
from tsdistill.store.contents import Contents, Folder
from tsdistill.store.formats import is_sealed, parse_json, read_json
from tsdistill.store.index import YOUNGEST_SECONDS, Index
from tsdistill.store.lookup import contents_of, entries_of
from tsdistill.store.manifest import BROKEN, hold
from tsdistill.store.packs import is_pack, read_pack
from tsdistill.store.records import OlderVersionError, of_this_schema, parse_result, with_nan
from tsdistill.store.shape import check_failure

SHOWN = 10
"""Damaged records that are named one by one."""
_READ = ("result.json", "timing.json", "environment.json")

_log = logging.getLogger("tsdistill")


@dataclass(frozen=True)
class Damaged:
    """A record that is left out.

    Attributes:
        path: its folder, or the note of a failed run.
        problem: what is wrong with it.
    """

    path: Path
    problem: str

    @property
    def name(self) -> str:
        """Its dataset's folder and its id."""
        return f"{self.path.parent.name}/{self.path.name}"


@dataclass(frozen=True)
class Listing:
    """What is stored of runs.

    Attributes:
        results: of every whole record, by dataset and id, with ``"timing"`` and ``"environment"``.
        failures: notes of runs that failed and have not succeeded since.
        damaged: records that are not whole, also those that were set aside and are not there again.
        older: how many records an older version wrote.
    """

    results: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    damaged: list[Damaged]
    older: int

    def tell(self) -> None:
        """Say what is left out, to the logger ``tsdistill``."""
        for each in self.damaged[:SHOWN]:
            _log.warning("%s is left out: %s", each.path, each.problem)
        if len(self.damaged) > SHOWN:
            _log.warning("%d more records are left out as damaged", len(self.damaged) - SHOWN)
        if self.damaged:
            _log.warning("`tsdistill runs verify=true` lists what is damaged and says what to run again")
        if self.older:
            records = (
                "record of an older version is" if self.older == 1 else "records of an older version are"
            )
            _log.warning("%d %s left out; `tsdistill clean` lists them", self.older, records)


def list_runs(out: Path, dataset: str | None = None) -> Listing:
    """Read every run under ``out``; each file of a record is held against the manifest.

    With ``dataset``, those of that dataset alone.

    Nothing is changed but the index of what was verified (:mod:`tsdistill.store.index`).

    Raises:
        TsdistillError: a folder can't be read.
    """
    found = Listing([], [], [], 0)
    older = 0
    with Index(out) as index:
        for folder in _datasets(out, dataset):
            for entry in _entries(folder):
                try:
                    older += _add(found, entry, index)
                except OSError as error:
                    problem = f"it can't be read: {error.strerror or error}"
                    found.damaged.append(Damaged(entry.path, problem))
                except MemoryError:
                    found.damaged.append(Damaged(entry.path, "it does not fit into memory"))
    return Listing(found.results, found.failures, found.damaged, older)


class _Entry(NamedTuple):
    """Something in a dataset's folder, and the record whose id its name begins with."""

    path: Path
    record: Contents | None


def _add(found: Listing, entry: _Entry, index: Index) -> bool:
    """Add one entry of a dataset's folder; returns whether an older version wrote it."""
    kind = entry.path.name.partition(".")[2]
    try:
        if not kind:
            found.results.extend(_verified(entry.record, index))
        elif kind == "failed.json" and entry.record is None:
            found.failures.append(_failure(entry.path))
        elif kind.startswith("broken-") and entry.record is None:
            found.damaged.append(Damaged(entry.path, f"it was set aside: {problem_of(entry.path)}"))
        elif is_pack(entry.path):
            read_pack(entry.path)
    except OlderVersionError:
        return not kind  # `tsdistill clean` lists older notes of failures too
    except BROKEN as problem:
        found.damaged.append(Damaged(entry.path, " ".join(str(problem).split())))
    return False


def _verified(record: Contents | None, index: Index) -> Iterator[dict[str, Any]]:
    """A record's result, its times and its environment: from the index, or from files that are hashed.

    Yields nothing if it was removed meanwhile.
    """
    while record is not None:
        identity, stamp = record.identity(), ""
        try:
            stamp, age = record.stamp()
            known = index.get(record.name, stamp)
            result = json.loads(known) if known is not None else with_nan(_read(record))
        except BROKEN:
            if identity is not None and record.identity() == identity and _is_stamp(record, stamp):
                raise
            record = contents_of(record.path)  # another process replaced, packed or unpacked it meanwhile
            continue
        if known is None and age > YOUNGEST_SECONDS and _is_stamp(record, stamp):
            index.put(record.name, stamp, json.dumps(result, separators=(",", ":")))
        yield result
        return


def _is_stamp(record: Contents, stamp: str) -> bool:
    """Whether a record is still as it was; one that can't be told so is not looked at again."""
    try:
        return record.stamp()[0] == stamp
    except OSError:
        return True


def _read(record: Contents) -> dict[str, Any]:
    files = hold(record, _READ).files
    result = parse_result(files["result.json"], record.path)
    timing, environment = (parse_json(files[name], name) for name in _READ[1:])
    return {**result, "timing": timing, "environment": environment}


def _failure(path: Path) -> dict[str, Any]:
    note = of_this_schema(read_json(path), path.name)
    if not is_sealed(note):
        raise ValueError("it has changed since it was written")
    check_failure(note)
    return {name: value for name, value in note.items() if name != "sha256"}


def held_file(folder: Path, name: str) -> bytes | None:
    """The bytes of one file of a record, held against its manifest; None if it is not there or damaged."""
    try:
        record = contents_of(folder)
        return None if record is None else hold(record, (name,)).files.get(name)
    except (*BROKEN, OSError):
        return None


def iter_results(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the result of every whole record (see :class:`Listing`); what is left out is said."""
    listing = list_runs(out)
    listing.tell()
    yield from listing.results


def iter_failures(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the notes of runs that failed and have not succeeded since, by dataset and id."""
    yield from list_runs(out).failures


def _datasets(out: Path, dataset: str | None) -> list[Path]:
    """The datasets' folders under ``<out>/runs``, or one of them, sorted."""
    root = out / "runs"
    if not root.is_dir():
        return []
    try:
        with os.scandir(root) as found:
            names = sorted(entry.name for entry in found if entry.is_dir() and dataset in (None, entry.name))
    except OSError as error:
        raise _unreadable(root, error) from error
    return [root / name for name in names]


def _entries(dataset: Path) -> Iterator[_Entry]:
    """All that lies in a dataset's folder and its packs, sorted, but what is half-written."""
    try:
        names, packed = entries_of(dataset)
    except OSError as error:
        raise _unreadable(dataset, error) from error
    for name in sorted(names | packed.keys()):
        key = name.partition(".")[0]
        if key:
            record = _record(dataset / key) if key in names else packed.get(key)
            yield _Entry(dataset / name, record)


def _record(path: Path) -> Contents | None:
    """A record whose folder was there a moment ago; None for a stranger's file."""
    if path.is_dir():
        return Folder(path)
    return None if path.exists() else contents_of(path)


def _unreadable(folder: Path, error: OSError) -> TsdistillError:
    return TsdistillError(f"cannot read {folder}: {error.strerror}; check the permissions")
