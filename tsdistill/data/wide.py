"""A wide table: one series a row, a column for its label, every other column a step in time."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdistill.data.own import OwnFiles
from tsdistill.data.raw import RawPart, Values, trailing_lengths
from tsdistill.data.text import parse_numbers, text_lines
from tsdistill.errors import TsdistillError, nearest


@dataclass(frozen=True)
class WideReader(OwnFiles):
    """Reads CSV, TSV (told by the header) or Parquet (told by the ending); one channel.

    An empty field is a missing value; missing values at the end of a row mean that the series has ended.

    Attributes:
        label: the column of the labels.
        drop: columns that are neither label nor values, such as an identifier.
    """

    label: str = "label"
    drop: Sequence[str] = ()

    def read_part(self, path: Path) -> RawPart:
        """Read one table."""
        values, labels = self._read_parquet(path) if path.suffix == ".parquet" else self._read_text(path)
        return RawPart(values, trailing_lengths(values), labels)

    def _read_text(self, path: Path) -> tuple[Values, tuple[str, ...]]:
        rows: list[Values] = []
        labels: list[str] = []
        with text_lines(path) as lines:
            header, records = read_header(path, lines)
            at_label, at_values = self._columns(path, header)
            for row, fields in records:
                where = f"{path}, row {row}"
                check_width(where, fields, header)
                if not fields[at_label].strip():
                    raise TsdistillError(f"{where}: the label is empty")
                values = [fields[i].strip() for i in at_values]
                if not rows:
                    _refuse_words(where, header, at_values, values)
                rows.append(numbers_of(values, where))
                if np.isnan(rows[-1]).all():
                    raise TsdistillError(f"{where}: the series has no value at all")
                labels.append(fields[at_label].strip())
        if not rows:
            raise TsdistillError(f"{path}: no series after the header")
        return np.stack(rows)[:, None, :], tuple(labels)

    def _read_parquet(self, path: Path) -> tuple[Values, tuple[str, ...]]:
        frame = read_parquet(path)
        at_label, at_values = self._columns(path, [str(column) for column in frame.columns])
        for i in at_values:
            if frame.dtypes.iloc[i].kind not in "iufb":
                raise TsdistillError(
                    f"{path}, column {frame.columns[i]!r}: not numbers; name it in dataset.drop"
                )
        values = frame.iloc[:, at_values].to_numpy(dtype=np.float32, na_value=np.nan)
        if not len(values):
            raise TsdistillError(f"{path}: the table has no rows")
        for row, one in enumerate(values, start=1):
            if np.isinf(one).any():
                raise TsdistillError(f"{path}, row {row}: a value is infinite, or too large for float32")
            if np.isnan(one).all():
                raise TsdistillError(f"{path}, row {row}: the series has no value at all")
        label = frame.iloc[:, at_label]
        if label.isna().any():
            raise TsdistillError(
                f"{path}, row {int(np.argmax(label.isna().to_numpy())) + 1}: the label is empty"
            )
        return values[:, None, :], tuple(str(one) for one in label)

    def _columns(self, path: Path, header: list[str]) -> tuple[int, list[int]]:
        """Index of the label's column, and of the values' columns."""
        for key, column in (("label", self.label), *(("drop", one) for one in self.drop)):
            if column not in header:
                raise TsdistillError(
                    f"{path} has no column {column!r} (dataset.{key}); {nearest(column, header)}"
                )
        values = [i for i, column in enumerate(header) if column != self.label and column not in self.drop]
        if not values:
            raise TsdistillError(f"{path}: no column of values beside {', '.join(header)}")
        return header.index(self.label), values


def _refuse_words(where: str, header: Sequence[str], at_values: Sequence[int], values: Sequence[str]) -> None:
    """Refuse words in the first row: their column is most likely no timestep, such as an identifier."""
    for i, value in zip(at_values, values, strict=True):
        if value[:1].isalpha() and value.lower() not in ("nan", "inf", "infinity"):
            raise TsdistillError(
                f"{where}, column {header[i]!r}: {value[:20]!r} is no finite number; "
                "a column that is no timestep goes into dataset.drop"
            )


def read_header(
    path: Path, lines: Iterator[tuple[int, str]]
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Read a text table's header, and give an iterator of (row number, fields) over the rest.

    The separator is the tab, the semicolon or the comma, whichever the header has first in this order.

    Raises:
        TsdistillError: the file is empty, or two columns have one name.
    """
    row, first = next(lines, (0, ""))
    if not first:
        raise TsdistillError(f"{path}: the file is empty")
    separator = next((mark for mark in ("\t", ";") if mark in first), ",")
    header = [column.strip() for column in fields_of(first, separator, f"{path}, row {row}")]
    if len(set(header)) < len(header):
        double = Counter(header).most_common(1)[0][0]
        raise TsdistillError(f"{path}, row {row}: two columns are named {double[:20]!r}")
    return header, ((n, fields_of(line, separator, f"{path}, row {n}")) for n, line in lines)


def fields_of(line: str, separator: str, where: str) -> list[str]:
    """The fields of one row of a text table."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error as error:
        most = csv.field_size_limit()
        long = f"a field is longer than {most:,} signs; is the separator a tab, semicolon or comma?"
        raise TsdistillError(f"{where}: {long if 'limit' in str(error) else error}") from None


def numbers_of(fields: Sequence[str], where: str) -> Values:
    """Parse the fields of a row, (T,) float32; an empty one is NaN.

    Raises:
        TsdistillError: a field is no number, or has a decimal comma.
    """
    at = next((at for at, field in enumerate(fields, 1) if "," in field), None)
    if at is not None:
        raise TsdistillError(f"{where}: value {at} is {fields[at - 1][:20]!r}; write decimals with a point")
    return parse_numbers(",".join(field or "nan" for field in fields), ",", where)


def check_width(where: str, fields: Sequence[str], header: Sequence[str]) -> None:
    """Refuse a row that has not as many fields as the header."""
    if len(fields) != len(header):
        raise TsdistillError(f"{where}: {len(fields)} fields, but the header has {len(header)}")


def read_parquet(path: Path) -> "pd.DataFrame":  # type: ignore[name-defined]  # noqa: F821
    """Read a Parquet file, or say what is missing for it."""
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise TsdistillError(
            f"{path}: reading Parquet needs pyarrow; pip install 'tsdistill[parquet]'"
        ) from None
    except (OSError, ValueError) as error:
        raise TsdistillError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from None
