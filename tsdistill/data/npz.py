"""A NumPy archive with the series in ``x`` and the labels in ``y``."""

import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.own import OwnFiles
from tsdistill.data.raw import RawPart, Sources
from tsdistill.errors import TsdistillError

UNSOUND = (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What a broken or foreign zip archive raises; the last where it is encrypted."""


@dataclass(frozen=True)
class NpzReader(OwnFiles):
    """Reads ``x`` (N, C, T) or (N, T), ``y`` (N,), and ``lengths`` (N,) or (N, C) if it is there.

    Without a test file, ``x_test``, ``y_test`` and ``lengths_test`` of the same file are the test part if
    they are there. Pickled objects are never loaded.
    """

    def parse(self, sources: Sources) -> tuple[RawPart, RawPart]:
        """Parse the file or files."""
        if len(sources.files) == 1:
            arrays = load_arrays(sources.files[0])
            if "x_test" in arrays:
                where = str(sources.files[0])
                return part_of(arrays, "", where), part_of(arrays, "_test", where)
        return super().parse(sources)

    def read_part(self, path: Path) -> RawPart:
        """Read one file."""
        return part_of(load_arrays(path), "", str(path))


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file, none of them pickled."""
    if not zipfile.is_zipfile(path):
        raise TsdistillError(f"{path}: not an .npz archive; save x and y together by numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as stored:
            for key, count in Counter(stored.files).items():
                if count > 1:
                    raise TsdistillError(f"{path}: {count} arrays are named {key!r}; keep one of them")
            return {key: np.asarray(stored[key]) for key in stored}
    except MemoryError:
        raise TsdistillError(f"{path}: an array does not fit into memory") from None
    except (*UNSOUND, ValueError, TypeError) as error:
        if "allow_pickle" in str(error):
            reason = "it holds Python objects; save plain arrays of numbers or text"
        else:
            reason = "not a sound .npz file"
        raise TsdistillError(f"{path}: {reason}") from None


def part_of(arrays: Mapping[str, NDArray[Any]], half: str, where: str) -> RawPart:
    """Check and wrap the arrays whose names end in ``half``."""
    for key in ("x", "y"):
        if key + half not in arrays:
            raise TsdistillError(
                f"{where}: no array {key + half!r} (it has {', '.join(sorted(arrays)) or 'none'})"
            )
    x, y = arrays["x" + half], arrays["y" + half]
    if x.dtype.kind not in "iufb" or x.ndim not in (2, 3) or 0 in x.shape:
        raise TsdistillError(
            f"{where}: x{half} must be numbers of shape (N, C, T) or (N, T), not {x.dtype} {x.shape}"
        )
    if y.shape != (len(x),):
        raise TsdistillError(
            f"{where}: y{half} must have shape ({len(x)},) as x{half} has series, not {y.shape}"
        )
    part = RawPart.of(x, _labels(y, where))
    if f"lengths{half}" in arrays:
        part = _cut(part, arrays[f"lengths{half}"], f"{where}: lengths{half}")
    for fault, found in (
        ("an infinite value", np.isinf(part.values).any(axis=(1, 2))),
        ("a value too large for float32", (np.abs(part.values) > np.finfo(np.float32).max).any(axis=(1, 2))),
        ("no value at all", np.isnan(part.values).all(axis=(1, 2))),
    ):
        for n in np.flatnonzero(found):
            raise TsdistillError(f"{where}: series {n + 1} of x{half} has {fault}")
    return part


def _labels(y: NDArray[Any], where: str) -> list[str]:
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            raise TsdistillError(f"{where}: a label is not UTF-8 text") from None
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise TsdistillError(f"{where}: the label of series {np.argmax(~np.isfinite(y)) + 1} is not a number")
    return [str(label) for label in y.tolist()]


def _cut(part: RawPart, lengths: NDArray[Any], where: str) -> RawPart:
    """Give the part the lengths that the file says."""
    n, channels, steps = part.values.shape
    if lengths.dtype.kind not in "iu" or lengths.shape not in ((n,), (n, channels)):
        raise TsdistillError(f"{where} must be whole numbers of shape ({n},) or ({n}, {channels})")
    if lengths.min() < 1 or lengths.max() > steps:
        raise TsdistillError(f"{where} must lie between 1 and {steps}")
    each = np.broadcast_to(lengths.reshape(n, -1), (n, channels)).astype(np.int64)
    values = np.where(np.arange(steps) < each[..., None], part.values, np.nan)
    return RawPart(values, each, part.labels)
