"""What the study says in words: the smallest M whose loss is bounded, and what is missing."""

from collections.abc import Mapping

import pandas as pd

from budget.bounds import (
    Interval,
    is_bounded,
    loss_bounds,
    more_bounds,
    pairs_needed,
    smallest_bounded,
    time_ratio,
)
from budget.points import (
    BOUND,
    BUDGETS,
    DATASETS,
    FACTOR_SEEDS,
    FACTORS,
    FULL,
    METRICS,
    MORE_SEEDS,
    SEEDS,
    TITLES,
    Point,
)
from budget.runs import of_seeds, scores


def conclusion(runs: pd.DataFrame) -> str:
    """The smallest M whose loss is bounded; or that there is none, and why."""
    bounds = loss_bounds(runs)
    bounds = {budget: found for budget, found in bounds.items() if found["agreement"].n > 1}
    if not bounds:
        return f"No run at M = {FULL} has a pair yet."
    least = smallest_bounded(bounds)
    if least is not None:
        cost = time_ratio(runs, scores(runs, perturbations=least))
        return (
            f"The smallest M whose loss is bounded is **{least}**: {_spell(bounds[least])} over "
            f"{bounds[least]['agreement'].n} pairs, for {cost:.2f} of an epoch's time at M = {FULL}."
        )
    best = max(bounds, key=lambda budget: min(one.low for one in bounds[budget].values()))
    return (
        f"No M below {FULL} has a bounded loss. The best measured is **{best}**: {_spell(bounds[best])} over "
        f"{bounds[best]['agreement'].n} pairs. {_reason(bounds[best])}"
    )


def further(runs: pd.DataFrame) -> str:
    """What the further seeds say of the default M, or nothing where there are none."""
    found = more_bounds(runs, [*SEEDS, *MORE_SEEDS])
    if more_bounds(runs, MORE_SEEDS)["agreement"].n < 2:
        return ""
    verdict = "is bounded" if is_bounded(found) else "is not bounded in both"
    return (
        f" Over all {len(SEEDS) + len(MORE_SEEDS)} seeds ({found['agreement'].n} pairs) the loss of "
        f"M = {Point().perturbations} **{verdict}**: {_spell(found)}.{_choice(runs, found)}"
    )


def _choice(runs: pd.DataFrame, found: Mapping[str, Interval]) -> str:
    """Why the default is what it is, where its loss is bounded in AP alone."""
    if is_bounded(found) or found["average_precision"].low <= BOUND:
        return ""
    cost = time_ratio(runs, scores(runs, perturbations=Point().perturbations))
    return (
        f" By the rule that was set beforehand the default would stay at {FULL}. It is "
        f"{Point().perturbations} all the same: its loss in AP, the primary metric, is bounded, and an epoch "
        f"takes {cost:.2f} of the time. Who wants the last percent of agreement takes `saliency=paper`."
    )


def _spell(found: Mapping[str, Interval]) -> str:
    return " and ".join(f"{title} {found[metric]}" for metric, title in METRICS.items())


def _reason(found: Mapping[str, Interval]) -> str:
    """Why a bound is missed: the mean itself, or the spread of the pairs."""
    told = []
    for metric, title in METRICS.items():
        one, needed = found[metric], pairs_needed(found[metric])
        if one.low > BOUND:
            continue
        if needed is None:
            told.append(f"{title}: the mean itself is below {BOUND:g}.")
        else:
            told.append(
                f"{title}: differences of a pair spread by {one.spread:.3f}; with this mean, {needed} pairs "
                f"would be needed."
            )
    return " ".join(told)


def lacking(runs: pd.DataFrame) -> tuple[int, dict[str, int]]:
    """How many runs the study has in all, and how many are missing at each point that is not full."""
    first = of_seeds(runs, SEEDS)
    wanted = {f"M = {b}": (scores(first, perturbations=b), SEEDS) for b in BUDGETS}
    for budget in (Point().perturbations, FULL):
        at = scores(of_seeds(runs, MORE_SEEDS), perturbations=budget)
        wanted[f"M = {budget}, further seeds"] = (at, MORE_SEEDS)
    wanted["plain"] = (scores(first, "none"), SEEDS)
    for name, values in FACTORS.items():
        wanted |= {f"{TITLES[name]} = {v}": (scores(first, **{name: v}), FACTOR_SEEDS) for v in values}
    counts = {name: len(DATASETS) * len(seeds) - len(at) for name, (at, seeds) in wanted.items()}
    total = sum(len(DATASETS) * len(seeds) for _, seeds in wanted.values())
    return total, {name: count for name, count in counts.items() if count > 0}


def unfinished(runs: pd.DataFrame) -> str:
    """A warning beside the result, or nothing."""
    total, short = lacking(runs)
    done = total - sum(short.values())
    if done == total:
        return ""
    return f" **The study is unfinished: {done} of its {total} runs are there; this result may change.**"


def missing(runs: pd.DataFrame, failures: int) -> str:
    """What the document lacks."""
    total, short = lacking(runs)
    told = ", ".join(f"{count} at {name}" for name, count in short.items())
    return f"{total} runs are wanted; {failures} failed; missing: {told or 'none'}."
