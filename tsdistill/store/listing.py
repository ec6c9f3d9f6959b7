"""All stored runs: each result as it was verified, and what is left out, with its reason."""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsdistill.errors import TsdistillError
from tsdistill.store.artefact import problem_of
from tsdistill.store.formats import is_sealed, parse_json, read_json
from tsdistill.store.index import YOUNGEST_SECONDS, Index, stamp_of
from tsdistill.store.manifest import BROKEN, hold
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
        for path in _entries(out, dataset):
            try:
                older += _add(found, path, index)
            except OSError as error:
                found.damaged.append(Damaged(path, f"it can't be read: {error.strerror or error}"))
            except MemoryError:
                found.damaged.append(Damaged(path, "it does not fit into memory"))
    return Listing(found.results, found.failures, found.damaged, older)


def _add(found: Listing, path: Path, index: Index) -> bool:
    """Add one entry of a dataset's folder; returns whether an older version wrote it."""
    run_id, _, kind = path.name.partition(".")
    if not run_id:  # half-written
        return False
    try:
        if not kind and path.is_dir():
            found.results.append(_verified(path, index))
        elif kind == "failed.json" and not path.with_name(run_id).is_dir():
            found.failures.append(_failure(path))
        elif kind.startswith("broken-") and not path.with_name(run_id).exists():
            found.damaged.append(Damaged(path, f"it was set aside: {problem_of(path)}"))
    except OlderVersionError:
        return not kind  # `tsdistill clean` lists older notes of failures too
    except BROKEN as problem:
        found.damaged.append(Damaged(path, " ".join(str(problem).split())))
    return False


def _verified(folder: Path, index: Index) -> dict[str, Any]:
    """A record's result, its times and its environment: from the index, or from files that are hashed."""
    name = f"{folder.parent.name}/{folder.name}"
    while True:
        stamp, age = stamp_of(folder)
        known = index.get(name, stamp)
        if known is not None:
            return with_nan(json.loads(known))
        try:
            result = _read(folder)
        except BROKEN:
            if stamp_of(folder)[0] == stamp:
                raise
            continue  # another process replaced it meanwhile
        if age > YOUNGEST_SECONDS and stamp_of(folder)[0] == stamp:
            index.put(name, stamp, json.dumps(result, separators=(",", ":")))
        return with_nan(result)


def _read(folder: Path) -> dict[str, Any]:
    files = hold(folder, _READ).files
    result = parse_result(files["result.json"], folder)
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
        return hold(folder, (name,)).files.get(name)
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


def _entries(out: Path, dataset: str | None) -> Iterator[Path]:
    """All that lies in the datasets' folders under ``<out>/runs`` (or in one of them), sorted."""
    root = out / "runs"
    if not root.is_dir():
        return
    try:
        for folder in sorted(os.scandir(root), key=lambda entry: entry.name):
            if folder.is_dir() and dataset in (None, folder.name):
                entries = sorted(os.scandir(folder.path), key=lambda entry: entry.name)
                yield from (Path(entry.path) for entry in entries)
    except OSError as error:
        raise TsdistillError(f"cannot read {root}: {error.strerror}; check the permissions") from error
