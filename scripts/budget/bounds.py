"""Intervals of paired differences, and what they bound."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from budget.points import BOUND, BUDGETS, FULL, METRICS, Point
from budget.runs import of_seeds, paired, scores


@dataclass(frozen=True)
class Interval:
    """Mean of paired differences with its two-sided 95 % t interval.

    Attributes:
        mean: their mean.
        low: lower end.
        high: upper end.
        p: two-sided, of the paired t test.
        spread: their standard deviation.
        n: number of pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    spread: float
    n: int

    def __str__(self) -> str:
        if self.n < 2:
            return "-"
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def interval(differences: Sequence[float]) -> Interval:
    """Interval and paired t test of differences; all nan below two pairs."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return Interval(math.nan, math.nan, math.nan, math.nan, math.nan, n)
    values = pd.Series(differences, dtype=float)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    error = spread / math.sqrt(n)
    half = float(t.ppf(0.975, n - 1)) * error
    if error == 0:
        return Interval(mean, mean, mean, 1.0 if mean == 0 else 0.0, 0.0, n)
    return Interval(mean, mean - half, mean + half, float(2 * t.sf(abs(mean / error), n - 1)), spread, n)


def loss_bounds(runs: pd.DataFrame) -> dict[int, dict[str, Interval]]:
    """Of each M below the full one and each metric, the difference to the full M."""
    full = scores(runs, perturbations=FULL)
    return {
        budget: {
            metric: interval(paired(scores(runs, perturbations=budget), full, metric)) for metric in METRICS
        }
        for budget in BUDGETS
        if budget != FULL
    }


def more_bounds(runs: pd.DataFrame, seeds: Iterable[int]) -> dict[str, Interval]:
    """Of the default M, the difference to the full one over these seeds, by metric."""
    return loss_bounds(of_seeds(runs, seeds))[Point().perturbations]


def is_bounded(found: Mapping[str, Interval]) -> bool:
    """Whether the loss is bounded in every metric."""
    return all(one.low > BOUND for one in found.values())


def smallest_bounded(bounds: Mapping[int, Mapping[str, Interval]]) -> int | None:
    """The smallest M whose loss is bounded in every metric, or None."""
    good = [budget for budget, found in bounds.items() if all(one.low > BOUND for one in found.values())]
    return min(good, default=None)


def pairs_needed(found: Interval) -> int | None:
    """About how many pairs a mean and spread like these would need for their bound; None: no number does."""
    room = found.mean - BOUND
    return None if room <= 0 else math.ceil((1.96 * found.spread / room) ** 2)


def time_ratio(runs: pd.DataFrame, first: pd.DataFrame) -> float:
    """Median over pairs of the wall time of an epoch, in parts of that at the full M."""
    full = scores(runs, perturbations=FULL)
    both = first.index.intersection(full.index)
    return float((first.loc[both, "seconds"] / full.loc[both, "seconds"]).median())


def seed_spread(at: pd.DataFrame, metric: str) -> float:
    """Standard deviation over seeds within a set, pooled over sets (root of the mean variance)."""
    return math.sqrt(float(at.groupby("dataset")[metric].var(ddof=1).mean()))
