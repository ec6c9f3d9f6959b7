"""A seeded split that keeps every class in the first part."""

import numpy as np

from tsdistill.data.types import IntArray


def stratified_split(y: IntArray, fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """Hold out a fraction of the series, each class in proportion, never a class's last series.

    Each class gives the whole part of its share; what is left goes to the classes with the largest remainders
    (ties to the smaller class index). With one series a class nothing is held out.

    Args:
        y: class indices, (N,) int64.
        fraction: share of the series to hold out, 0 <= fraction < 1.
        seed: of the draw.

    Returns:
        Indices kept and indices held out, each sorted, int64.
    """
    classes, counts = np.unique(y, return_counts=True)
    share = counts * fraction
    quota = np.minimum(np.floor(share + 1e-9).astype(np.int64), counts - 1)
    wanted = int(np.floor(len(y) * fraction + 0.5))
    for k in np.argsort(quota - share, kind="stable"):
        if quota.sum() < wanted and quota[k] < counts[k] - 1:
            quota[k] += 1
    draw = np.random.default_rng(seed)
    held = [draw.permutation(np.flatnonzero(y == c))[:n] for c, n in zip(classes, quota, strict=True)]
    held_out = np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)
    return np.setdiff1d(np.arange(len(y)), held_out), held_out.astype(np.int64)
