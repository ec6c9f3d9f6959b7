"""The UCR archive's text form: one series a row, its label first.

The 2018 archive separates by tabs and pads shorter series with NaN at the end; the 2015 archive separates by
commas; the oldest one by spaces.
"""

from pathlib import Path

import numpy as np

from tsdistill.data.raw import RawPart, trailing_lengths
from tsdistill.data.text import parse_numbers, text_lines
from tsdistill.errors import TsdistillError


def read_tsv(path: Path, trailing_gaps: bool = False) -> RawPart:
    """Read a file in the UCR archive's form.

    Args:
        path: the file.
        trailing_gaps: missing values at the end of a row are gaps of a series of full length, not its end.

    Returns:
        The part, with one channel, float32.

    Raises:
        TsdistillError: the file is not of this form; the message names file and row.
    """
    rows, width, separator = _layout(path)
    values = np.empty((rows, 1, width), dtype=np.float32)
    labels: list[str] = []
    with text_lines(path) as lines:
        for row, line in lines:
            where = f"{path}, row {row}"
            label, numbers = _split(line, separator)
            if not label:
                raise TsdistillError(f"{where}: no label before the values")
            parsed = parse_numbers(numbers, separator, where)
            if len(parsed) != width:
                raise TsdistillError(f"{where}: {len(parsed)} values, where the first row has {width}")
            if np.isnan(parsed).all():
                raise TsdistillError(f"{where}: the series has no value at all")
            values[len(labels), 0] = parsed
            labels.append(label)
    whole = np.full(values.shape[:2], width, dtype=np.int64)
    return RawPart(values, whole if trailing_gaps else trailing_lengths(values), tuple(labels))


def _layout(path: Path) -> tuple[int, int, str]:
    """Number of series, values a series, and the separator."""
    with text_lines(path) as lines:
        row, first = next(lines, (0, ""))
        if not first:
            raise TsdistillError(f"{path}: the file is empty")
        separator = next((mark for mark in ("\t", ",") if mark in first), " ")
        label, numbers = _split(first, separator)
        if not numbers:
            raise TsdistillError(
                f"{path}, row {row}: no values after the label {label[:20]!r} "
                "(a row is a label and values, separated by tabs, commas or spaces)"
            )
        width = len(parse_numbers(numbers, separator, f"{path}, row {row}"))
        return 1 + sum(1 for _ in lines), width, separator


def _split(line: str, separator: str) -> tuple[str, str]:
    """A row's label and the text of its numbers."""
    if separator == " ":
        label, *rest = line.split(maxsplit=1)
        return label, rest[0] if rest else ""
    label, _, numbers = line.partition(separator)
    return label.strip(), numbers.strip()
