"""The arrays that every other room works on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One part (train, validation or test) of a dataset.

    Attributes:
        x: series, (N, C, T) float32, free of NaN.
        y: class indices in 0..K-1, (N,) int64.
        lengths: true length of each series in steps, (N,) int64, or None where all have length T.
            Steps from ``lengths[i]`` on are padding and hold 0.
    """

    x: FloatArray
    y: IntArray
    lengths: IntArray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, index: IntArray) -> "Part":
        """Take the series at ``index``, (n,) int64, in that order."""
        return Part(self.x[index], self.y[index], None if self.lengths is None else self.lengths[index])


@dataclass(frozen=True)
class TimeSeriesDataset:
    """A dataset with its archive's default split, preprocessed.

    Attributes:
        name: the archive's name, or the user's.
        train: the whole training part; validation is split off later.
        test: the test part.
        classes: the label of each class index, as written in the source, numbers in numeric order.
        source: where it came from, in a few words for a person.
        fingerprint: hex digest of the arrays and labels after preprocessing.
        notes: what was done to the data that the user may not expect, a sentence each.
    """

    name: str
    train: Part
    test: Part
    classes: tuple[str, ...]
    source: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return int(self.train.x.shape[1])

    @property
    def length(self) -> int:
        """Number of timesteps T (the longest series' where lengths differ)."""
        return int(self.train.x.shape[2])
