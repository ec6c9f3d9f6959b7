"""Whether two models look at the same timesteps, and whether they look at those that matter."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.types import FloatArray, IntArray
from tsdistill.evaluation.predict import Predict

Array = NDArray[Any]

TOP = 0.1
FLAT = 1e-6


def map_agreement(
    a: Array, b: Array, lengths: IntArray | None = None, *, shuffles: int = 5, seed: int = 0
) -> dict[str, float]:
    """Compare two models' saliency maps of the same series.

    For each pair of maps Spearman's rank correlation and the share that the top 10 % of timesteps (at least
    one) have in common, where timesteps tied at the border are counted in part. Maps of different series are
    alike too (many look at the same place), so the same two figures over shuffled pairs stand beside them:
    only what goes beyond that chance level is agreement on the series at hand.

    A flat or non-finite map has no ranks: its pairs are undefined, left out of the means and counted.

    Args:
        a: maps of one model, (N, T).
        b: maps of the other, (N, T).
        lengths: true lengths, (N,) int64, or None; later timesteps are padding and not looked at.
        shuffles: number of shuffled partners for each map.
        seed: of the shuffling.

    Returns:
        ``spearman``, ``top10`` and their levels ``spearman_chance``, ``top10_chance``; NaN where no pair is
        defined (no chance level at N = 1); ``pairs`` (N) and ``undefined`` (pairs without a value).
    """
    N, T = a.shape
    lengths = np.full(N, T) if lengths is None else lengths
    true = np.array([_pair(a[i, : lengths[i]], b[i, : lengths[i]]) for i in range(N)]).reshape(-1, 2)
    chance = []
    for i, j in shuffled_pairs(N, shuffles, seed):
        common = min(lengths[i], lengths[j])
        chance.append(_pair(a[i, :common], b[j, :common]))
    spearman, top10 = _mean(true)
    spearman_chance, top10_chance = _mean(np.array(chance).reshape(-1, 2))
    return {
        "spearman": spearman,
        "top10": top10,
        "spearman_chance": spearman_chance,
        "top10_chance": top10_chance,
        "pairs": float(N),
        "undefined": float(np.isnan(true[:, 0]).sum()),
    }


def shuffled_pairs(n: int, shuffles: int, seed: int) -> list[tuple[int, int]]:
    """Draw pairs of different rows, each row ``min(shuffles, n - 1)`` times on either side.

    Args:
        n: number of rows.
        shuffles: partners for each row.
        seed: of the draw.

    Returns:
        The pairs, none twice.
    """
    order = np.random.default_rng(seed).permutation(n)
    shifts = range(1, min(shuffles, n - 1) + 1)
    return [(int(i), int(j)) for shift in shifts for i, j in zip(order, np.roll(order, shift), strict=True)]


def is_flat(maps: Array) -> NDArray[np.bool_]:
    """Find maps that single out no timestep: all values equal up to float32's rounding, or not finite.

    Args:
        maps: (..., T).

    Returns:
        (...) bool.
    """
    with np.errstate(invalid="ignore"):
        spread = maps.max(axis=-1) - maps.min(axis=-1)
        flat: NDArray[np.bool_] = ~(spread > FLAT * np.abs(maps).max(axis=-1))
    return flat


@dataclass(frozen=True)
class Curves:
    """What a model makes of series as ever more timesteps are deleted or inserted.

    Attributes:
        fractions: share of the timesteps that are changed, (S + 1,), 0 to 1.
        deletion: probability of the explained class after deleting the most salient ones, (N, S + 1).
        insertion: the same after inserting them into the empty series, (N, S + 1).
    """

    fractions: Array
    deletion: Array
    insertion: Array

    def areas(self) -> tuple[float, float]:
        """Mean areas under the deletion and the insertion curve, by trapezoids."""
        middles = [(curve[:, 1:] + curve[:, :-1]) / 2 for curve in (self.deletion, self.insertion)]
        deletion, insertion = ((middle * np.diff(self.fractions)).sum(axis=1).mean() for middle in middles)
        return float(deletion), float(insertion)


def deletion_insertion(
    predict: Predict,
    x: FloatArray,
    maps: Array,
    explained: IntArray,
    lengths: IntArray | None = None,
    *,
    baseline: Literal["mean", "zero"] = "mean",
    steps: int = 20,
    seed: int = 0,
) -> Curves:
    """Delete and insert timesteps in the order of a map (Petsiuk et al. 2018, RISE, section 4.2).

    Args:
        predict: series (N, C, T) to logits (N, K).
        x: series, (N, C, T) float32.
        maps: saliency, (N, T); ties are broken at random.
        explained: the class whose probability is followed, (N,) int64.
        lengths: true lengths, (N,) int64, or None; padding is left alone.
        baseline: what a deleted timestep holds: its channel's mean over time, or zero.
        steps: number of equal steps S from nothing to everything.
        seed: of the random order of ties.

    Returns:
        The curves; a faithful map has a low deletion and a high insertion curve.
    """
    from scipy.special import softmax  # here, because it takes long to import

    N, _, T = x.shape
    lengths = np.full(N, T) if lengths is None else lengths
    inside = np.arange(T) < lengths[:, None]
    empty = np.where(inside[:, None], baseline_of(x, lengths, baseline), x).astype(np.float32)
    tie = np.random.default_rng(seed).random((N, T))
    order = np.lexsort((tie, np.where(inside, -maps, np.inf)), axis=-1)
    place = np.argsort(order, axis=-1)
    fractions = np.linspace(0.0, 1.0, steps + 1)
    deletion, insertion = np.empty((2, N, steps + 1))
    for s, fraction in enumerate(fractions):
        changed = ((place < np.round(fraction * lengths)[:, None]) & inside)[:, None]
        for curve, series in (
            (deletion, np.where(changed, empty, x)),
            (insertion, np.where(changed, x, empty)),
        ):
            curve[:, s] = softmax(predict(series).astype(np.float64), axis=1)[np.arange(N), explained]
    return Curves(fractions, deletion, insertion)


def faithfulness(
    predict: Predict,
    x: FloatArray,
    maps: Array,
    explained: IntArray,
    lengths: IntArray | None = None,
    *,
    baseline: Literal["mean", "zero"] = "mean",
    steps: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """Areas under the deletion and insertion curves, beside those of the maps of other series.

    Args:
        predict: see :func:`deletion_insertion`, as are the other arguments.
        x: series, (N, C, T) float32.
        maps: saliency, (N, T).
        explained: explained class, (N,) int64.
        lengths: true lengths, (N,) int64, or None.
        baseline: what a deleted timestep holds.
        steps: number of steps.
        seed: of the shuffled maps and the order of ties.

    Returns:
        ``deletion``, ``insertion``, ``deletion_chance``, ``insertion_chance`` (chance: each series with the
        map of another one; NaN at N = 1) and ``flat``, the number of maps without an order of their own.
    """

    def areas(some: Array) -> tuple[float, float]:
        curves = deletion_insertion(
            predict, x, some, explained, lengths, baseline=baseline, steps=steps, seed=seed
        )
        return curves.areas()

    deletion, insertion = areas(maps)
    deletion_chance = insertion_chance = float("nan")
    if len(x) > 1:
        partner = dict(shuffled_pairs(len(x), 1, seed))
        deletion_chance, insertion_chance = areas(maps[[partner[i] for i in range(len(x))]])
    return {
        "deletion": deletion,
        "insertion": insertion,
        "deletion_chance": deletion_chance,
        "insertion_chance": insertion_chance,
        "flat": float(is_flat(maps).sum()),
    }


def baseline_of(x: FloatArray, lengths: IntArray | None, baseline: Literal["mean", "zero"]) -> FloatArray:
    """The uninformative series that stands for "nothing here".

    Args:
        x: series, (N, C, T) float32; padding holds 0.
        lengths: true lengths, (N,) int64, or None.
        baseline: each channel's mean over its own timesteps, or zero.

    Returns:
        (N, C, T) float32, constant over time, padding included.
    """
    if baseline == "zero":
        return np.zeros_like(x)
    count = x.shape[2] if lengths is None else lengths[:, None, None]
    mean = x.sum(axis=2, keepdims=True, dtype=np.float64) / count
    return np.broadcast_to(mean, x.shape).astype(np.float32)


def _pair(a: Array, b: Array) -> tuple[float, float]:
    """Spearman's correlation and top-10 % overlap of two maps (T,), NaN where either is flat."""
    from scipy.stats import rankdata

    if is_flat(a) or is_flat(b):
        return float("nan"), float("nan")
    spearman = np.corrcoef(rankdata(a), rankdata(b))[0, 1]
    count = max(1, round(TOP * len(a)))
    overlap = np.minimum(_membership(a, count), _membership(b, count)).sum() / count
    return float(spearman), float(overlap)


def _membership(values: Array, count: int) -> Array:
    """How far each of T values is among the top ``count``: 1, 0, or a share of what ties must share."""
    border = np.partition(values, -count)[-count]
    above, tied = values > border, values == border
    member: Array = above + tied * (count - above.sum()) / tied.sum()
    return member


def _mean(pairs: Array) -> tuple[float, float]:
    """Mean over the defined pairs, (n, 2) to two values, NaN where there are none."""
    defined = pairs[~np.isnan(pairs[:, 0])]
    if len(defined) == 0:
        return float("nan"), float("nan")
    first, second = defined.mean(axis=0)
    return float(first), float(second)
