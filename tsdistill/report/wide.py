"""All runs as columns, one for each metric and setting: so many values are never rows of objects."""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tsdistill.store.columns import Column, Group

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tsdistill.report.records import Record

_NESTED = (
    "data",
    "validation",
    "test",
    "teacher_validation",
    "teacher_test",
    "reseeded",
    "cost",
    "training",
    "timing",
)
_ON_TEST = ("noise", "reasoning")
"""Blocks that ``tsdistill evaluate`` adds; like ``test`` they are measured on the test part."""


class _Alike(NamedTuple):
    """Records of one group: their places in the report and in the group."""

    group: Group
    rows: "NDArray[Any]"
    places: "NDArray[Any]"


def columns_of(
    records: Sequence["Record"], first: Mapping[str, Sequence[Any]], last: Mapping[str, Sequence[Any]]
) -> dict[str, "pd.Series[Any]"]:
    """Every metric and setting of some records, in the order in which records first have them.

    Args:
        records: of ``read_records``.
        first: columns that come before them, a value a record.
        last: columns that come after those of the first record.

    Returns:
        One column a name; NaN where a record lacks it.
    """
    import pandas as pd

    alike = _grouped(records)
    leaves = [dict(_leaves(each)) for each in alike]
    names = dict.fromkeys(name for each in leaves for name in (*each, *last))
    found = {name: pd.Series(_inferred(values)) for name, values in first.items()}
    for name in names:
        if name in last:
            found[name] = pd.Series(_inferred(last[name]))
            continue
        parts = [(each, here[name]) for each, here in zip(alike, leaves, strict=True) if name in here]
        found[name] = pd.Series(_column(parts, len(records))).reset_index(drop=True)
    return found


def _grouped(records: Sequence["Record"]) -> list[_Alike]:
    import numpy as np

    found: dict[int, tuple[Group, list[int], list[int]]] = {}
    for at, record in enumerate(records):
        _, rows, places = found.setdefault(id(record.row.group), (record.row.group, [], []))
        rows.append(at)
        places.append(record.row.at)
    return [_Alike(group, np.array(rows), np.array(places)) for group, rows, places in found.values()]


def _leaves(alike: _Alike) -> Iterator[tuple[str, Column]]:
    """The columns that a group's records have in the report, by name."""
    columns = alike.group.columns
    for part in (*_NESTED, *_ON_TEST):
        place = alike.group.places.get(part)
        if place is None or isinstance(place, int):
            continue
        column = "test" if part in _ON_TEST else part
        for name, at in place.items():
            figures = _figures(columns[at])
            if figures is None:
                continue
            if part == "reasoning" and name.startswith("teacher_"):  # what its own maps are worth
                yield f"teacher_test.{name.removeprefix('teacher_')}", figures
            else:
                yield f"{column}.{name}", figures
    settings = alike.group.places.get("settings")
    if isinstance(settings, Mapping):
        yield from ((f"setting.{key}", columns[at]) for key, at in settings.items())


def _figures(column: Column) -> Column | None:
    """A column without the lists and blocks in it; None if it has nothing else."""
    if isinstance(column.values, array):
        return column
    inner = [isinstance(value, dict | list) for value in column.values]
    if not any(inner):
        return column
    kept = [math.nan if is_inner else v for v, is_inner in zip(column.values, inner, strict=True)]
    return None if all(inner) else Column(kept, column.codes)


def _column(parts: Sequence[tuple[_Alike, Column]], size: int) -> Any:
    """A column of the report from those of its groups."""
    import numpy as np

    if all(isinstance(column.values, array) for _, column in parts):
        doubles = np.full(size, np.nan)
        for alike, column in parts:
            doubles[alike.rows] = np.asarray(column.values)[alike.places]
        return doubles
    values: list[Any] = [math.nan]  # of a row that lacks the column
    which = np.zeros(size, dtype=np.intp)
    for alike, column in parts:
        codes = None if column.codes is None else np.frombuffer(column.codes, np.uint8).astype(np.intp)
        which[alike.rows] = len(values) + (alike.places if codes is None else codes[alike.places])
        values.extend(column.values)
    used, which = np.unique(which, return_inverse=True)
    return _inferred(values[at] for at in used).take(which)


def _inferred(values: "Iterable[Any]") -> Any:
    """Values of the type that pandas gives a column of a table made of rows."""
    import pandas as pd

    return pd.DataFrame([[value] for value in values])[0]
