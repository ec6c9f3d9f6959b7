"""A long table: one value a row, with the series, the time and the channel that it belongs to."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.own import OwnFiles
from tsdistill.data.raw import RawPart, refuse_vast
from tsdistill.data.text import is_number, text_lines
from tsdistill.data.types import IntArray
from tsdistill.data.wide import read_header, read_parquet
from tsdistill.errors import TsdistillError, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LongReader(OwnFiles):
    """Reads a long CSV, TSV or Parquet table.

    The steps of a series are the times at which any of its channels has a row, in their order; a channel
    without a row at a step has a gap there, and has ended after its last row.

    Attributes:
        id: the column that tells series apart.
        time: the column of times, numbers or ISO 8601 dates.
        channel: the column of channels; None if there is one channel.
        value: the column of values; an empty one is a gap.
        label: the column of labels, the same in all rows of a series.
    """

    id: str = "id"
    time: str = "time"
    channel: str | None = None
    value: str = "value"
    label: str = "label"

    def read_part(self, path: Path, is_parquet: bool | None = None) -> RawPart:
        """Read one table; whether it is in Parquet is told by the ending, unless it is said."""
        frame = self._read_frame(path, path.suffix == ".parquet" if is_parquet is None else is_parquet)
        series, ids = _codes(frame[self.id].astype(str))
        channel, channels = (
            _codes(frame[self.channel].astype(str), in_order=True)
            if self.channel
            else (np.zeros(len(frame), np.int64), [""])
        )
        labels = _labels(frame[self.label].astype(str).to_numpy(), series, ids, _Rows(path, frame))
        numbers = _numbers(frame[self.value], _Rows(path, frame))
        step = _steps(series, _times(frame[self.time], _Rows(path, frame)))
        shape = (len(ids), len(channels), int(step.max()) + 1)
        longest = ids[series[step.argmax()]]
        refuse_vast(shape, len(frame), str(path), f"shorten series {longest!r} or leave it out")
        cell = np.ravel_multi_index((series, channel, step), shape)
        _refuse_doubles(cell, _Rows(path, frame))
        values = np.full(shape, np.nan, dtype=np.float32)
        values.reshape(-1)[cell] = numbers
        lengths = np.zeros(shape[:2], dtype=np.int64)
        np.maximum.at(lengths, (series, channel), step + 1)
        for n, c in np.argwhere(lengths == 0):
            raise TsdistillError(f"{path}: series {ids[n]!r} has no row of channel {channels[c]!r}")
        for n in np.flatnonzero(np.isnan(values).all(axis=(1, 2))):
            raise TsdistillError(f"{path}: series {ids[n]!r} has no value at all")
        return RawPart(values, lengths, tuple(labels), tuple(channels) if self.channel else ())

    def _read_frame(self, path: Path, is_parquet: bool) -> "pd.DataFrame":
        """The table's columns that matter, as text or as Parquet has them."""
        import pandas as pd

        named = {"id": self.id, "time": self.time, "value": self.value, "label": self.label}
        if self.channel:
            named["channel"] = self.channel
        if is_parquet:
            frame = read_parquet(path)
            self._check_columns(path, named, [str(column) for column in frame.columns])
        else:
            with text_lines(path) as lines:
                header, records = read_header(path, lines)
                self._check_columns(path, named, header)
                at = {column: header.index(column) for column in named.values()}
                frame = _collect(path, header, at, records)
            frame = pd.DataFrame(frame).set_index("row number")
        if not len(frame):
            raise TsdistillError(f"{path}: no rows after the header")
        for key in ("id", "label", "channel"):
            if key in named:
                column = frame[named[key]]
                empty = (column.isna() | (column.astype(str) == "")).to_numpy()
                if empty.any():
                    raise TsdistillError(f"{_Rows(path, frame).at(int(empty.argmax()))}: the {key} is empty")
        return frame

    @staticmethod
    def _check_columns(path: Path, named: dict[str, str], header: list[str]) -> None:
        for key, column in named.items():
            if column not in header:
                raise TsdistillError(
                    f"{path} has no column {column!r} (dataset.{key}); {nearest(column, header)}"
                )


def _collect(path: Path, header: list[str], at: dict[str, int], records: Any) -> dict[str, list[Any]]:
    """The columns of a text table, and the row number of each of its rows."""
    columns: dict[str, list[Any]] = {column: [] for column in at}
    rows: list[int] = []
    # One string object for all equal fields: ids, channels and labels repeat thousands of times.
    same: dict[str, str] = {}
    for row, fields in records:
        if len(fields) != len(header):
            raise TsdistillError(f"{path}, row {row}: {len(fields)} fields, but the header has {len(header)}")
        rows.append(row)
        for column, place in at.items():
            field = fields[place].strip()
            columns[column].append(same.setdefault(field, field) if len(same) < 100_000 else field)
    return {"row number": rows, **columns}


@dataclass(frozen=True)
class _Rows:
    """Names the file's row of a row of the frame."""

    path: Path
    frame: "pd.DataFrame"

    def at(self, place: int) -> str:
        return f"{self.path}, row {self.frame.index[place] + (0 if self.frame.index.name else 1)}"


def _codes(column: "pd.Series[Any]", in_order: bool = False) -> tuple[IntArray, list[str]]:
    """Number the values of a column: by first appearance, or ``in_order`` of number or character."""
    import pandas as pd

    codes, found = pd.factorize(column.to_numpy(dtype=object))
    values = [str(value) for value in found]
    if not in_order:
        return codes.astype(np.int64), values
    numeric = all(is_number(value) for value in values)
    order = sorted(range(len(values)), key=lambda i: (float(values[i]) if numeric else 0.0, values[i]))
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values))
    return rank[codes], [values[i] for i in order]


def _labels(label: NDArray[Any], series: IntArray, ids: list[str], rows: _Rows) -> list[str]:
    """The label of each series; refuse a series with two."""
    _, first = np.unique(series, return_index=True)
    differs = label != label[first][series]
    if differs.any():
        place = int(differs.argmax())
        raise TsdistillError(
            f"{rows.at(place)}: series {ids[series[place]]!r} has the label {label[place]!r}, "
            f"and {label[first][series[place]]!r} before"
        )
    return [str(one) for one in label[first]]


def _numbers(column: "pd.Series[Any]", rows: _Rows) -> NDArray[np.float64]:
    """The values; an empty field, ``nan`` and ``?`` are NaN."""
    if column.dtype.kind in "iufb":
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.isinf(numbers)
    else:
        texts = column.fillna("").astype(str)
        missing = texts.str.lower().isin(["", "nan", "?"]).to_numpy()
        bad = ~missing & ~texts.map(is_number).to_numpy(dtype=bool)
        numbers = np.where(missing, "nan", texts.to_numpy(dtype=object))
        numbers = np.where(bad, "nan", numbers).astype(np.float64)
    if bad.any():
        place = int(bad.argmax())
        raise TsdistillError(
            f"{rows.at(place)}: the value is {str(column.iloc[place])[:20]!r}, not a finite number"
        )
    return np.asarray(numbers, dtype=np.float64)


def _times(column: "pd.Series[Any]", rows: _Rows) -> NDArray[Any]:
    """The times as sortable numbers."""
    import pandas as pd

    if column.dtype.kind not in "iufM":
        numbers = pd.to_numeric(column, errors="coerce")
        dates = pd.to_datetime(column, errors="coerce", format="ISO8601", utc=True)
        column_as = dates if numbers.isna().sum() > dates.isna().sum() else numbers
    else:
        column_as = column
    bad = column_as.isna().to_numpy()
    if bad.any():
        place = int(bad.argmax())
        raise TsdistillError(
            f"{rows.at(place)}: the time is {str(column.iloc[place])[:20]!r}, not a number or an ISO date"
        )
    times: NDArray[Any] = column_as.to_numpy()
    return times


def _steps(series: IntArray, times: NDArray[Any]) -> IntArray:
    """The place of each row's time among the distinct times of its series."""
    order = np.lexsort((times, series))
    s, t = series[order], times[order]
    starts = np.r_[True, s[1:] != s[:-1]]
    count = np.cumsum(starts | np.r_[True, t[1:] != t[:-1]])
    first = np.maximum.accumulate(np.where(starts, count, 0))
    step = np.empty(len(series), dtype=np.int64)
    step[order] = count - first
    return step


def _refuse_doubles(cell: IntArray, rows: _Rows) -> None:
    order = np.argsort(cell, kind="stable")
    double = np.flatnonzero(cell[order][1:] == cell[order][:-1])
    if len(double):
        place = int(order[double[0] + 1])
        raise TsdistillError(f"{rows.at(place)}: the series already has a value of this channel at this time")
