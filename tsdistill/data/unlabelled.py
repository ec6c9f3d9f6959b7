"""A user's own series without labels, prepared just as a dataset's were."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.load import COMMON_KEYS, read_raw
from tsdistill.data.preprocess import Preprocessing, preprocess
from tsdistill.data.raw import RawDataset, RawPart, trailing_lengths
from tsdistill.data.text import is_number, parse_numbers, text_lines
from tsdistill.data.types import Part, TimeSeriesDataset
from tsdistill.errors import TsdistillError


def read_unlabelled(
    path: Path, dataset: TimeSeriesDataset, conf: Mapping[str, Any], data_root: Path | None, cache: Path
) -> Part:
    """Read univariate series, one a row, and prepare them with a dataset's own settings and training part.

    Values are separated by commas, semicolons or tabs; there is no label column. A first row that does not
    begin with a number is a header. Empty fields are gaps; at the end of a row they mean that it has ended.

    Args:
        path: the file.
        dataset: the set that the model was trained on.
        conf: the config that it was loaded from.
        data_root: root of the user's local data, or None.
        cache: folder of parsed sets.

    Returns:
        The series, (N, 1, T) with the dataset's T; all ``y`` are 0 and mean nothing.

    Raises:
        TsdistillError: no such file, no numbers, a multivariate dataset, or series that cannot have its T.
    """
    if dataset.channels != 1:
        raise TsdistillError(
            f"input={path}: {dataset.name} has {dataset.channels} channels; such files hold one only"
        )
    raw = read_raw(conf, data_root, cache)
    values = _read_table(path)
    own = RawPart(values, trailing_lengths(values), (raw.train.labels[0],) * len(values))
    how = Preprocessing(**{key: conf[key] for key in COMMON_KEYS if key in conf})
    part = preprocess(RawDataset(str(path), raw.train, own, str(path)), how).test
    if part.x.shape[2] != dataset.length:
        raise TsdistillError(
            f"input={path}: with dataset.lengths={how.lengths} its series have {part.x.shape[2]} steps, "
            f"where the model knows {dataset.length}; bring them to the length of {dataset.name}'s own"
        )
    return Part(part.x, np.zeros(len(part), np.int64), part.lengths)


def _read_table(path: Path) -> NDArray[np.float32]:
    """All rows as (N, 1, T) float32, short ones filled with NaN."""
    if not path.is_file():
        raise TsdistillError(f"input={path}: no such file (looked for it from {Path.cwd()})")
    rows: list[NDArray[np.float32]] = []
    with text_lines(path) as lines:
        for place, (number, line) in enumerate(lines):
            mark = next((mark for mark in ("\t", ";") if mark in line), ",")
            fields = [field.strip() for field in line.split(mark)]
            if place == 0 and fields[0] and not is_number(fields[0]) and fields[0].lower() != "nan":
                continue  # a header
            rows.append(
                parse_numbers(",".join(field or "nan" for field in fields), ",", f"{path}, row {number}")
            )
            if np.isnan(rows[-1]).all():
                raise TsdistillError(f"{path}, row {number}: the series has no value at all")
    if not rows:
        raise TsdistillError(f"{path}: no series in it")
    table = np.full((len(rows), 1, max(map(len, rows))), np.nan, dtype=np.float32)
    for at, row in enumerate(rows):
        table[at, 0, : len(row)] = row
    return table
