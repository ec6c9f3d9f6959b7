"""A teacher's answers held against the labels: a wrong order of classes shows at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tsdistill.errors import TsdistillError


def hold_against_labels(
    logits: NDArray[np.floating[Any]], y: NDArray[np.int64], classes: int
) -> tuple[float, str]:
    """Accuracy of a teacher's answers on the training part, in a number and in words.

    Args:
        logits: its answers, (N, K): logits, probabilities or scores.
        y: the classes, (N,).
        classes: K.

    Raises:
        TsdistillError: another shape, values that are not finite, or another order of the columns would make
            it more than twice as accurate.
    """
    if logits.shape != (len(y), classes):
        raise TsdistillError(
            f"the teacher's answers have shape {logits.shape}, not {(len(y), classes)}, on the training part"
        )
    unsound = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(unsound):
        raise TsdistillError(f"the teacher's answer to training series {unsound[0]} is not finite")
    right = np.zeros((classes, classes))
    np.add.at(right, (logits.argmax(axis=1), y), 1)
    accuracy = float(np.trace(right) / len(y))
    columns, meant = linear_sum_assignment(-right)
    best = float(right[columns, meant].sum() / len(y))
    if best > 2 * accuracy:
        raise TsdistillError(
            f"the teacher is right about {accuracy:.0%} of the training series, and about {best:.0%} if its "
            f"columns are those of the classes {meant.tolist()}; put them in the order 0 to {classes - 1}"
        )
    return accuracy, f"accuracy {accuracy:.3f} on the training part"
