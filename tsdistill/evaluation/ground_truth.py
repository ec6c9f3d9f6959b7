"""Saliency maps held against the truth, where it is known which timesteps tell the class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.evaluation.reasoning import is_flat, shuffled_pairs

Array = NDArray[Any]


def saliency_auprc(
    maps: Array, masks: NDArray[np.bool_], *, shuffles: int = 5, seed: int = 0
) -> dict[str, float]:
    """Area under the precision-recall curve of a map as a detector of the planted timesteps.

    Step-wise average precision for each series, then the mean. The level of a map that knows nothing is the
    planted share; that of a map that knows only where evidence usually stands is found with the maps of
    other series. A flat map scores the planted share and is counted; a map that is not finite, or a mask
    that is all or nothing, has no value: left out of the mean and counted.

    Args:
        maps: saliency, (N, T) or (N, C, T).
        masks: True where the class is told, of the same shape.
        shuffles: number of other series whose map is tried on each.
        seed: of their choice.

    Returns:
        ``auprc``, ``auprc_shuffled`` (NaN at N = 1), ``planted_share``, ``series`` (N), ``flat`` and
        ``undefined``.
    """
    N = len(maps)
    maps, masks = maps.reshape(N, -1), masks.reshape(N, -1)
    share = masks.mean(axis=1)
    true = np.array([_average_precision(masks[i], maps[i]) for i in range(N)])
    other = np.array([_average_precision(masks[i], maps[j]) for i, j in shuffled_pairs(N, shuffles, seed)])
    return {
        "auprc": _mean(true),
        "auprc_shuffled": _mean(other),
        "planted_share": float(share.mean()),
        "series": float(N),
        "flat": float((is_flat(maps) & np.isfinite(maps).all(axis=1)).sum()),
        "undefined": float(np.isnan(true).sum()),
    }


def _average_precision(mask: Array, values: Array) -> float:
    from sklearn.metrics import average_precision_score

    if not np.isfinite(values).all() or mask.all() or not mask.any():
        return float("nan")
    return float(average_precision_score(mask, values))


def _mean(values: Array) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
