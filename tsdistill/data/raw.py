"""What readers hand over: values and labels as the files have them, before any preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsdistill.data.types import IntArray
from tsdistill.errors import TsdistillError

Values = NDArray[np.floating[Any]]

PADDED_VALUES = 2**28
"""So many values an array of padded series may always have: 1 GiB as float32."""
PADDED_TIMES = 8
"""A larger one may have so many times the values that the series themselves have."""


@dataclass(frozen=True)
class RawPart:
    """Series of the training or the test part as a file has them.

    Attributes:
        values: (N, C, T) float32 or float64; NaN marks a gap, and every step from ``lengths`` on.
        lengths: steps of each channel of each series, (N, C) int64.
        labels: the label of each series as written, length N.
        channels: the channels' names, length C, or empty where they have none.
    """

    values: Values
    lengths: IntArray
    labels: tuple[str, ...]
    channels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, values: ArrayLike, labels: Sequence[object]) -> "RawPart":
        """Wrap an (N, C, T) or (N, T) array of series of one length; NaN in it are gaps."""
        array = np.asarray(values)
        if array.dtype != np.float32:
            array = array.astype(np.float64)
        if array.ndim == 2:
            array = array[:, None, :]
        lengths = np.full(array.shape[:2], array.shape[2], dtype=np.int64)
        return cls(array, lengths, tuple(str(label) for label in labels))

    @classmethod
    def ragged(
        cls,
        series: Sequence[Values | Sequence[Sequence[float] | Values]],
        labels: Sequence[object],
        where: str = "x",
    ) -> "RawPart":
        """Pack series whose channels may each have a length of their own.

        Args:
            series: for each of the N series a (C, T_n) array, or for each of its C channels (T_nc,) values.
            labels: the label of each series.
            where: where they come from, for messages.

        Raises:
            TsdistillError: see ``refuse_vast``.
        """
        lengths = np.array([[len(channel) for channel in one] for one in series], dtype=np.int64)
        shape = (*lengths.shape, int(lengths.max()))
        longest = int(lengths.max(axis=1).argmax()) + 1
        refuse_vast(shape, int(lengths.sum()), where, f"shorten series {longest} or leave it out")
        values = np.full(shape, np.nan, dtype=np.float32)
        for n, one in enumerate(series):
            if isinstance(one, np.ndarray):
                values[n, :, : one.shape[1]] = one
                continue
            for c, channel in enumerate(one):
                values[n, c, : lengths[n, c]] = channel
        return cls(values, lengths, tuple(str(label) for label in labels))

    def rows(self, index: IntArray) -> "RawPart":
        """Take the series at ``index``, (n,) int64, in that order."""
        labels = tuple(self.labels[i] for i in index)
        return RawPart(self.values[index], self.lengths[index], labels, self.channels)


def refuse_vast(shape: tuple[int, int, int], held: int, where: str, advice: str) -> None:
    """Refuse an array that is nearly all padding: one long series can make many short ones take any memory.

    Args:
        shape: (N, C, T) of the array.
        held: values that the series themselves have.
        where: where they come from, for the message.
        advice: what the user can do, likewise.

    Raises:
        TsdistillError: it has more than ``PADDED_VALUES`` values, and more than ``PADDED_TIMES`` those held.
    """
    N, C, T = shape
    wanted = N * C * T
    if wanted > max(PADDED_VALUES, PADDED_TIMES * held):
        raise TsdistillError(
            f"{where}: {N:,} series of {C} x {T:,} values would take {wanted * 4 / 2**30:,.1f} GiB, "
            f"though they hold {held:,} values in all; {advice}"
        )


def trailing_lengths(values: Values) -> IntArray:
    """Length of each channel, (N, C), where missing values at the end of (N, C, T) mean that it has ended."""
    width = values.shape[2]
    if not np.isnan(values[:, :, -1]).any():
        return np.full(values.shape[:2], width, dtype=np.int64)
    there = ~np.isnan(values[:, :, ::-1])
    lengths: IntArray = np.where(there.any(axis=2), width - np.argmax(there, axis=2), 0)
    return lengths


@dataclass(frozen=True)
class RawDataset:
    """Both parts of a dataset as read.

    Attributes:
        name: the dataset's name.
        train: training part.
        test: test part, of as many channels.
        source: where it came from, in a few words.
        notes: what a person should know about the reading, a sentence each.
    """

    name: str
    train: RawPart
    test: RawPart
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sources:
    """The files that a dataset is to be read from.

    Attributes:
        name: the dataset's name.
        files: the files, in a fixed order; their contents key the cache of parsed sets.
        source: where they lie, in a few words.
        notes: what a person should know about how they were found.
    """

    name: str
    files: tuple[Path, ...]
    source: str
    notes: tuple[str, ...] = field(default=())


@runtime_checkable
class Reader(Protocol):
    """What a dataset config's ``_target_`` builds: this, or a ``FileReader``."""

    def read(self, data_root: Path | None, cache: Path) -> RawDataset:
        """Read the dataset.

        Args:
            data_root: root of the user's local data, or None.
            cache: folder in which the project may keep downloads.
        """
        ...


@runtime_checkable
class FileReader(Protocol):
    """A reader whose files are known before they are parsed: what it parses is cached by their contents."""

    def locate(self, data_root: Path | None, cache: Path) -> Sources:
        """Find the files, downloading them where that is the reader's way."""
        ...

    def parse(self, sources: Sources) -> tuple[RawPart, RawPart]:
        """Parse the training and the test part."""
        ...
