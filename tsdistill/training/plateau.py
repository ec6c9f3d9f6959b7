"""The plateau on which small recurrent students begin, and on which some of them stay."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tsdistill.training.calibration import fit_affine, one_hot

_T = TypeVar("_T")

PLATEAU = 0.95
"""A student is on the plateau while its cross-entropy is above this share of the labels' entropy."""


def label_entropy(y: NDArray[np.int64]) -> float:
    """Entropy of the labels (N,) in nats: the cross-entropy of a model that predicts their frequencies."""
    shares = np.bincount(y) / len(y)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def on_plateau(logits: NDArray[np.float64], y: NDArray[np.int64]) -> bool:
    """Whether a student has learnt next to nothing about its training labels.

    Its logits are fitted first (``fit_affine``): small logits or a wrong threshold don't put a student on the
    plateau.

    Args:
        logits: of the training part, (N, K).
        y: its classes, (N,) int64.

    Returns:
        True where the cross-entropy is above 0.95 of the labels' entropy, or a logit is not finite.
    """
    from scipy.special import log_softmax  # here, because it takes long to import

    if not np.isfinite(logits).all():
        return True
    targets = one_hot(y, logits.shape[1])
    fitted = fit_affine(logits, targets, ridge=1e-3)(np.asarray(logits, dtype=np.float64))
    loss = -(targets * log_softmax(fitted, axis=1)).sum(axis=1).mean()
    return bool(loss > PLATEAU * label_entropy(y))


def until_learnt(seeds: Sequence[int], attempt: Callable[[int, bool], tuple[_T, bool]]) -> tuple[_T, int]:
    """Train, and begin anew from the next seed while the model stays on the plateau.

    Args:
        seeds: the run's own, then those of its restarts.
        attempt: called with a seed and whether to give up on the plateau (not in the last attempt); returns
            what was trained, and whether it was given up.

    Returns:
        What was trained, and the number of restarts.
    """
    for restarts, seed in enumerate(seeds):
        trained, given_up = attempt(seed, restarts < len(seeds) - 1)
        if not given_up:
            break
    return trained, restarts
