"""The files of one stored thing: all that is read of a record or a teacher is read through here."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from tsdistill.store.files import opened, refuse_long, size_of
from tsdistill.store.formats import load_tensors, parse_json
from tsdistill.store.stamps import Stamp, stamp_of_record

if TYPE_CHECKING:
    from torch import Tensor


class Opened(NamedTuple):
    """A file that is open for reading, and its bytes in number."""

    file: BinaryIO
    size: int


@dataclass(frozen=True)
class Contents(ABC):
    """What one stored thing holds.

    Attributes:
        path: its folder, ``<out>/<kind>/<dataset>/<key>``, whether or not its files lie in it.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its dataset's folder and its key."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def place(self) -> Path:
        """The folder or file that its files lie in."""
        return self.path

    @abstractmethod
    def names(self) -> set[str]:
        """Names of all that it holds."""

    @abstractmethod
    @contextmanager
    def opened(self, name: str) -> Iterator[Opened]:
        """Open one of its files.

        Raises:
            ValueError: it is no plain file.
            OSError: it can't be read.
        """

    @abstractmethod
    def tensors(self, name: str) -> "dict[str, Tensor]":
        """Named tensors of a safetensors file; raises ValueError if it is none."""

    @abstractmethod
    def identity(self) -> tuple[int, int] | None:
        """Tells what is there from what may later lie in its place; None if it is gone."""

    @abstractmethod
    def stamp(self) -> Stamp:
        """Tells the files as they are from the same files changed.

        Raises:
            OSError: it can't be read.
        """

    def size(self, name: str) -> int:
        """Bytes of one of its files; raises as ``opened``."""
        with self.opened(name) as (_, size):
            return size

    def read(self, name: str) -> bytes:
        """The bytes of a text file of a bounded size; raises as ``opened``, or ValueError if too long."""
        with self.opened(name) as (file, size):
            refuse_long(size, name)
            return file.read(size)

    def text(self, name: str) -> str:
        """A text file; raises as ``read``."""
        return self.read(name).decode()

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object; raises as ``read``, or ValueError if it is malformed."""
        return parse_json(self.read(name), name)


class Folder(Contents):
    """A stored thing whose files lie in its folder."""

    def names(self) -> set[str]:
        """See :class:`Contents`."""
        return set(os.listdir(self.path))  # noqa: PTH208 (a path would be made for each)

    @contextmanager
    def opened(self, name: str) -> Iterator[Opened]:
        """See :class:`Contents`."""
        with opened(f"{self.path}/{name}") as file:
            yield Opened(file, size_of(file))

    def tensors(self, name: str) -> "dict[str, Tensor]":
        """See :class:`Contents`."""
        return load_tensors(self.path / name)

    def identity(self) -> tuple[int, int] | None:
        """See :class:`Contents`."""
        return identity_of(self.path)

    def stamp(self) -> Stamp:
        """See :class:`Contents`."""
        return stamp_of_record(str(self.path))


def identity_of(path: Path) -> tuple[int, int] | None:
    """Tell one file or folder of this name from a later one; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
