"""From what a reader hands over to the arrays that every other room works on.

The order is fixed: labels, gaps, lengths, scaling. Scaling comes last, so that a scaled series has the mean
and the deviation that were asked for.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.raw import RawDataset, Values, refuse_vast
from tsdistill.data.text import is_number
from tsdistill.data.types import FloatArray, IntArray, Part, TimeSeriesDataset
from tsdistill.errors import TsdistillError, nearest

Lengths = Literal["resample", "pad", "truncate"]
Gaps = Literal["interpolate", "zero", "refuse"]
Scaling = Literal["none", "per_series", "per_channel_train"]


@dataclass(frozen=True)
class Preprocessing:
    """How raw series become arrays.

    Attributes:
        max_length: longer series are resampled to this many steps, shorter ones kept; None for no limit.
        lengths: what is done where series differ in length: ``resample`` all to the longest training series,
            ``pad`` with zeros at the end (the true lengths are kept), or ``truncate`` to the shortest.
        gaps: ``interpolate`` missing values linearly (the nearest value at the ends), set them to ``zero``,
            or ``refuse`` the set.
        scaling: ``none``; ``per_series``: each channel of each series to mean 0 and deviation 1;
            ``per_channel_train``: each channel by its mean and deviation over the training part.
    """

    max_length: int | None = None
    lengths: Lengths = "resample"
    gaps: Gaps = "interpolate"
    scaling: Scaling = "none"

    def __post_init__(self) -> None:
        for key, choices in (("lengths", Lengths), ("gaps", Gaps), ("scaling", Scaling)):
            value, valid = getattr(self, key), get_args(choices)
            if value not in valid:
                raise TsdistillError(f"dataset.{key}={value}: {nearest(str(value), valid)}")
        limit = self.max_length
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 2):
            raise TsdistillError(f"dataset.max_length={limit}: give a whole number of at least 2, or null")


@dataclass
class Series:
    """A part on its way: (N, C, T) values without gaps where ``lengths`` (N, C) reach."""

    values: Values
    lengths: NDArray[np.int64]


def preprocess(raw: RawDataset, how: Preprocessing) -> TimeSeriesDataset:
    """Turn raw series into the arrays of a dataset.

    Args:
        raw: both parts as read.
        how: the policies.

    Returns:
        The dataset: x (N, C, T) float32 without NaN, T the same in both parts.

    Raises:
        TsdistillError: the parts do not fit each other, labels or gaps cannot be dealt with as asked.
    """
    _check_parts(raw)
    classes, y_train, y_test = encode_labels(raw)
    notes = list(raw.notes)
    parts = {
        "train": Series(raw.train.values, raw.train.lengths),
        "test": Series(raw.test.values, raw.test.lengths),
    }
    notes += fill_gaps(parts, how.gaps, raw.name)
    true_lengths, length_notes = _settle_lengths(parts, how, raw.name)
    x_train, x_test = _scale(parts["train"].values, parts["test"].values, true_lengths, how.scaling)
    train = Part(x_train, y_train, true_lengths[0])
    test = Part(x_test, y_test, true_lengths[1])
    for name, part in (("train", train), ("test", test)):
        if not np.isfinite(part.x).all():
            raise TsdistillError(
                f"{raw.name}: the {name} part has values that are infinite or too large for float32"
            )
    return TimeSeriesDataset(
        name=raw.name,
        train=train,
        test=test,
        classes=classes,
        source=raw.source,
        fingerprint=fingerprint(train, test, classes),
        notes=tuple(notes + length_notes),
    )


def _check_parts(raw: RawDataset) -> None:
    for name, part in (("train", raw.train), ("test", raw.test)):
        if not len(part):
            raise TsdistillError(f"{raw.name}: the {name} part has no series")
        if not len(part.labels) == len(part.values) == len(part.lengths):
            raise TsdistillError(
                f"{raw.name}: the {name} part has {len(part.values)} series, {len(part.lengths)} lengths "
                f"and {len(part.labels)} labels"
            )
    train, test = raw.train.values.shape[1], raw.test.values.shape[1]
    if train != test:
        raise TsdistillError(f"{raw.name}: the training part has {train} channels, the test part {test}")
    if raw.train.channels != raw.test.channels:
        names = [", ".join(part.channels) for part in (raw.train, raw.test)]
        raise TsdistillError(
            f"{raw.name}: the training part has the channels {names[0]}; the test part {names[1]}"
        )


# ---------------------------------------------------------------------------------------------- labels


def encode_labels(raw: RawDataset) -> tuple[tuple[str, ...], IntArray, IntArray]:
    """Number the labels from the training part.

    Returns:
        The label of each class, numbers in numeric order (then ``1`` and ``1.0`` are one label), others in
        the order of their characters; class indices of the training and of the test part, (N,) int64.

    Raises:
        TsdistillError: the training part has one class only, or the test part a class that training lacks.
    """
    numeric = all(is_number(label) for label in {*raw.train.labels, *raw.test.labels})
    train, test = (
        [_plain_number(label) if numeric else label for label in part.labels]
        for part in (raw.train, raw.test)
    )
    classes = tuple(sorted(set(train), key=float if numeric else str))
    if len(classes) < 2:
        raise TsdistillError(
            f"{raw.name}: the training part has only one class ({classes[0]!r}); at least two are needed"
        )
    index = {label: k for k, label in enumerate(classes)}
    if unknown := sorted({label for label in test if label not in index}):
        row = next(n for n, label in enumerate(test, start=1) if label not in index)
        shown = ", ".join(repr(label) for label in unknown[:5])
        raise TsdistillError(
            f"{raw.name}: the test part has labels that the training part lacks: {shown} "
            f"(first at test series {row})"
        )
    y_train, y_test = (
        np.array([index[label] for label in labels], dtype=np.int64) for labels in (train, test)
    )
    return classes, y_train, y_test


def _plain_number(label: str) -> str:
    """One writing for one number: ``1.0000e+00`` and ``1`` are the same label."""
    number = float(label)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


# ---------------------------------------------------------------------------------------------- gaps


def fill_gaps(parts: dict[str, Series], policy: Gaps, name: str) -> list[str]:
    """Fill gaps in place (on a copy); say how many series had some."""
    notes = []
    for part_name, part in parts.items():
        gaps = np.isnan(part.values) & inside(part.lengths, part.values.shape[2])
        rows = np.flatnonzero(gaps.any(axis=(1, 2)))
        if not len(rows):
            continue
        if policy == "refuse":
            raise TsdistillError(
                f"{name}: {part_name} series {rows[0] + 1} has missing values "
                f"({len(rows)} series of the part have); set dataset.gaps=interpolate or zero to accept them"
            )
        part.values = part.values.copy()
        if policy == "zero":
            part.values[gaps] = 0
        else:
            for n, c in np.argwhere(gaps.any(axis=2)):
                _interpolate(
                    part.values[n, c, : part.lengths[n, c]],
                    f"{name}: {part_name} series {n + 1}, channel {c + 1}",
                )
        notes.append(f"{len(rows)} {part_name} series have gaps, filled by dataset.gaps={policy}.")
    return notes


def _interpolate(series: Values, where: str) -> None:
    """Fill the gaps of one channel in place, linearly; before the first and after the last value, with it."""
    there = ~np.isnan(series)
    if not there.any():
        raise TsdistillError(
            f"{where}: no value to interpolate from; set dataset.gaps=zero or drop the series"
        )
    steps = np.arange(len(series))
    series[~there] = np.interp(steps[~there], steps[there], series[there])


def inside(lengths: NDArray[np.int64], steps: int) -> NDArray[np.bool_]:
    """(N, C, T) mask of the steps that belong to a channel, given ``lengths`` (N, C)."""
    if (lengths == steps).all():
        return np.broadcast_to(np.True_, (*lengths.shape, steps))
    mask: NDArray[np.bool_] = np.arange(steps) < lengths[..., None]
    return mask


# ---------------------------------------------------------------------------------------------- lengths


def _settle_lengths(
    parts: dict[str, Series], how: Preprocessing, name: str
) -> tuple[tuple[IntArray | None, IntArray | None], list[str]]:
    """Bring both parts to one length in place; return the true lengths under ``pad``, and notes."""
    train, test = parts["train"], parts["test"]
    shortest = int(min(train.lengths.min(), test.lengths.min()))
    longest = int(max(train.lengths.max(), test.lengths.max()))
    if shortest < 1:
        raise TsdistillError(
            "a channel has no value at all; drop its series, or the channel from all of them"
        )
    limit = how.max_length or longest
    notes = (
        []
        if shortest == longest
        else [f"Series have {shortest} to {longest} steps: dataset.lengths={how.lengths}."]
    )
    if shortest == longest or how.lengths == "truncate":
        for part in parts.values():
            part.values = resample(part.values[:, :, :shortest], min(shortest, limit))
        return (None, None), notes
    if how.lengths == "resample":
        target = min(int(train.lengths.max()), limit)
        _refuse_vast_parts(parts, target, name)
        for part in parts.values():
            part.values = resample_each(part, np.full_like(part.lengths, target), target)
        return (None, None), notes
    width = min(longest, limit)
    _refuse_vast_parts(parts, width, name)
    true = []
    for part in parts.values():
        wanted = np.minimum(part.lengths, limit)
        part.values = resample_each(part, wanted, width)
        true.append(wanted.max(axis=1))
    return (true[0], true[1]), notes


def _refuse_vast_parts(parts: dict[str, Series], width: int, name: str) -> None:
    for half, part in parts.items():
        N, C = part.lengths.shape
        refuse_vast((N, C, width), part.values.size, f"{name}, {half} part", "set dataset.max_length")


def resample(x: Values, length: int) -> Values:
    """Resample series to ``length`` steps by linear interpolation with aligned corners.

    Step j of the result lies at j (T - 1) / (length - 1) of the series: both ends are kept.

    Args:
        x: (N, T) or (N, C, T).
        length: steps of the result; T gives ``x`` itself.

    Returns:
        (N, length) or (N, C, length), of the dtype of ``x``.
    """
    steps = x.shape[-1]
    if length == steps:
        return x
    position = np.linspace(0, steps - 1, length)
    left = position.astype(np.int64)
    right = np.minimum(left + 1, steps - 1)
    weight = (position - left).astype(x.dtype)
    out = np.empty((*x.shape[:-1], length), dtype=x.dtype)
    for rows in _blocks(x):
        start = x[rows][..., left]
        # a + w (b - a) leaves a constant series exactly constant, which scaling relies on.
        out[rows] = start + weight * (x[rows][..., right] - start)
    return out


def _blocks(x: Values) -> Iterator[slice]:
    """Stretches of series of some MB each, so that what is computed on the way stays small."""
    step = max(1, (1 << 18) * len(x) // max(x.size, 1))
    return (slice(i, i + step) for i in range(0, len(x), step))


def resample_each(part: Series, wanted: NDArray[np.int64], width: int) -> Values:
    """Resample every channel from its own length to ``wanted`` (N, C), zeros after it, to (N, C, width)."""
    out = np.zeros((*part.lengths.shape, width), dtype=part.values.dtype)
    pairs = np.stack([part.lengths, wanted], axis=-1).reshape(-1, 2)
    for have, want in np.unique(pairs, axis=0):
        n, c = np.nonzero((part.lengths == have) & (wanted == want))
        out[n, c, :want] = resample(part.values[n, c, :have], int(want))
    return out


# ---------------------------------------------------------------------------------------------- scaling


def _scale(
    train: Values, test: Values, lengths: tuple[IntArray | None, IntArray | None], policy: Scaling
) -> tuple[FloatArray, FloatArray]:
    """Scale both parts over their true steps; what has no spread becomes 0."""
    if policy == "none":
        return as_float32(train), as_float32(test)
    masks = [true_steps(x, true) for x, true in zip((train, test), lengths, strict=True)]
    moments = None if policy == "per_series" else moments_of_all(train, masks[0])
    return standardise(train, masks[0], moments), standardise(test, masks[1], moments)


def true_steps(x: Values, lengths: IntArray | None) -> NDArray[np.bool_]:
    """(N, 1, T) mask of the steps that are not padding."""
    if lengths is None:
        return np.ones((len(x), 1, x.shape[2]), dtype=np.bool_)
    mask: NDArray[np.bool_] = (np.arange(x.shape[2]) < lengths[:, None])[:, None, :]
    return mask


Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mean and population deviation; the deviation is exactly 0 where all values are equal."""


def _moments_of_each(x: Values, mask: NDArray[np.bool_]) -> Moments:
    """Moments of each channel of each series, (N, C, 1)."""
    where = np.broadcast_to(mask, x.shape)
    mean = x.mean(axis=2, keepdims=True, where=where, dtype=np.float64)
    deviation = x.std(axis=2, keepdims=True, where=where, dtype=np.float64)
    high = x.max(axis=2, keepdims=True, where=where, initial=-np.inf)
    low = x.min(axis=2, keepdims=True, where=where, initial=np.inf)
    return mean, np.where(high > low, deviation, 0.0)


def moments_of_all(x: Values, mask: NDArray[np.bool_]) -> Moments:
    """Moments of each channel over all series, (1, C, 1), from those of each."""
    steps = np.broadcast_to(mask.sum(axis=2, keepdims=True), (*x.shape[:2], 1))
    each = [_moments_of_each(x[rows], mask[rows]) for rows in _blocks(x)]
    means, deviations = (np.concatenate([one[i] for one in each]) for i in (0, 1))
    mean = np.average(means, axis=0, weights=steps, keepdims=True)
    # The variance over all is the mean of the variances plus the variance of the means.
    variance = np.average(deviations**2 + (means - mean) ** 2, axis=0, weights=steps, keepdims=True)
    equal = (means == means[:1]).all(axis=0, keepdims=True) & (deviations == 0).all(axis=0, keepdims=True)
    return mean, np.where(equal, 0.0, np.sqrt(variance))


def standardise(x: Values, mask: NDArray[np.bool_], moments: Moments | None) -> FloatArray:
    """Bring to mean 0 and deviation 1 by ``moments``, or each channel of each series by its own."""
    out = np.empty(x.shape, dtype=np.float32)
    for rows in _blocks(x):
        mean, deviation = moments or _moments_of_each(x[rows], mask[rows])
        scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
        out[rows] = (x[rows] - mean) * scale * mask[rows]
    return out


def as_float32(x: Values) -> FloatArray:
    """As contiguous float32; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, dtype=np.float32)


# ---------------------------------------------------------------------------------------------- identity


def fingerprint(train: Part, test: Part, classes: tuple[str, ...]) -> str:
    """Hex SHA-256 of the arrays, the labels and the classes."""
    digest = hashlib.sha256(repr(classes).encode())
    for part in (train, test):
        for array in (part.x, part.y, part.lengths):
            if array is None:
                digest.update(b"none")
                continue
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
