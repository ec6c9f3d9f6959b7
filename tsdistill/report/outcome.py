"""What a report printed and wrote, so that the same report of the same records need not be made again."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tsdistill.report.cells import Cell, Table
from tsdistill.store.stamps import stamp_of_file

_KINDS = (int, float, type(None))


def told_tables(tables: Iterable[Table]) -> list[Any] | None:
    """Tables as JSON; None if they hold a number that would not come back as it is."""
    found = []
    for table in tables:
        lines = [[_told(cell) for cell in line] for line in (*table.rows, *table.footer)]
        if any(cell is None for line in lines for cell in line):
            return None
        found.append([table.key, table.title, table.columns, lines, len(table.rows), table.notes])
    return found


def _told(cell: Cell) -> list[Any] | None:
    if type(cell.mean) not in _KINDS or type(cell.std) not in _KINDS:
        return None
    return [cell.text, cell.mean, cell.std, cell.marks, cell.place, cell.digits, cell.ranked]


def tables_of(told: Iterable[Any]) -> list[Table]:
    """What :func:`told_tables` was given."""
    found = []
    for key, title, columns, lines, rows, notes in told:
        cells = [
            [Cell(text, mean, std, tuple(marks), *rest) for text, mean, std, marks, *rest in line]
            for line in lines
        ]
        found.append(Table(key, title, tuple(columns), cells[:rows], cells[rows:], tuple(notes)))
    return found


def stamps_in(folder: Path, written: Iterable[Path], whole: Sequence[str]) -> dict[str, str]:
    """The stamps of a report's files by name, and the names of all that lies in some of its folders.

    Args:
        folder: the report's.
        written: the files, below it.
        whole: folders in which nothing else may lie.

    Raises:
        OSError: one can't be read.
    """
    found = {path.as_posix(): stamp_of_file(str(folder / path)).text for path in written}
    for name in whole:
        found[name] = ",".join(sorted(path.name for path in (folder / name).glob("*.*")))
    return found


def are_untouched(
    folder: Path, stamps: Mapping[str, str], written: Iterable[Path], whole: Sequence[str]
) -> bool:
    """Whether a report's files are as they were written."""
    try:
        return stamps_in(folder, written, whole) == stamps
    except OSError:
        return False
