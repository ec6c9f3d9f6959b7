"""Reading a file that anyone may have put there: plain, and of a bounded size."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

LARGEST_TEXT = 16 * 2**20
"""Bytes of the largest JSON, YAML or CSV file that is read."""


@contextmanager
def opened(path: Path | str) -> Iterator[BufferedReader]:
    """Open a plain file to read it; a pipe or a device is refused rather than waited for.

    Raises:
        ValueError: it is no plain file.
        OSError: it can't be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{Path(path).name} is not a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def size_of(file: BufferedReader) -> int:
    """Bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def refuse_long(size: int, name: str) -> None:
    """Refuse a text file that is larger than any that is written here.

    Raises:
        ValueError: it is.
    """
    if size > LARGEST_TEXT:
        raise ValueError(f"{name} has {size:,} bytes, more than {LARGEST_TEXT:,}")


def read_whole(path: Path) -> bytes:
    """The bytes of a plain text file of a bounded size.

    Raises:
        ValueError: it is too long, or no plain file.
        OSError: it can't be read.
    """
    with opened(path) as file:
        refuse_long(size_of(file), path.name)
        return file.read(LARGEST_TEXT)
