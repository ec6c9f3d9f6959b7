"""Packs: many finished records in one file, read without unpacking.

A pack is a zip, ``<out>/runs/<dataset>/pack-<n>.zip``. Its members ``<id>/<file>`` are not compressed. They
are held against the manifest among them, as the files of a folder are. A pack can come from anyone: its
directory is bounded and checked before anything is taken from it, and no member's name becomes a path.
"""

import io
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from tsdistill.store.contents import Contents, Opened, identity_of
from tsdistill.store.files import LARGEST_TEXT, opened, size_of
from tsdistill.store.formats import check_header, parse_tensors
from tsdistill.store.manifest import FILES
from tsdistill.store.stamps import Stamp, stamp_of_file

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_PACK = 2 * 2**30
"""Bytes of the largest pack that is written or read; so no member needs the long form of a zip."""
MOST_RECORDS = 4096
"""Records of the largest pack; their members are fewer than the short form of a zip can count."""
_file_name = re.compile(r"pack-([0-9]{4,9})\.zip")
_record_name = re.compile(r"[0-9A-Za-z_-]{1,64}")
_END = struct.Struct("<4s4H2LH")
"""The end of a zip: a mark, four counts, the directory's size and offset, the length of a comment."""
_LOCAL = struct.Struct("<4s5H3L2H")
"""What stands before a member: last the lengths of its name and of what follows the name."""
_LONG_FORM = b"PK\x06\x07"
_UNREADABLE = (BadZipFile, NotImplementedError, RuntimeError, OverflowError, EOFError, struct.error)


@dataclass(frozen=True)
class Pack:
    """A pack's directory.

    Attributes:
        path: the file.
        records: its members by record and file.
    """

    path: Path
    records: Mapping[str, Mapping[str, ZipInfo]]


@dataclass(frozen=True)
class Packed(Contents):
    """A stored thing whose files lie in a pack."""

    pack: Pack

    @property
    def place(self) -> Path:
        """See :class:`Contents`."""
        return self.pack.path

    def names(self) -> set[str]:
        """See :class:`Contents`."""
        return set(self.pack.records[self.path.name])

    @contextmanager
    def opened(self, name: str) -> Iterator[Opened]:
        """See :class:`Contents`."""
        member = self.pack.records[self.path.name].get(name)
        if member is None:
            raise FileNotFoundError(f"{name} is missing")
        with opened(self.pack.path) as file:
            yield Opened(_Slice(file, member), member.file_size)  # type: ignore[arg-type]

    def tensors(self, name: str) -> "dict[str, Tensor]":
        """See :class:`Contents`."""
        with self.opened(name) as (file, size):
            check_header(file, name)
        with self.opened(name) as (file, size):
            return parse_tensors(file.read(size), name)

    def identity(self) -> tuple[int, int] | None:
        """See :class:`Contents`."""
        return identity_of(self.pack.path)

    def stamp(self) -> Stamp:
        """See :class:`Contents`."""
        return stamp_of_file(str(self.pack.path))


class _Slice(io.RawIOBase):
    """The bytes of one member of an open pack."""

    def __init__(self, file: BinaryIO, member: ZipInfo) -> None:
        file.seek(member.header_offset)
        found = file.read(_LOCAL.size)
        if len(found) < _LOCAL.size or not found.startswith(b"PK\x03\x04"):
            raise ValueError(f"{member.filename} is not where the pack's directory says")
        file.seek(sum(_LOCAL.unpack(found)[-2:]), io.SEEK_CUR)
        self._file, self._left = file, member.file_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._file.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)


def pack_files(dataset: Path) -> list[Path]:
    """The packs in a dataset's folder, whole or not, the latest first.

    Raises:
        OSError: the folder can't be read.
    """
    if not dataset.is_dir():
        return []
    found = [path for path in dataset.iterdir() if is_pack(path.name) and path.is_file()]
    return sorted(found, key=lambda path: number_of(path.name), reverse=True)


def number_of(name: str) -> int:
    """The number in a pack's name; 0 if it is the name of something else."""
    named = _file_name.fullmatch(name)
    return int(named[1]) if named else 0


def is_pack(name: str) -> bool:
    """Whether a file's name is a pack's."""
    return _file_name.fullmatch(name) is not None


def next_pack(dataset: Path) -> Path:
    """The name of the next pack of a dataset; it goes before all that are there."""
    return (
        dataset / f"pack-{max((number_of(path.name) for path in pack_files(dataset)), default=0) + 1:04}.zip"
    )


def packs_in(dataset: Path) -> list[Pack]:
    """The packs in a dataset's folder that can be read, the latest first.

    Raises:
        OSError: the folder can't be read.
    """
    while True:
        try:
            return [pack for path in pack_files(dataset) if (pack := _readable(path)) is not None]
        except FileNotFoundError:  # its records have just been moved into another
            continue


def _readable(path: Path) -> Pack | None:
    try:
        return read_pack(path)
    except FileNotFoundError:
        raise
    except (ValueError, OSError):  # list_runs names it
        return None


def read_pack(path: Path) -> Pack:
    """Read a pack's directory; remembered as long as the file stays as it is.

    Raises:
        ValueError: it is no pack as they are written here.
        OSError: it can't be read.
    """
    return _read_pack(path, stamp_of_file(str(path)).text)


@lru_cache(maxsize=8)
def _read_pack(path: Path, stamp: str) -> Pack:
    with opened(path) as file:
        end = _directory_offset(file)
        try:
            with ZipFile(file) as found:
                members = found.infolist()
        except _UNREADABLE as error:
            raise ValueError(f"it is not a whole pack: {error}") from error
    _refuse_foreign(members, end)
    records: dict[str, dict[str, ZipInfo]] = {}
    for member in members:
        record, _, name = member.orig_filename.partition("/")
        if records.setdefault(record, {}).setdefault(name, member) is not member:
            raise ValueError(f"it holds {member.orig_filename} twice")
    return Pack(path, records)


def _directory_offset(file: BinaryIO) -> int:
    """Where the directory begins in a pack of ours, which ends in it; its size is bounded.

    Raises:
        ValueError: the file is no such zip.
    """
    size = size_of(file)  # type: ignore[arg-type]
    tail = _END.size + 20
    if not tail <= size <= LARGEST_PACK:
        raise ValueError(f"a pack has {tail} to {LARGEST_PACK:,} bytes, not {size:,}")
    file.seek(size - tail)
    before, last = file.read(20), file.read(_END.size)
    mark, *_, length, offset, comment = _END.unpack(last)
    if mark != b"PK\x05\x06" or comment or before.startswith(_LONG_FORM):
        raise ValueError("it does not end like a pack; it may have been cut off")
    if offset + length + _END.size != size or length > LARGEST_TEXT:
        raise ValueError("its directory is not where a pack has it, or is too long")
    return int(offset)


def _refuse_foreign(members: list[ZipInfo], end: int) -> None:
    """Refuse members that no pack of ours has: paths, compressed, encrypted or overlapping ones."""
    for member in members:
        record, _, name = member.orig_filename.partition("/")
        if _record_name.fullmatch(record) is None or name not in FILES:
            raise ValueError(f"it has a member that no pack has: {member.orig_filename[:80]!r}")
        plain = member.compress_type == ZIP_STORED and not member.flag_bits & 1
        if not plain or member.file_size != member.compress_size:
            raise ValueError(f"{member.orig_filename} is compressed or encrypted, which no pack is")
    if sum(member.file_size + _LOCAL.size for member in members) > end:
        raise ValueError("its members overlap")
