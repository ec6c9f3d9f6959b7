"""What any dataset reader has to give."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tsdistill.data.load import read_raw
from tsdistill.data.preprocess import Preprocessing, preprocess
from tsdistill.data.raw import RawPart


def check_dataset(target: str, root: Path | None = None, **settings: object) -> None:
    """Check a dataset reader: shapes, labels, both parts alike, reading twice, preprocessing.

    Args:
        target: import path of the reader, as in ``dataset._target_``.
        root: the local data, as ``data_root``.
        settings: the reader's own.

    Raises:
        AssertionError: one line that says what is wrong.
        TsdistillError: the reader refuses its settings or its data.
    """
    conf = {"_target_": target, **settings}
    with TemporaryDirectory() as cache:
        raw, again = (read_raw(conf, root, Path(cache)) for _ in range(2))
    for name, part in (("train", raw.train), ("test", raw.test)):
        _check_part(name, part)
    counts = raw.train.values.shape[1], raw.test.values.shape[1]
    assert counts[0] == counts[1], f"the parts have {counts[0]} and {counts[1]} channels"
    unknown = sorted(set(raw.test.labels) - set(raw.train.labels))
    assert not unknown, f"labels of the test part that no training series has: {', '.join(unknown[:5])}"
    assert len(set(raw.train.labels)) > 1, "the training part has one class only"
    first, second = (preprocess(read, Preprocessing()) for read in (raw, again))
    assert first.fingerprint == second.fingerprint, "read twice, it gives different data: fix its draws"


def _check_part(name: str, part: RawPart) -> None:
    shape = part.values.shape
    assert part.values.ndim == 3, f"values of the {name} part have shape {shape}, not (N, C, T)"
    assert shape[0] > 0, f"the {name} part is empty"
    assert len(part.labels) == shape[0], f"the {name} part has {shape[0]} series, {len(part.labels)} labels"
    assert part.lengths.shape == shape[:2], f"lengths of the {name} part are not (N, C)"
    assert part.lengths.max() <= shape[2], f"a length of the {name} part is above T = {shape[2]}"
    assert not np.isinf(part.values).any(), f"a value of the {name} part is infinite; write NaN for a gap"
    assert all(isinstance(label, str) for label in part.labels), f"a label of the {name} part is not text"
