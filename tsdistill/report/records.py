"""Run records as one tidy frame: a row a run, failed runs included."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.errors import TsdistillError, nearest
from tsdistill.report.order import natural
from tsdistill.report.settings import Tune, shown, split_settings
from tsdistill.store.columns import Row, decode, encode
from tsdistill.store.listing import Listing
from tsdistill.store.records import run_folder
from tsdistill.store.where import Where

if TYPE_CHECKING:
    import pandas as pd

FILTERS = ("dataset", "method", "teacher", "student")
"""What a report can be narrowed to."""

DAMAGED_SHOWN = 3
"""Damaged records that are named under a table."""

PAIR = ["teacher", "student"]
ROW = ["dataset", "teacher", "student", "method", "variant"]
"""A row of the tables; ``variant`` is the method's name with the settings in which its runs differ."""

_IDENTITY_KEYS = frozenset({"seed", "trial", "dataset.name", "teacher.name", "student.name", "method.name"})
_OF_TEACHER = frozenset({"split.seed", "teacher.seeds"})
"""Settings that decide which teacher a run has, beside its name."""
_UNSET = "unset"


def damaged_note(listings: Iterable[Listing]) -> list[str]:
    """One sentence on the records that are left out because they are damaged, if there are any."""
    damaged = [each for listing in listings for each in listing.damaged]
    if not damaged:
        return []
    named = "; ".join(f"{each.name}: {each.problem}" for each in damaged[:DAMAGED_SHOWN])
    more = f"; and {len(damaged) - DAMAGED_SHOWN} more" if len(damaged) > DAMAGED_SHOWN else ""
    return [
        f"Damaged records left out: {len(damaged)} ({named}{more}). "
        "`tsdistill runs verify=true` says what to run again."
    ]


class Record(Mapping[str, Any]):
    """A stored result, or the note of a failed run, and where it lies.

    Attributes:
        row: what is stored.
        out: the folder that ``distill`` wrote into.
        digest: SHA-256 of the ``result.json``; empty for a failed run.
    """

    __slots__ = ("digest", "out", "row")

    def __init__(self, row: Row, out: Path, digest: str = "") -> None:
        self.row, self.out, self.digest = row, out, digest

    def __getitem__(self, name: str) -> Any:
        return self.row[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.row)

    def __len__(self) -> int:
        return len(self.row)

    @property
    def folder(self) -> str:
        """Where the record lies; empty for a failed run."""
        return str(run_folder(self.out, self["dataset"], self["id"])) if self.digest else ""


def as_records(results: Sequence[Mapping[str, Any]], out: Path = Path()) -> list[Record]:
    """Results that no index holds, such as notes of failed runs, as records."""
    return [Record(row, out) for row in decode(encode(results)).rows()]


def read_records(listings: Mapping[Path, Listing]) -> list[Record]:
    """Gather the run records and failures of some folders, and say what is left out.

    Args:
        listings: what ``list_runs`` found under each folder that ``distill`` wrote into.

    Returns:
        Every record; a run that lies in several folders once, from the first.

    Raises:
        TsdistillError: no record is stored in one of them.
    """
    found: dict[tuple[str, str], Record] = {}
    for out, listing in listings.items():
        listing.tell()
        stored = list(_stored(listing, out))
        if not stored:
            raise TsdistillError(
                f"no run records under {out}: run `tsdistill distill` first, or name its folder"
            )
        for record in stored:
            before = found.setdefault((record["dataset"], record["id"]), record)
            if before["status"] == "failed" and record["status"] == "ok":
                found[record["dataset"], record["id"]] = record
    return list(found.values())


def names_in(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Names of all data sets, methods, teachers and students of some records."""
    return {str(record[key]) for record in records for key in FILTERS}


def kept_records(
    records: Sequence[Record],
    filters: Mapping[str, str | Sequence[str]],
    where: str | None = None,
) -> Sequence[Record]:
    """The records that pass.

    Args:
        records: of ``read_records``.
        filters: names to keep for any of ``FILTERS``, each a sequence or a comma-separated string.
        where: a filter over anything stored, see ``tsdistill.store.where.Where``.

    Raises:
        TsdistillError: a filter is misspelt or matches nothing.
    """
    kept = _kept(records, filters)
    return kept if where is None else Where(where).kept(kept)


def frame_of_runs(
    records: Sequence[Record], tune: Tune = "equal", vary: Sequence[str] = ()
) -> "pd.DataFrame":
    """Lay records and failures out as a frame.

    Args:
        records: of ``kept_records``.
        tune: when one of a method's settings may be selected, see ``split_settings``.
        vary: settings that were varied on purpose.

    Returns:
        One row a run, sorted by row, trial, seed and id. ``status`` is "ok" or "failed"; ``variant`` names
        the table row; ``settings`` and ``default`` are those of ``split_settings``; ``config`` names the
        values of the method's grid; ``version`` stands for its code and, unless each seed has its own, for
        its teacher; metrics are ``test.<name>``, ``validation.<name>``, ``teacher_test.<name>`` and
        ``reseeded.<name>`` (float, NaN where undefined); ``series`` names the method and what differs apart
        from ``vary``; settings are ``setting.<key>``; ``flags`` is a tuple of names;
        ``sha256`` is the record's digest.
    """
    import pandas as pd

    from tsdistill.report.wide import columns_of

    grids = _grids(records)
    seeds = _own_seeds(records)
    apart = _teachers_apart(records, grids, seeds, vary)
    suffixes = variant_suffixes(records, grids, apart)
    rows = []
    for record, suffix, series in zip(records, suffixes, _series(records, vary), strict=True):
        row = _identity(record, suffix, grids[_group(record)])
        row["teacher"] += _suffix(record, sorted(apart[_group(record)[:2]]))
        if seeds[_group(record)] & _OF_TEACHER:  # each seed has a teacher of its own
            row["version"] = record.get("code") or ""
        rows.append(row | {"series": series})
    told = split_settings(rows, tune)
    ends = ("series", "default", "settings")
    first = {name: [row[name] for row in told] for name in told[0] if name not in ends}
    last = {name: [row[name] for row in told] for name in ends}
    del rows, told
    frame = pd.DataFrame(columns_of(records, first, last))
    frame["sha256"] = [record.digest for record in records]
    metrics = [
        name for name in frame.columns if name.startswith(("test.", "validation.", "teacher_", "reseeded."))
    ]
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in metrics if name != "teacher_id"}
    frame = frame.assign(**numbers).copy()  # in one piece: pandas complains of columns that came singly
    order = [*ROW, "trial", "seed", "id"]
    return frame.sort_values(
        order,
        ignore_index=True,
        kind="stable",
        key=lambda column: column.map(natural) if column.name in ROW else column,
    )


def variant_suffixes(
    records: Sequence[Mapping[str, Any]],
    grids: Mapping[tuple[str, ...], frozenset[str]],
    apart: Mapping[tuple[str, ...], Collection[str]] | None = None,
) -> list[str]:
    """Name the settings, outside the grid, in which runs of one method differ.

    Settings of the data set are compared within a data set only: sets may well be read in different ways.
    A setting that is each run's own seed, as under ``split.seed=${seed}``, is no difference.

    Args:
        records: run records, failed ones included.
        grids: the keys that each (teacher, student, method) selects over.
        apart: settings that tell the teachers of each (teacher, student) apart, and name those instead.

    Returns:
        For each record ``""`` or, say, ``" [saliency.perturbations=50]"``.
    """
    keys: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in records:
        keys[_group(record)].update(record["settings"])
    seeds = _own_seeds(records)
    compared = {group: found - grids[group] - seeds[group] - _IDENTITY_KEYS for group, found in keys.items()}
    seen: dict[tuple[tuple[str, ...], str, str], set[str]] = defaultdict(set)
    looked: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for record in records:
        group, settings = _group(record), record["settings"]
        one = (group, record["dataset"], id(settings))  # records share what is alike
        if one in looked:
            continue
        looked[one] = settings  # so that no other gets its id
        for key in compared[group]:
            scope = record["dataset"] if key.startswith("dataset.") else ""
            seen[group, scope, key].add(repr(settings.get(key, _UNSET)))
    differing: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for (group, _, key), values in seen.items():
        if len(values) > 1:
            differing[group].add(key)
    for group, found in differing.items():
        found -= set((apart or {}).get(group[:2], ()))
    return [_suffix(record, sorted(differing[_group(record)])) for record in records]


def _teachers_apart(
    records: Sequence[Mapping[str, Any]],
    grids: Mapping[tuple[str, ...], frozenset[str]],
    seeds: Mapping[tuple[str, ...], set[str]],
    vary: Sequence[str],
) -> dict[tuple[str, ...], set[str]]:
    """The settings in which teachers of one name differ between the methods of a (teacher, student).

    Students of different teachers are not to be compared, so each of these gets tables of its own. Settings
    that are varied on purpose, or that each run takes from its seed, are no difference.
    """
    found: dict[tuple[str, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    left_out: dict[tuple[str, ...], set[str]] = defaultdict(set)
    names: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in records:
        group, pair = _group(record), _group(record)[:2]
        left_out[pair] |= (seeds[group] & _OF_TEACHER) | grids[group] | {*vary, "teacher.name"}
        names[pair] |= {key for key in record["settings"] if key.startswith("teacher.")}
    looked: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for record in records:
        pair = _group(record)[:2]
        if (one := (pair, id(record["settings"]))) in looked:  # records share what is alike
            continue
        looked[one] = record["settings"]  # so that no other gets its id
        for key in names[pair] - left_out[pair]:
            found[pair][key].add(repr(record["settings"].get(key, _UNSET)))
    return defaultdict(
        set, {pair: {k for k, v in keys.items() if len(v) > 1} for pair, keys in found.items()}
    )


def _own_seeds(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], set[str]]:
    """Settings that are the run's own seed in all runs of each (teacher, student, method)."""
    found: dict[tuple[str, ...], set[str]] = {}
    turned: dict[int, tuple[Mapping[str, Any], dict[Any, set[str]]]] = {}
    for record in records:
        settings, seed = record["settings"], record["seed"]
        if id(settings) not in turned:  # kept with its turned form, so that no other gets its id
            turned[id(settings)] = (settings, _keys_by_value(settings))
        by_value = turned[id(settings)][1]
        own = by_value.get(seed, set()) | by_value.get((seed,), set())
        found[_group(record)] = found.get(_group(record), own) & own
    return found


def _keys_by_value(settings: Mapping[str, Any]) -> dict[Any, set[str]]:
    """The keys of each number, and of each list of one, which is a tuple here."""
    found: dict[Any, set[str]] = {}
    for key, value in settings.items():
        one = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(one, int | float) and not isinstance(value, bool):
            found.setdefault((one,) if isinstance(value, list) else one, set()).add(key)
    return found


def _series(records: Sequence[Mapping[str, Any]], vary: Sequence[str]) -> list[str]:
    """The method of each record, with the settings that differ apart from those varied on purpose."""
    if not vary:
        return [record["method"] for record in records]
    bare = [
        {**record, "settings": {key: v for key, v in record["settings"].items() if key not in vary}}
        for record in records
    ]
    suffixes = variant_suffixes(bare, defaultdict(frozenset))
    return [record["method"] + suffix for record, suffix in zip(records, suffixes, strict=True)]


def _suffix(record: Mapping[str, Any], keys: Sequence[str]) -> str:
    if not keys:
        return ""
    settings = record["settings"]
    return " [" + ", ".join(f"{key}={shown(settings.get(key, _UNSET))}" for key in keys) + "]"


def _group(record: Mapping[str, Any]) -> tuple[str, ...]:
    return (record["teacher"], record["student"], record["method"])


def _grids(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], frozenset[str]]:
    keys: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in records:
        keys[_group(record)].update(record.get("grid_keys", ()))
    return {group: frozenset(found) for group, found in keys.items()}


def _identity(record: Record, suffix: str, grid: frozenset[str]) -> dict[str, Any]:
    """What tells a run from the others, and what its table row is made of."""
    settings = record["settings"]
    return {
        "id": record["id"],
        "status": record["status"],
        "dataset": record["dataset"],
        "teacher": record["teacher"],
        "student": record["student"],
        "method": record["method"],
        "variant": record["method"] + suffix,
        "seed": record["seed"],
        "trial": record["trial"],
        "config": ", ".join(f"{key}={shown(settings.get(key, _UNSET))}" for key in sorted(grid)),
        "grid": {key: settings.get(key, _UNSET) for key in sorted(grid)},
        "flags": tuple(record.get("flags", ())),
        "error": record.get("error", ""),
        "folder": record.folder,
        "out": str(record.out),
        "environment": record.get("environment") or {},
        "teacher_id": record.get("teacher_id", ""),
        "version": ":".join([record.get("teacher_id", ""), record.get("code") or ""]),
        "has_validation": bool(record.get("validation")),
    }


def _kept(records: Sequence[Record], filters: Mapping[str, str | Sequence[str]]) -> list[Record]:
    kept = list(records)
    for key, wanted in filters.items():
        if key not in FILTERS:
            raise TsdistillError(f"a report cannot be filtered by '{key}': {nearest(key, FILTERS)}")
        named = wanted.split(",") if isinstance(wanted, str) else list(wanted)
        names = {name.strip() for name in named}
        known = {record[key] for record in records}
        for name in sorted(names - known):
            raise TsdistillError(f"no stored run has {key}={name}: {nearest(name, known)}")
        kept = [record for record in kept if record[key] in names]
    if not kept:
        shown = " ".join(f"{key}={value}" for key, value in filters.items())
        raise TsdistillError(f"no stored run matches {shown} together: loosen one of them")
    return kept


def _stored(listing: Listing, out: Path) -> Iterator[Record]:
    """Every whole record, then every failure whose run has not succeeded since."""
    for row, digest in zip(listing.results, listing.digests, strict=True):
        yield Record(row, out, digest)
    yield from as_records(listing.failures, out)
