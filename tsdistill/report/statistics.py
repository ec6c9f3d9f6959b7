"""Statistics across data sets: ranks, paired tests and effect sizes, on the means over seeds.

A score table has a row for each data set and a column for each method. Differences are rounded to 12
decimals, so that scores equal but for rounding are ties.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tsdistill.errors import TsdistillError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

ALPHA = 0.05
_DECIMALS = 12
_ENUMERATED = 13
"""Up to so many differences, p is exact even where equal ones spoil SciPy's table."""


@dataclass(frozen=True)
class Comparison:
    """One method against another over data sets.

    Attributes:
        method, other: what is compared; a win is the first's.
        sets: data sets compared.
        wins, ties, losses: of the first.
        difference: mean of (first - other).
        effect: matched-pairs rank-biserial correlation, in [-1, 1], positive where the first is better.
        p: two-sided Wilcoxon signed-rank.
        p_holm: p adjusted in its family by Holm's step-down.
        p_smallest: the smallest p attainable with that many differences.
    """

    method: str
    other: str
    sets: int
    wins: int
    ties: int
    losses: int
    difference: float
    effect: float
    p: float
    p_holm: float
    p_smallest: float


@dataclass(frozen=True)
class Statistics:
    """All statistics of one metric and one pair of teacher and student.

    Attributes:
        metric: its name.
        datasets: those that every compared method has.
        left_out: methods with results on fewer than half of the data sets.
        unused: data sets on which a compared method has no result.
        means: mean score by method, best first.
        ranks: average rank by method, 1 is best, best first.
        friedman: chi-squared and p, or None (fewer than three methods or two data sets).
        asked: the method that the others were to be compared with.
        reference: the method that they are compared with: the one asked for, or the best-ranked one where
            that is left out.
        against_reference: each other method's comparison (reference first), Holm over this family.
        pairwise: every pair's comparison, better rank first, Holm over all pairs.
    """

    metric: str
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]
    unused: tuple[str, ...]
    means: Mapping[str, float]
    ranks: Mapping[str, float]
    friedman: tuple[float, float] | None
    asked: str
    reference: str
    against_reference: tuple[Comparison, ...]
    pairwise: tuple[Comparison, ...]


def compare_methods(
    scores: "pd.DataFrame", metric: str, reference: str, *, higher_is_better: bool = True
) -> Statistics | None:
    """Compare methods over the data sets that all of them have.

    Args:
        scores: means over seeds, data sets down and methods across; NaN where there is none.
        metric: the name that the result carries.
        reference: a column.
        higher_is_better: the direction of the metric.

    Returns:
        The statistics, or None where fewer than two methods share a data set.
    """
    enough = scores.notna().sum() * 2 >= len(scores)
    left_out = tuple(sorted(scores.columns[~enough]))
    every = scores.index
    scores = scores.loc[:, enough].dropna()
    if scores.shape[1] < 2 or scores.empty:
        return None
    ranks = average_ranks(scores, higher_is_better=higher_is_better)
    asked, reference = reference, reference if reference in ranks else next(iter(ranks))
    others = [name for name in ranks if name != reference]
    sign = 1.0 if higher_is_better else -1.0
    return Statistics(
        metric=metric,
        datasets=tuple(str(name) for name in scores.index),
        left_out=left_out,
        unused=tuple(str(name) for name in every if name not in scores.index),
        means=scores.mean().sort_values(ascending=not higher_is_better, kind="stable").to_dict(),
        ranks=ranks,
        friedman=friedman(scores),
        asked=asked,
        reference=reference,
        against_reference=_family(scores, [(reference, other) for other in others], sign),
        pairwise=_family(scores, list(combinations(ranks, 2)), sign),
    )


def resolve_reference(named: str | None, variants: Sequence[str]) -> str | None:
    """The row that the others are compared with: the one named, else plain ``tsd``, else the plain student.

    Args:
        named: a row's name, or a method's that has one row; None for the default.
        variants: names of the rows.

    Returns:
        The row's name, or None where no row has the name.

    Raises:
        TsdistillError: more than one row has that name.
    """
    if named is None:
        wanted = [name for start in ("tsd", "none") for name in variants if name.split(" [")[0] == start]
        return (wanted or list(variants))[0]
    if named in variants:
        return named
    found = [name for name in variants if name.split(" [")[0] == named]
    if len(found) > 1:
        raise TsdistillError(
            f"reference={named} names several rows: write one of them, " + " or ".join(found)
        )
    return found[0] if found else None


def average_ranks(scores: "pd.DataFrame", *, higher_is_better: bool = True) -> dict[str, float]:
    """Mean over data sets of each method's rank there; equal scores share the mean of their ranks.

    Args:
        scores: data sets down, methods across, no NaN.
        higher_is_better: whether rank 1 is the highest.

    Returns:
        Average rank by method, best first, equal ones by name.
    """
    ranks = scores.round(_DECIMALS).rank(axis=1, ascending=not higher_is_better).mean()
    return dict(
        sorted(((str(name), float(rank)) for name, rank in ranks.items()), key=lambda pair: pair[::-1])
    )


def friedman(scores: "pd.DataFrame") -> tuple[float, float] | None:
    """Friedman's test that all methods are alike: chi-squared (corrected for ties) and p.

    Args:
        scores: data sets down, methods across, no NaN.

    Returns:
        None for fewer than three methods or two data sets, or where all scores are equal.
    """
    from scipy.stats import friedmanchisquare

    rounded = scores.round(_DECIMALS)
    if scores.shape[1] < 3 or len(scores) < 2 or (rounded.nunique(axis=1) == 1).all():
        return None
    found = friedmanchisquare(*(rounded[name] for name in rounded.columns))
    return float(found.statistic), float(found.pvalue)


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test; zero differences are left out.

    Exact for up to 50 differences of unequal size and for up to 13 of any; the normal approximation beyond.

    Args:
        differences: one a data set.

    Returns:
        p; 1 where no difference is left.
    """
    import numpy as np
    from scipy.stats import wilcoxon

    left = np.round(np.asarray(differences, dtype=float), _DECIMALS)
    left = left[left != 0]
    if not len(left):
        return 1.0
    if len(np.unique(np.abs(left))) < len(left) <= _ENUMERATED:
        return _exact_p(left)
    return float(wilcoxon(left, method="auto").pvalue)


def _exact_p(differences: "NDArray[Any]") -> float:
    """Two-sided p of the signed-rank test under ties, from the sums of ranks of all 2^n choices of signs.

    SciPy permutes the signs, which takes a tenth of a second; a table of 30 methods has thousands of pairs.
    """
    import numpy as np
    from scipy.stats import rankdata

    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(int)  # of ties, half ranks
    ways = np.zeros(doubled.sum() + 1)
    ways[0] = 1
    for rank in doubled:
        ways[rank:] += ways[:-rank].copy()
    found = doubled[differences > 0].sum()
    tail = min(ways[: found + 1].sum(), ways[found:].sum())
    return min(1.0, float(2 * tail / ways.sum()))


def rank_biserial(differences: Sequence[float]) -> float:
    """Matched-pairs rank-biserial correlation (Kerby 2014): (W+ - W-) / (W+ + W-), zeros left out.

    Args:
        differences: one a data set.

    Returns:
        In [-1, 1]; 0 where no difference is left.
    """
    import numpy as np
    from scipy.stats import rankdata

    left = np.round(np.asarray(differences, dtype=float), _DECIMALS)
    left = left[left != 0]
    if not len(left):
        return 0.0
    ranks = rankdata(np.abs(left))
    return float((ranks * np.sign(left)).sum() / ranks.sum())


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's step-down (Holm 1979).

    Args:
        p: the family's p-values.

    Returns:
        The smallest level at which each would be rejected, in the order given.
    """
    adjusted = [0.0] * len(p)
    highest = 0.0
    for step, at in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        highest = max(highest, min(1.0, (len(p) - step) * p[at]))
        adjusted[at] = highest
    return adjusted


def smallest_p(differences: int) -> float:
    """The smallest two-sided Wilcoxon p that so many non-zero differences can give: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - differences))


def smallest_adjusted(family: Sequence[Comparison]) -> float:
    """The smallest p that Holm's step-down can leave in this family; 1 in an empty one."""
    return min([1.0, *(len(family) * each.p_smallest for each in family)])


def cliques(statistics: Statistics, alpha: float = ALPHA) -> list[tuple[str, ...]]:
    """Runs of neighbouring ranks within which no pair differs: the bars of a critical-difference diagram.

    Args:
        statistics: with pairwise comparisons, Holm over all pairs.
        alpha: level.

    Returns:
        Maximal groups of at least two methods, by rank.
    """
    alike = {frozenset((each.method, each.other)) for each in statistics.pairwise if each.p_holm >= alpha}
    names = list(statistics.ranks)
    groups: list[tuple[str, ...]] = []
    for first in range(len(names)):
        last = first
        while last + 1 < len(names) and all(
            frozenset((name, names[last + 1])) in alike for name in names[first : last + 1]
        ):
            last += 1
        found = tuple(names[first : last + 1])
        if len(found) > 1 and not any(set(found) <= set(group) for group in groups):
            groups.append(found)
    return groups


def _family(scores: "pd.DataFrame", pairs: Sequence[tuple[str, str]], sign: float) -> tuple[Comparison, ...]:
    from dataclasses import replace

    raw = [_comparison(scores, first, second, sign) for first, second in pairs]
    adjusted = holm([each.p for each in raw])
    return tuple(replace(each, p_holm=value) for each, value in zip(raw, adjusted, strict=True))


def _comparison(scores: "pd.DataFrame", method: str, other: str, sign: float) -> Comparison:
    differences = (scores[method] - scores[other]).round(_DECIMALS)
    better = sign * differences
    wins, losses = int((better > 0).sum()), int((better < 0).sum())
    p = wilcoxon_p(list(better))
    return Comparison(
        method=method,
        other=other,
        sets=len(scores),
        wins=wins,
        ties=len(scores) - wins - losses,
        losses=losses,
        difference=float(differences.mean()),
        effect=rank_biserial(list(better)),
        p=p,
        p_holm=p,
        p_smallest=smallest_p(wins + losses),
    )
