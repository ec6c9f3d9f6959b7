"""What was verified before, remembered so that a second listing need not hash everything again.

The index is a cache beside the records: without it, or where it can't be read or written, everything is
verified again. An entry holds for the very files that were read: it is bound to the inode, size, mtime and
ctime of each. A record that is copied, unpacked or edited has other inodes or a later ctime.
"""

import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

NAME = "index.sqlite"
_TABLE = (
    "CREATE TABLE verified (record TEXT PRIMARY KEY, stamp TEXT NOT NULL, result TEXT NOT NULL, "
    "checksum INTEGER NOT NULL)"
)
YOUNGEST_SECONDS = 2.0
"""A file that changed later than this may change again within one tick of the file system's clock."""

_log = logging.getLogger("tsdistill")


def _checksum(record: str, stamp: str, content: str) -> int:
    """A row's checksum: SQLite does not notice a byte that has changed."""
    return zlib.crc32("\0".join((record, stamp, content)).encode())


def _sound(record: str, stamp: str, rows: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Contents whose checksum is right."""
    return (content for content, checksum in rows if checksum == _checksum(record, stamp, content))


class Index:
    """The contents of verified records by name and stamp; a context manager that writes what is new."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self._file: sqlite3.Connection | None = None
        self._new: dict[str, tuple[str, str]] = {}
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        if self._path.is_file():
            self._tried(self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._tried(self._write)
        if self._file is not None:
            self._file.close()

    def get(self, record: str, stamp: str) -> str | None:
        """The content of a record whose files are those that were verified."""
        self._seen.add(record)
        found: list[str] = []
        if self._file is not None:
            query = "SELECT result, checksum FROM verified WHERE record = ? AND stamp = ?"
            rows = self._file.execute
            self._tried(lambda: found.extend(_sound(record, stamp, rows(query, (record, stamp)))))
        return found[0] if found else None

    def put(self, record: str, stamp: str, content: str) -> None:
        """Remember a record that was verified."""
        self._new[record] = (stamp, content)

    def _tried(self, step: Callable[[], None]) -> None:
        """Do without an index where a step of its fails."""
        try:
            step()
        except (sqlite3.Error, OSError) as error:
            _log.debug("%s is not used: %s", self._path, error)

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

    def _write(self) -> None:
        if self._file is None:
            if not self._new:
                return
            self._open()
        if self._file is None:
            return
        known = {str(row[0]) for row in self._file.execute("SELECT record FROM verified")}
        gone = [(record,) for record in known - self._seen]
        if not self._new and not gone:
            return
        with self._file:
            rows = [(record, *entry, _checksum(record, *entry)) for record, entry in self._new.items()]
            self._file.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?)", rows)
            self._file.executemany("DELETE FROM verified WHERE record = ?", gone)

    @staticmethod
    def _is_ours(file: sqlite3.Connection) -> bool:
        """Whether a file holds our table and nothing else: no view, no trigger; an empty one gets it."""
        query = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'"
        try:
            found = file.execute(query).fetchall()
        except sqlite3.DatabaseError:
            return False
        if not found:
            with file:
                file.execute(_TABLE)
            return True
        return found == [(_TABLE,)]
