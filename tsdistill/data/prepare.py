"""The preprocessing of a dataset by itself: what its series went through, for other series."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.preprocess import (
    Moments,
    Preprocessing,
    Series,
    as_float32,
    fill_gaps,
    moments_of_all,
    resample,
    resample_each,
    standardise,
    true_steps,
)
from tsdistill.data.raw import RawDataset, RawPart, Values, refuse_vast
from tsdistill.data.types import IntArray, Part
from tsdistill.errors import TsdistillError


@dataclass(frozen=True)
class Preparation:
    """How a dataset's series were brought to what its models know.

    Attributes:
        channels: number of channels C.
        names: the channels' names, or empty where they have none.
        length: number of timesteps T that the models know.
        how: the policies.
        cut: under ``truncate`` the steps that are kept of a series before it is resampled to T.
        padded: whether models are given the true lengths.
        resampled: whether a series of the dataset was resampled.
        moments: under ``per_channel_train`` mean and deviation of each channel, (C,) each.
    """

    channels: int
    names: tuple[str, ...]
    length: int
    how: Preprocessing
    cut: int | None
    padded: bool
    resampled: bool
    moments: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @classmethod
    def of(cls, raw: RawDataset, how: Preprocessing) -> "Preparation":
        """Find what ``preprocess`` does to the series of a dataset.

        Args:
            raw: both parts as read.
            how: the policies.
        """
        lengths = np.concatenate([raw.train.lengths, raw.test.lengths])
        shortest, longest = int(lengths.min()), int(lengths.max())
        limit = how.max_length or longest
        uneven, cut = shortest < longest, None
        if how.lengths == "truncate":
            cut, length = shortest, min(shortest, limit)
        elif how.lengths == "resample":
            length = min(int(raw.train.lengths.max()), limit)
        else:
            length = min(longest, limit)
        padded = uneven and how.lengths == "pad"
        resampled = cut != length if cut else longest > length or (uneven and not padded)
        found = cls(raw.train.values.shape[1], raw.train.channels, length, how, cut, padded, resampled)
        if how.scaling != "per_channel_train":
            return found
        values, true, _ = found._settled(raw.train, raw.name)
        mean, deviation = moments_of_all(values, true_steps(values, true))
        return replace(found, moments=(tuple(mean.ravel().tolist()), tuple(deviation.ravel().tolist())))

    def __call__(self, raw: RawPart, name: str) -> tuple[Part, list[str]]:
        """Prepare series.

        Args:
            raw: N series as read; their labels are not looked at.
            name: where they come from, for messages.

        Returns:
            The part, x (N, C, T), all ``y`` 0 and without meaning; and what was done to the series that their
            owner may not expect, a sentence each.

        Raises:
            TsdistillError: other channels, a length that the models don't know, or gaps that are refused.
        """
        self._check_channels(raw, name)
        values, true, notes = self._settled(raw, name)
        x = self._scaled(values, true)
        if not np.isfinite(x).all():
            row = int(np.argmax(~np.isfinite(x).all(axis=(1, 2)))) + 1
            raise TsdistillError(f"{name}: series {row} has a value that is infinite or too large")
        return Part(x, np.zeros(len(x), np.int64), true), notes

    def _check_channels(self, raw: RawPart, name: str) -> None:
        found = raw.values.shape[1]
        if found != self.channels:
            raise TsdistillError(
                f"{name}: its series have {_count(found, 'channel')}; the student was trained on "
                f"{_count(self.channels, 'channel')}"
            )
        if raw.channels and self.names and raw.channels != self.names:
            raise TsdistillError(
                f"{name}: its channels are {', '.join(raw.channels)}; the student was trained on "
                f"{', '.join(self.names)}"
            )

    def _settled(self, raw: RawPart, name: str) -> tuple[Values, IntArray | None, list[str]]:
        """Series of T steps without gaps, not yet scaled; their true lengths under ``pad``; notes."""
        part = {"input": Series(raw.values, raw.lengths)}
        notes = fill_gaps(part, self.how.gaps, name)
        values, lengths = part["input"].values, part["input"].lengths
        if not len(lengths) or lengths.min() < 1:
            raise TsdistillError(f"{name}: a series or one of its channels has no value at all")
        if self.cut is not None:
            self._refuse(lengths.min(axis=1) < self.cut, lengths, name, f"at least {self.cut}")
            return resample(values[:, :, : self.cut], self.length), None, notes
        N, C = lengths.shape
        refuse_vast((N, C, self.length), values.size, name, "give fewer series at a time")
        if self.how.lengths == "resample":
            if (lengths != self.length).any():
                shortest, longest = int(lengths.min()), int(lengths.max())
                steps = str(shortest) if shortest == longest else f"{shortest} to {longest}"
                notes.append(f"Series have {steps} steps and are resampled to {self.length}.")
            wanted = np.full_like(lengths, self.length)
            return resample_each(Series(values, lengths), wanted, self.length), None, notes
        longest = lengths.max(axis=1)
        if not self.padded and self.how.max_length != self.length:
            self._refuse(longest != self.length, lengths, name, str(self.length))
        elif not self.padded:
            self._refuse(longest < self.length, lengths, name, f"at least {self.length}")
        elif self.how.max_length != self.length:
            self._refuse(longest > self.length, lengths, name, f"at most {self.length}")
        wanted = np.minimum(lengths, self.length)
        prepared = resample_each(Series(values, lengths), wanted, self.length)
        return prepared, wanted.max(axis=1) if self.padded else None, notes

    def _refuse(self, bad: NDArray[np.bool_], lengths: IntArray, name: str, allowed: str) -> None:
        """Refuse the first series of a length that the models don't know."""
        if bad.any():
            row = int(bad.argmax())
            raise TsdistillError(
                f"{name}: series {row + 1} has {lengths[row].max()} steps; under dataset.lengths="
                f"{self.how.lengths} the student takes {allowed}"
            )

    def _scaled(self, values: Values, true: IntArray | None) -> NDArray[np.float32]:
        if self.how.scaling == "none":
            return as_float32(values)
        moments: Moments | None = None
        if self.moments is not None:
            mean, deviation = (np.array(one).reshape(1, -1, 1) for one in self.moments)
            moments = mean, deviation
        return standardise(values, true_steps(values, true), moments)

    def needs_whole_series(self) -> str | None:
        """Say why a series can't be prepared step by step; None if it can."""
        if self.how.scaling == "per_series":
            return "dataset.scaling=per_series scales by the mean of the whole series"
        if self.resampled:
            return f"its series are resampled to {self.length} steps, which needs their length"
        return None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Preparation":
        """The inverse of ``as_dict``.

        Raises:
            TypeError: a key is missing or unknown.
        """
        moments = plain["moments"]
        return cls(
            **{
                **plain,
                "names": tuple(plain["names"]),
                "how": Preprocessing(**plain["how"]),
                "moments": None if moments is None else (tuple(moments[0]), tuple(moments[1])),
            }
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
