"""Numbers that others published, shown beside ours: never ranked, never tested against them."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tsdistill.errors import TsdistillError, nearest

COLUMNS = ("dataset", "name", "metric", "value", "protocol")
"""What a file has to have, in any order: a row a number."""


@dataclass(frozen=True)
class Published:
    """One column of published numbers.

    Attributes:
        name: whose numbers they are.
        metric: which of our metrics they are.
        protocol: how they came about.
        values: by data set.
    """

    name: str
    metric: str
    protocol: str
    values: Mapping[str, float]


def read_published(path: Path) -> list[Published]:
    """Read a file of published numbers.

    Args:
        path: CSV with a header that names ``COLUMNS``; ``protocol`` says how the numbers of a name came about
            and is the same in all its rows.

    Returns:
        One for each name and metric, in the order of the file.

    Raises:
        TsdistillError: the file can't be read, or is not of this form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        told = (isinstance(error, OSError) and error.strerror) or error
        raise TsdistillError(f"published={path}: it can't be read: {told}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    protocols: dict[str, str] = {}
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise _malformed(
                path, 1, f"the header lacks {', '.join(missing)}; it should name " + ", ".join(COLUMNS)
            )
        for row in reader:
            dataset, name, metric, value, protocol = _fields(row, path, reader.line_num)
            if protocols.setdefault(name, protocol) != protocol:
                raise _malformed(path, reader.line_num, f"{name} has another protocol in an earlier row")
            if dataset in values[name, metric]:
                told = f"a second {metric} of {name} on {dataset}"
                raise _malformed(path, reader.line_num, told)
            values[name, metric][dataset] = value
    except csv.Error as error:
        raise _malformed(path, reader.line_num, str(error)) from error
    if not values:
        raise _malformed(path, reader.line_num, "no row follows the header")
    return [Published(name, metric, protocols[name], found) for (name, metric), found in values.items()]


def _fields(row: Mapping[str, str | None], path: Path, line: int) -> tuple[str, str, str, float, str]:
    """The fields of a row, checked."""
    if None in row or None in row.values():
        raise _malformed(path, line, f"it has not as many fields as the header ({len(row)} expected)")
    found = {key: str(row[key]).strip() for key in COLUMNS}
    empty = [key for key, value in found.items() if not value]
    if empty:
        raise _malformed(path, line, f"{', '.join(empty)} is empty")
    try:
        value = float(found["value"])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _malformed(path, line, f"value={found['value']} is not a number")
    return found["dataset"], found["name"], found["metric"], value, found["protocol"]


def check_published(path: Path, published: list[Published], datasets: set[str], metrics: set[str]) -> None:
    """Make sure that there is something to stand beside.

    Args:
        path: the file, for the message.
        published: what it holds.
        datasets: those of the report.
        metrics: those that the report has tables of.

    Raises:
        TsdistillError: a metric has no table here, or no data set is one of the report's.
    """
    for each in published:
        if each.metric not in metrics:
            near = nearest(each.metric, metrics)
            raise TsdistillError(f"published={path}: the report has no table of '{each.metric}': {near}")
    if not any(datasets & set(each.values) for each in published):
        first = next(iter(published[0].values))
        raise TsdistillError(
            f"published={path}: none of its data sets is in the report; '{first}': {nearest(first, datasets)}"
        )


def _malformed(path: Path, line: int, problem: str) -> TsdistillError:
    return TsdistillError(f"published={path}, line {line}: {problem}")
