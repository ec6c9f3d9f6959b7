"""Cross-fitting: which series a fold holds out, and whether the folds are to answer."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from tsdistill.errors import TsdistillError

Rows = NDArray[np.int64]

DEFAULT_FOLDS = 5
LEAST_OUT_OF_FOLD = 0.85
"""Out-of-fold accuracy from which ``cross_fit=auto`` cross-fits; docs/any-teacher.md has the measurement."""
MEMORISED = 0.1
"""Spread of its margins, over their mean, below which a classifier tells its own series apart no longer."""


def folds_asked(cross_fit: int | str) -> int:
    """How many folds ``teacher.cross_fit`` asks for; ``auto`` looks at ``DEFAULT_FOLDS``.

    Raises:
        TsdistillError: neither ``auto`` nor 0 nor 2 or more.
    """
    if cross_fit == "auto":
        return DEFAULT_FOLDS
    if isinstance(cross_fit, int) and (cross_fit == 0 or cross_fit >= 2):
        return cross_fit
    raise TsdistillError(f"teacher.cross_fit={cross_fit} should be auto, 0 or the number of folds, 2 or more")


def held_out(y: Rows, folds: int, seed: int) -> list[Rows]:
    """Rows that each fold holds out; every class stays in the rest of every fold.

    Args:
        y: classes, (N,) int64.
        folds: wanted number of folds; no more are made than the largest class has series.
        seed: of the shuffle.

    Returns:
        Ascending rows of each fold, disjoint. The only series of a class is in none of them.
    """
    counts = np.bincount(y)
    rows = np.flatnonzero(counts[y] > 1)
    folds = min(folds, int(counts.max()))
    if folds < 2 or not len(rows):
        return []
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer series than folds is in some alone
        return [rows[held] for _, held in cut.split(rows, y[rows])]


def memorises(answers: NDArray[np.float64]) -> bool:
    """Whether a classifier is equally sure of all series that it has learnt, and so tells nothing about them.

    Args:
        answers: probabilities or scores of the series that it was fitted to, (N, K).
    """
    ranked = np.sort(answers, axis=1)
    margins = ranked[:, -1] - ranked[:, -2]
    return bool(margins.std() <= MEMORISED * margins.mean())


def is_worth_it(
    cross_fit: int | str, inside: NDArray[np.float64], outside: float, folds: Sequence[Rows]
) -> bool:
    """Whether the training series get out-of-fold answers.

    Args:
        cross_fit: the setting ``teacher.cross_fit``.
        inside: answers to the series that the classifier was fitted to, (N, K).
        outside: accuracy of the folds on the series that they have not seen; NaN where there are none.
        folds: rows that each holds out.
    """
    if cross_fit != "auto":
        return bool(cross_fit) and bool(folds)
    return memorises(inside) and outside >= LEAST_OUT_OF_FOLD
