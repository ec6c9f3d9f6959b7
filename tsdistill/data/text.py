"""Reading text files row by row, with errors that name the file and the row."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tsdistill.errors import TsdistillError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LARGEST = float(np.finfo(np.float32).max)
_MISSING = {"nan", "?"}


@contextmanager
def text_lines(path: Path) -> Iterator[Iterator[tuple[int, str]]]:
    """Open a text file as an iterator of (row number from 1, line), blank lines left out.

    Lines lose the white space at their end, and spaces (not tabs) at their start.

    Raises:
        TsdistillError: the file is missing, unreadable, empty or not text.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield _numbered(path, iter(file))
    except UnicodeDecodeError as error:
        raise TsdistillError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from None
    except OSError as error:
        raise TsdistillError(f"{path}: cannot be read ({error.strerror})") from None


def _numbered(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    for row, line in enumerate(lines, start=1):
        if "\0" in line:
            raise TsdistillError(f"{path}, row {row}: not a text file (it holds a zero byte)")
        if line.strip():
            yield row, line.rstrip().lstrip(" ")


def parse_numbers(text: str, separator: str, where: str) -> NDArray[np.float32]:
    """Parse one row of numbers; ``NaN`` and ``?`` give NaN.

    Args:
        text: the numbers.
        separator: what stands between them; a space means any white space.
        where: file and row, for the message.

    Returns:
        (T,) float32.

    Raises:
        TsdistillError: a value is not a number, infinite, or too large for float32.
    """
    plain = text.replace("?", "nan")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            parsed = np.fromstring(plain, sep=separator)
    except (ValueError, DeprecationWarning):
        raise TsdistillError(f"{where}: {_first_fault(text, separator)}") from None
    expected = len(text.split()) if separator == " " else text.count(separator) + 1
    with np.errstate(over="ignore"):
        numbers = parsed.astype(np.float32)
    if len(numbers) != expected or np.isinf(numbers).any():
        raise TsdistillError(f"{where}: {_first_fault(text, separator)}")
    return numbers


def _first_fault(text: str, separator: str) -> str:
    """Say which value of a row is not a number."""
    fields = text.split() if separator == " " else text.split(separator)
    for place, raw in enumerate(fields, start=1):
        value = raw.strip()
        shown = value if len(value) <= 20 else value[:20] + "..."
        if not value:
            return f"value {place} is empty (write NaN for a missing value)"
        if value.lower() not in _MISSING and not _NUMBER.fullmatch(value):
            return f"value {place} is {shown!r}, not a finite number"
        if value.lower() not in _MISSING and not abs(float(value)) <= _LARGEST:
            return f"value {place} is {shown!r}, too large for float32"
    return "the numbers cannot be read"


def is_number(text: str) -> bool:
    """Whether the text is a finite decimal number."""
    return _NUMBER.fullmatch(text) is not None and bool(np.isfinite(float(text)))
