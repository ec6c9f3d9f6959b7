"""Series without labels, in each form that a dataset of the user's may have."""

import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tsdistill.data.long import LongReader
from tsdistill.data.npz import load_arrays, part_of
from tsdistill.data.raw import RawPart, Values, refuse_vast, trailing_lengths
from tsdistill.data.text import is_number, text_lines
from tsdistill.data.ts import read_ts
from tsdistill.data.wide import check_width, fields_of, numbers_of, read_parquet
from tsdistill.errors import TsdistillError

_LONG, _WIDE = (f"tsdistill.data.{name}" for name in ("long.LongReader", "wide.WideReader"))


@dataclass(frozen=True)
class Columns:
    """How the tables of a dataset are laid out, so that tables of new series are read alike.

    Attributes:
        long: settings of the reader of long tables (``id``, ``time``, ``channel``, ``value``); None for wide.
        ignored: columns of a wide table that hold no values, such as the label's; they may be missing.
    """

    long: Mapping[str, Any] | None = None
    ignored: tuple[str, ...] = ()

    @classmethod
    def of(cls, conf: Mapping[str, Any]) -> "Columns":
        """Read it from a dataset's config."""
        if conf["_target_"] == _LONG:
            return cls({key: conf[key] for key in ("id", "time", "channel", "value") if key in conf})
        if conf["_target_"] == _WIDE:
            return cls(ignored=(conf.get("label", "label"), *conf.get("drop", ())))
        return cls()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


def read_unlabelled(source: str, columns: Columns, length: int, labelled: bool | None = None) -> RawPart:
    """Read series from a file or a pipe; what form it has is told by its content.

    Forms: a table in text or Parquet (long where the dataset's is long, else one univariate series a row), a
    NumPy archive with ``x`` and perhaps ``lengths``, and ``.ts``. A row of a text table may be separated by
    tabs, semicolons, commas or spaces; a first row that does not begin with a number is a header.

    Args:
        source: a path, or ``-`` for standard input.
        columns: how the dataset's tables are laid out.
        length: steps that the student knows, to notice a label that would be taken for a value.
        labelled: whether the first value of a row in a table without a header is a label; None if unknown.

    Returns:
        The series; their labels are their names: the ``id`` of a long table, else their numbers from 1.

    Raises:
        TsdistillError: no such file, or it does not have such a form; the message names file and row.
    """
    with _as_file(source) as path:
        try:
            return _reader_of(path, columns, length, labelled)(path)
        except TsdistillError as error:
            raise TsdistillError(str(error).replace(str(path), source)) from None


def _numbered(part: RawPart) -> RawPart:
    """Name the series by their numbers."""
    return replace(part, labels=tuple(map(str, range(1, len(part.values) + 1))))


def check_there(source: str) -> None:
    """Refuse what can't be read, before anything long is done.

    Args:
        source: a path, or ``-`` for standard input.

    Raises:
        TsdistillError: there is no such file, or it is a folder.
    """
    path = Path(source).expanduser()
    if source != "-" and not path.exists():
        raise TsdistillError(f"input={source}: no such file (looked for it from {Path.cwd()})")
    if source != "-" and path.is_dir():
        raise TsdistillError(f"input={source} is a folder; name a file")


@contextmanager
def _as_file(source: str) -> Iterator[Path]:
    """The file itself; what a pipe gives is copied first, since not every form can be read in one go."""
    check_there(source)
    path = Path(source).expanduser()
    if source != "-" and stat.S_ISREG(path.stat().st_mode):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "input")
        with copy.open("wb") as file:
            if source == "-":
                shutil.copyfileobj(sys.stdin.buffer, file)
            else:
                with path.open("rb") as pipe:
                    shutil.copyfileobj(pipe, file)
        yield copy


def _reader_of(path: Path, columns: Columns, length: int, labelled: bool | None) -> Callable[[Path], RawPart]:
    """What reads a file that begins as this one does."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        return _read_npz
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"@", b"#", b"%"):
        return _read_ts
    if columns.long is not None:
        return partial(_read_long, columns.long, head.startswith(b"PAR1"))
    if head.startswith(b"PAR1"):
        return partial(_read_wide_parquet, columns.ignored)
    return partial(_read_wide_text, columns.ignored, length, labelled)


def _read_npz(path: Path) -> RawPart:
    arrays = {key: array for key, array in load_arrays(path).items() if key in ("x", "lengths")}
    if "x" in arrays and arrays["x"].ndim:
        arrays["y"] = np.arange(len(arrays["x"]))
    return _numbered(part_of(arrays, "", str(path)))


def _read_ts(path: Path) -> RawPart:
    return _numbered(read_ts(path, labelled=False))


def _read_long(settings: Mapping[str, Any], is_parquet: bool, path: Path) -> RawPart:
    """A long table; the id, the same in all rows of a series, takes the label's place."""
    reader = LongReader(**settings)
    return replace(reader, label=reader.id).read_part(path, is_parquet)


def _read_wide_parquet(ignored: Sequence[str], path: Path) -> RawPart:
    frame = read_parquet(path)
    frame = frame[[column for column in frame.columns if str(column) not in ignored]]
    for column in frame.columns:
        if frame[column].dtype.kind not in "iufb":
            raise TsdistillError(f"{path}, column {str(column)!r}: not numbers; remove it")
    return _wide(list(frame.to_numpy(dtype=np.float32, na_value=np.nan)), range(1, len(frame) + 1), path)


def _read_wide_text(ignored: Sequence[str], length: int, labelled: bool | None, path: Path) -> RawPart:
    rows: list[Values] = []
    numbers: list[int] = []
    header: list[str] = []
    with text_lines(path) as lines:
        for place, (number, line) in enumerate(lines):
            fields = _fields(line, f"{path}, row {number}")
            if place == 0 and fields[0] and not is_number(fields[0]) and fields[0].lower() != "nan":
                header = fields
                continue
            where = f"{path}, row {number}"
            if header and any(name in ignored for name in header):
                check_width(where, fields, header)
                fields = [field for field, name in zip(fields, header, strict=True) if name not in ignored]
            elif labelled and not header:
                fields = fields[1:]
            if not fields:
                raise TsdistillError(f"{where}: no value beside the label")
            rows.append(numbers_of(fields, where))
            numbers.append(number)
    if not header and labelled is None and rows and all(len(row) == length + 1 for row in rows):
        raise TsdistillError(
            f"{path}: its rows have {length + 1} values, one more than the series that the student knows; "
            "add labelled=true if the first is a label, labelled=false if it is not"
        )
    return _wide(rows, numbers, path)


def _fields(line: str, where: str) -> list[str]:
    """A row's fields."""
    mark = next((mark for mark in ("\t", ";", ",") if mark in line), None)
    if mark is None:
        return line.split()
    if '"' in line:
        return [field.strip() for field in fields_of(line, mark, where)]
    return [field.strip() for field in line.split(mark)]


def _wide(rows: Sequence[Values], numbers: Sequence[int], path: Path) -> RawPart:
    """Rows of values, short ones filled with NaN, as a part of one channel."""
    if not rows:
        raise TsdistillError(f"{path}: no series in it")
    lengths = [len(row) for row in rows]
    shape = (len(rows), 1, max(lengths))
    longest = numbers[lengths.index(max(lengths))]
    refuse_vast(shape, sum(lengths), str(path), f"shorten row {longest} or leave it out")
    table = np.full(shape, np.nan, dtype=np.float32)
    for at, row in enumerate(rows):
        table[at, 0, : len(row)] = row
    if (empty := np.isnan(table).all(axis=(1, 2))).any():
        raise TsdistillError(f"{path}, row {numbers[int(empty.argmax())]}: the series has no value at all")
    return _numbered(RawPart(table, trailing_lengths(table), ()))
