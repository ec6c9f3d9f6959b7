"""All stored runs: each result as it was verified, and what is left out, with its reason."""

import hashlib
import logging
import os
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tsdistill.errors import TsdistillError
from tsdistill.store import scan
from tsdistill.store.columns import Row, decode, encode
from tsdistill.store.index import Index
from tsdistill.store.lookup import contents_of
from tsdistill.store.manifest import BROKEN, hold
from tsdistill.store.packs import is_pack
from tsdistill.store.processes import Question, answer, answers, free_cores
from tsdistill.store.scan import MOST_TOGETHER, Known, Scanned, Verified

SHOWN = 10
"""Damaged records that are named one by one."""
FEWEST_PER_PART = 256
"""Records that are remembered together; smaller parts of the index are joined."""
PACKED_BYTES = 2**14
"""Bytes of a pack that count as a record."""
ALONE = {"scan": 2_000, "mark": 20_000}
"""Up to so many records, other processes do not pay."""
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, struct.error)
"""What is raised while columns are read that are none, whatever their checksum says."""

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
        results: of every whole record, by dataset and id, with ``"timing"`` and ``"environment"``; not to be
            changed, because records share what is alike.
        digests: SHA-256 of the ``result.json`` of each.
        failures: notes of runs that failed and have not succeeded since.
        damaged: records that are not whole, also those that were set aside and are not there again.
        older: how many records an older version wrote.
        mark: tells what is stored now from whatever was or will be; empty if that can't be told yet, or if
            something is damaged.
    """

    results: Sequence[Row]
    digests: Sequence[str]
    failures: list[dict[str, Any]]
    damaged: list[Damaged]
    older: int
    mark: str = field(default="", repr=False)

    def tell(self) -> None:
        """Say what is left out, to the logger ``tsdistill``."""
        tell_older(self.older, self.damaged)


def tell_older(older: int, damaged: Sequence[Damaged] = ()) -> None:
    """Say that records of an older version, and damaged ones, are left out."""
    for each in damaged[:SHOWN]:
        _log.warning("%s is left out: %s", each.path, each.problem)
    if len(damaged) > SHOWN:
        _log.warning("%d more records are left out as damaged", len(damaged) - SHOWN)
    if damaged:
        _log.warning("`tsdistill runs verify=true` lists what is damaged and says what to run again")
    if older:
        records = "record of an older version is" if older == 1 else "records of an older version are"
        _log.warning("%d %s left out; `tsdistill clean` lists them", older, records)


def list_runs(out: Path, dataset: str | None = None) -> Listing:
    """Read every run under ``out``; each file of a record is held against the manifest.

    With ``dataset``, those of that dataset alone.

    Nothing is changed but the index of what was verified (:mod:`tsdistill.store.index`). Many records are
    looked at by several processes.

    Raises:
        TsdistillError: a folder can't be read.
    """
    folders = _datasets(out, dataset)
    lines: list[_Line] = []
    found = Scanned()
    damaged: list[Damaged] = []
    looks: list[Scanned] = []
    with Index(out) as index, _reading(out):
        asked: deque[Question] = deque()
        scans = answers(_questions(index, folders, asked), _processes(folders, "scan"))
        for folder, scanned in zip(folders, scans, strict=True):
            here, scanned = _remembered(index, asked.popleft(), scanned)
            lines += here
            found.failures += scanned.failures
            found.older += scanned.older
            damaged += [Damaged(folder / name, problem) for name, problem in scanned.damaged]
            looks.append(Scanned(scanned.mark, scanned.age))
        if dataset is None:
            index.keep_only(each.name for each in folders)
    mark = "" if damaged else _mark(folders, looks)
    results, digests = [line.row for line in lines], [line.digest for line in lines]
    return Listing(results, digests, found.failures, damaged, found.older, mark)


def _questions(index: Index, folders: Sequence[Path], asked: "deque[Question]") -> Iterator[Question]:
    """What is to be found out of each data set; it is also put into ``asked``."""
    for folder in folders:
        asked.append(Question(folder, known=index.known(folder.name), packs=index.packs(folder.name)))
        yield asked[-1]


def mark_of_runs(out: Path) -> str:
    """The mark that a listing of ``out`` would have if nothing is damaged; nothing is read or verified.

    Raises:
        TsdistillError: a folder can't be read.
    """
    folders = _datasets(out, None)
    questions = [Question(folder, only_mark=True) for folder in folders]
    with _reading(out):
        return _mark(folders, list(answers(questions, _processes(folders, "mark"))))


def _mark(folders: Sequence[Path], looks: Sequence[Scanned]) -> str:
    if not all(each.mark and each.age > scan.YOUNGEST_SECONDS for each in looks):
        return ""
    told = [(folder.name, each.mark) for folder, each in zip(folders, looks, strict=True)]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _processes(folders: Sequence[Path], work: str) -> int:
    """How many processes to use; a pack counts as the records that it may hold."""
    processes = min(free_cores(), len(folders))
    if processes < 2:
        return 1
    records = 0
    for folder in folders:
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            records += sum(1 + (e.stat().st_size // PACKED_BYTES if is_pack(e.name) else 0) for e in found)
    return processes if records > ALONE[work] else 1


class _Line(NamedTuple):
    """A record of a listing: its key, result, the stamp of its files and the hash of its ``result.json``."""

    name: str
    row: Row
    stamp: str
    digest: str


def _lines(part: Verified, places: Sequence[int] | None = None) -> list[_Line]:
    """The records of a part, or some of them."""
    rows = decode(part.content).rows()
    chosen = range(len(rows)) if places is None else places
    return [_Line(part.names[at], rows[at], part.stamps[at], part.digests[at]) for at in chosen]


def _remembered(index: Index, asked: Question, scanned: Scanned) -> tuple[list[_Line], Scanned]:
    """The whole records of a data set, sorted; the index then holds those that are old enough.

    Where the index is damaged, or another process has changed it meanwhile, the data set is scanned anew.
    """
    folder, dataset = asked.dataset, asked.dataset.name
    try:
        parts = [(each.number, _stored(index, dataset, each)) for each in asked.known]
        return _joined(index, dataset, scanned, parts), scanned
    except _UNREADABLE as error:
        _log.debug("the index of %s is not used: %r", folder, error)
        index.replace(dataset, [each.number for each in index.known(dataset)], [])
        scanned = answer(Question(folder))
        return _joined(index, dataset, scanned, []), scanned


def _stored(index: Index, dataset: str, known: Known) -> Verified:
    found = index.part(dataset, known.number)
    if found is None or found.names != known.names or found.stamps != known.stamps:
        raise ValueError(f"part {known.number} is not what it was")
    return found


def _joined(
    index: Index, dataset: str, scanned: Scanned, parts: Sequence[tuple[int, Verified]]
) -> list[_Line]:
    """The records that the index has and that were verified now; small parts of the index become one."""
    found = [line for part in scanned.verified for line in _lines(part)]
    loose = [line for line in found if line.stamp]
    whole = {number: len(scanned.kept.get(number, ())) == len(part.names) for number, part in parts}
    changes = bool(loose) or not all(whole.values())
    gone = []
    for number, part in parts:
        lines = _lines(part, scanned.kept.get(number, ()))
        found += lines
        if changes and not (whole[number] and len(lines) >= FEWEST_PER_PART):
            gone.append(number)
            loose += lines
    index.replace(dataset, gone, list(_parts(loose)))
    index.replace_packs(dataset, scanned.packs)
    return sorted(found, key=lambda line: line.name)


def _parts(lines: Sequence[_Line]) -> Iterator[Verified]:
    for start in range(0, len(lines), MOST_TOGETHER):
        names, rows, stamps, digests = zip(*lines[start : start + MOST_TOGETHER], strict=True)
        yield Verified(names, stamps, digests, encode(rows))


def held_file(folder: Path, name: str) -> bytes | None:
    """The bytes of one file of a record, held against its manifest; None if it is not there or damaged."""
    try:
        record = contents_of(folder)
        return None if record is None else hold(record, (name,)).files.get(name)
    except (*BROKEN, OSError):
        return None


def iter_results(out: Path) -> Iterator[Mapping[str, Any]]:
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


@contextmanager
def _reading(out: Path) -> Iterator[None]:
    """Say which folder can't be read."""
    try:
        yield
    except OSError as error:
        raise _unreadable(Path(error.filename or out), error) from error


def _unreadable(folder: Path, error: OSError) -> TsdistillError:
    return TsdistillError(f"cannot read {folder}: {error.strerror}; check the permissions")
