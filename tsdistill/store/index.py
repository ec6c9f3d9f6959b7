"""What was verified before, remembered so that a second listing need not hash everything again.

The index is a cache beside the records: without it, or where it can't be read or written, everything is
verified again. An entry holds for the very files that were read: it is bound to the inode, size, mtime and
ctime of each. A record that is copied, unpacked or edited has other inodes or a later ctime.
"""

import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tsdistill.store.scan import Known, Verified

NAME = "index.sqlite"
_TABLES = (
    "CREATE TABLE parts (dataset TEXT NOT NULL, number INTEGER NOT NULL, keys TEXT NOT NULL, "
    "content BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (dataset, number))",
    "CREATE TABLE packs (dataset TEXT NOT NULL, stamp TEXT NOT NULL, keys TEXT NOT NULL, "
    "checksum INTEGER NOT NULL, PRIMARY KEY (dataset, stamp))",
    "CREATE TABLE outcomes (asked TEXT PRIMARY KEY, seen TEXT NOT NULL, content TEXT NOT NULL, "
    "checksum INTEGER NOT NULL)",
)
MOST_OUTCOMES = 8
"""Outcomes that are remembered; the oldest go first."""

T = TypeVar("T")
_log = logging.getLogger("tsdistill")


def _checksum(*fields: str | bytes) -> int:
    """A row's checksum: SQLite does not notice a byte that has changed."""
    found = 0
    for field in fields:
        found = zlib.crc32(field.encode() if isinstance(field, str) else field, found)
        found = zlib.crc32(b"\0", found)
    return found


class Index:
    """Verified records by data set, and outcomes by what was asked; a context manager."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self._file: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self._path.is_file():
            self._tried(self._open, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def known(self, dataset: str) -> list[Known]:
        """The keys and stamps of a data set's verified records."""
        rows = self._rows("SELECT number, keys FROM parts WHERE dataset = ? ORDER BY number", dataset)
        found = []
        for number, keys in rows:
            try:
                names, stamps, _ = json.loads(keys)
                found.append(Known(number, names, stamps))
            except (ValueError, TypeError):
                continue
        return found

    def packs(self, dataset: str) -> dict[str, Sequence[str]]:
        """The keys in packs that were read before, by the stamp of the pack."""
        rows = self._rows("SELECT stamp, keys, checksum FROM packs WHERE dataset = ?", dataset)
        sound = [(stamp, keys) for stamp, keys, checksum in rows if checksum == _checksum(stamp, keys)]
        return {stamp: json.loads(keys) for stamp, keys in sound}

    def part(self, dataset: str, number: int) -> Verified | None:
        """Records that are known together; None if they can't be read."""
        query = "SELECT keys, content, checksum FROM parts WHERE dataset = ? AND number = ?"
        for keys, content, checksum in self._rows(query, dataset, number):
            if checksum == _checksum(dataset, keys, content):
                names, stamps, digests = json.loads(keys)
                return Verified(names, stamps, digests, content)
        return None

    def replace(self, dataset: str, gone: Collection[int], new: Sequence[Verified]) -> None:
        """Forget parts of a data set, and remember others."""
        if not gone and not new:
            return

        def write(file: sqlite3.Connection) -> None:
            file.executemany(
                "DELETE FROM parts WHERE dataset = ? AND number = ?", [(dataset, number) for number in gone]
            )
            for each in new:
                keys = json.dumps([each.names, each.stamps, each.digests], separators=(",", ":"))
                query = "INSERT INTO parts SELECT ?, ifnull(max(number), 0) + 1, ?, ?, ? FROM parts"
                checksum = _checksum(dataset, keys, each.content)
                file.execute(query, (dataset, keys, each.content, checksum))

        self._write(write)

    def replace_packs(self, dataset: str, packs: Mapping[str, Sequence[str]]) -> None:
        """Remember the packs that a data set has now."""
        if packs.keys() == self.packs(dataset).keys():
            return

        def write(file: sqlite3.Connection) -> None:
            file.execute("DELETE FROM packs WHERE dataset = ?", (dataset,))
            for stamp, names in packs.items():
                keys = json.dumps(list(names))
                file.execute(
                    "INSERT INTO packs VALUES (?, ?, ?, ?)", (dataset, stamp, keys, _checksum(stamp, keys))
                )

        self._write(write)

    def keep_only(self, datasets: Iterable[str]) -> None:
        """Forget all data sets but these."""
        known = {str(row[0]) for row in self._rows("SELECT DISTINCT dataset FROM parts")}
        for dataset in known.difference(datasets):
            self.replace(dataset, [each.number for each in self.known(dataset)], [])
            self.replace_packs(dataset, {})

    def outcome(self, asked: str, seen: str) -> str | None:
        """What came of a question when all that it depends on was as it is now."""
        query = "SELECT content, checksum FROM outcomes WHERE asked = ? AND seen = ?"
        for content, checksum in self._rows(query, asked, seen):
            if checksum == _checksum(asked, seen, content):
                return str(content)
        return None

    def is_asked(self, asked: str) -> bool:
        """Whether an outcome of a question is remembered, be it of now or of earlier."""
        return bool(self._rows("SELECT 1 FROM outcomes WHERE asked = ?", asked))

    def remember(self, asked: str, seen: str, content: str) -> None:
        """Remember what came of a question."""

        def write(file: sqlite3.Connection) -> None:
            file.execute("DELETE FROM outcomes WHERE asked = ?", (asked,))
            values = (asked, seen, content, _checksum(asked, seen, content))
            file.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?)", values)
            file.execute(
                "DELETE FROM outcomes WHERE rowid NOT IN "
                "(SELECT rowid FROM outcomes ORDER BY rowid DESC LIMIT ?)",
                (MOST_OUTCOMES,),
            )

        self._write(write)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        file = self._file
        if file is None:
            return []
        return self._tried(lambda: file.execute(query, values).fetchall(), [])

    def _write(self, step: Callable[[sqlite3.Connection], object]) -> None:
        if self._file is None:
            self._tried(self._open, None)
        file = self._file
        if file is not None:

            def whole() -> None:
                with file:
                    step(file)

            self._tried(whole, None)

    def _tried(self, step: Callable[[], T], otherwise: T) -> T:
        """Do without an index where a step of its fails."""
        try:
            return step()
        except (sqlite3.Error, OSError) as error:
            _log.debug("%s is not used: %s", self._path, error)
            return otherwise

    def _open(self) -> None:
        self._file = sqlite3.connect(self._path, timeout=2.0)
        self._file.execute("PRAGMA trusted_schema = OFF")
        self._file.execute("PRAGMA cell_size_check = ON")
        if not self._is_ours(self._file):
            self._drop()

    def _drop(self) -> None:
        """Remove a file that is no index; the next listing begins a new one."""
        assert self._file is not None
        self._file.close()
        self._file = None
        self._path.unlink()

    @staticmethod
    def _is_ours(file: sqlite3.Connection) -> bool:
        """Whether a file holds our tables and nothing else: no view, no trigger; an empty one gets them."""
        query = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'"
        try:
            found = {sql for (sql,) in file.execute(query)}
        except sqlite3.DatabaseError:
            return False
        if not found:
            with file:
                for table in _TABLES:
                    file.execute(table)
            return True
        return found == set(_TABLES)
