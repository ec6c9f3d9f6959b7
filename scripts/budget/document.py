"""The document: its tables and the text around them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from budget.bounds import Interval, interval, is_bounded, loss_bounds, more_bounds, seed_spread, time_ratio
from budget.points import (
    BOUND,
    BUDGETS,
    DATASETS,
    FACTOR_SEEDS,
    FACTORS,
    FULL,
    METRICS,
    MORE_SEEDS,
    NAME,
    SEEDS,
    TITLES,
    Point,
)
from budget.runs import of_seeds, of_set, paired, scores
from budget.verdict import conclusion, further, missing, unfinished
from tsdistill.report.statistics import holm


def document(everything: pd.DataFrame, made: Counter[tuple[str, ...]], failures: int) -> str:
    """The whole document."""
    runs = of_seeds(everything, SEEDS)
    parts = [
        "# How many perturbations TSD needs",
        INTRODUCTION,
        f"**Result.** {conclusion(runs)}{further(everything)}{unfinished(everything)}",
        "## M",
        f"![Quality against M]({NAME}.svg)",
        EXPLANATION,
        budget_table(runs),
        noise(runs),
        "By set (mean ± standard deviation over seeds):",
        set_table(runs),
        f"### More seeds for M = {Point().perturbations} and M = {FULL}",
        MORE_EXPLAINED,
        more_table(everything),
        "## Pool, window, temperature, draws, mode",
        FACTORS_EXPLAINED,
        factor_table(runs),
        online(runs),
        "## How it was made",
        METHOD,
        "\n".join(f"- {count} runs: {', '.join(facts)}" for facts, count in made.most_common()),
        missing(everything, failures),
    ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
A TSD step perturbs each series M times and runs all copies through the student: its price grows with M. The
published setting is M = 50. Here M, and then one factor at a time, is held against the quality of the
student: macro average precision (AP) on the test part, and how often the student's class is its teacher's
(agreement)."""

EXPLANATION = f"""\
Pairs have the same set and seed, so the same initial weights and order of batches. Differences are to
M = {FULL}, with the two-sided 95 % t interval of their mean over all pairs; the sets are these four, not a
sample of all sets. A loss is bounded if both lower ends are above {BOUND:g}. Time: wall time of a training
epoch with validation, median over pairs, in parts of that at M = {FULL}. Plain: the student without a
teacher. Collapsed: one class for all test series. Runs that are compared follow one another, so that other
work on the machine weighs on both."""

DEFAULTS = (
    f"M = {Point().perturbations}, w = {Point().window:g}, tau = {Point().tau:g}, uniform draws, cached"
)
FACTORS_EXPLAINED = f"""\
The default is {DEFAULTS},
and the pool of every start once (P = T - w + 1). Differences are to the default with the same set and seed;
p: paired t test, Holm's step-down over the rows."""

SEEDS_USED = (
    f"{SEEDS[0]} to {SEEDS[-1]} for M and for the plain student, to {MORE_SEEDS[-1]} for M = "
    f"{Point().perturbations} and {FULL}, {FACTOR_SEEDS[0]} to {FACTOR_SEEDS[-1]}"
)
METHOD = f"""\
FCN 128-256-128 to LSTM 1x8 (370 parameters at two classes), T at most 100, lambda 1, `classwise`, Adam at
0.005, and otherwise what students get by default: at most 400 epochs, a patience of 200, the weights of the
best validation cross-entropy. Nothing was tuned. Seeds {SEEDS_USED}
for the factors.

The study was begun with 200 epochs and no early stopping (`training.epochs=200 training.patience=0`, commit
a077ef9). It was begun anew after its first 200 runs, since students of small M were not done by then: 10, 8,
7 and 3 of 40 had collapsed at M = 4, 8, 16 and 50. There M = 16 lay at +0.017 (-0.015 to +0.048) in AP and at
-0.017 (-0.054 to +0.019) in agreement, M = 4 at -0.043 and -0.091.

    TSDISTILL_DATA=... OMP_NUM_THREADS=1 python scripts/saliency_budget.py run --out FOLDER
    python scripts/saliency_budget.py write --out FOLDER --docs docs"""


def budget_table(runs: pd.DataFrame) -> str:
    """A row for each M."""
    bounds = loss_bounds(runs)
    heads = ["M", "runs", *METRICS.values(), *(f"{m} - at M = {FULL}" for m in METRICS.values())]
    rows = []
    for label, at, found in _budget_rows(runs, bounds):
        means = [_number(at[metric].mean(), 3) for metric in METRICS]
        differences = [str(found[metric]) for metric in METRICS] if found else ["-"] * len(METRICS)
        bounded = "-" if label not in map(str, bounds) else "yes" if is_bounded(found) else "no"
        time = _number(time_ratio(runs, at), 2)
        rows.append([label, len(at), *means, *differences, bounded, time, int(at["collapsed"].sum())])
    return _table([*heads, "bounded", "time", "collapsed"], rows)


def _budget_rows(
    runs: pd.DataFrame, bounds: Mapping[int, Mapping[str, Interval]]
) -> Iterable[tuple[str, pd.DataFrame, Mapping[str, Interval]]]:
    full, plain = scores(runs, perturbations=FULL), scores(runs, "none")
    if len(plain):
        yield "plain", plain, {metric: interval(paired(plain, full, metric)) for metric in METRICS}
    for budget in BUDGETS:
        yield str(budget), scores(runs, perturbations=budget), bounds.get(budget, {})


def noise(runs: pd.DataFrame) -> str:
    """How much a run at the full M differs from another one like it."""
    full = scores(runs, perturbations=FULL)
    told = " and ".join(f"{_number(seed_spread(full, m), 3)} in {title}" for m, title in METRICS.items())
    return (
        f"For comparison: at M = {FULL} itself, students of one set spread by {told} over their seeds "
        "(standard deviation, pooled over sets)."
    )


def set_table(runs: pd.DataFrame) -> str:
    """AP and agreement by set, a column for each M, and the difference of the default to the full M."""
    default = Point().perturbations
    columns = {"plain": scores(runs, "none")} | {f"M = {b}": scores(runs, perturbations=b) for b in BUDGETS}
    columns = {name: at for name, at in columns.items() if len(at)}
    rows = []
    for metric, title in METRICS.items():
        for dataset in DATASETS:
            cells = [_mean_and_spread(at, dataset, metric) for at in columns.values()]
            ours, full = (of_set(scores(runs, perturbations=b), dataset) for b in (default, FULL))
            rows.append([title, dataset, *cells, str(interval(paired(ours, full, metric)))])
    return _table(["metric", "set", *columns, f"{default} - {FULL}"], rows)


def _mean_and_spread(at: pd.DataFrame, dataset: str, metric: str) -> str:
    values = of_set(at, dataset)[metric]
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else "-"


MORE_EXPLAINED = f"""\
Ten seeds leave wide intervals. The spread of their differences told about how many pairs would do; both
were then run over seeds {MORE_SEEDS[0]} to {MORE_SEEDS[-1]} too. A sample that grows after a look is no
longer the one that was planned, so the further seeds stand by themselves as well."""


def more_table(runs: pd.DataFrame) -> str:
    """The default M against the full one: the first seeds, the further ones, and all."""
    groups = {"first": SEEDS, "further": MORE_SEEDS, "all": [*SEEDS, *MORE_SEEDS]}
    rows = []
    for name, seeds in groups.items():
        found = more_bounds(runs, seeds)
        bounded = "yes" if is_bounded(found) else "no"
        rows.append([name, found["agreement"].n, *(str(one) for one in found.values()), bounded])
    return _table(["seeds", "pairs", *METRICS.values(), "bounded"], rows)


def factor_table(runs: pd.DataFrame) -> str:
    """A row for each value of each factor against the default."""
    default = scores(runs)
    points = [(name, value) for name, values in FACTORS.items() for value in values]
    at = [scores(runs, **{name: value}) for name, value in points]
    found = {m: [interval(paired(one, default, m)) for one in at] for m in METRICS}
    adjusted = {m: _adjusted([one.p for one in found[m]]) for m in METRICS}
    rows = []
    for i, (name, value) in enumerate(points):
        cells: list[Any] = [TITLES[name], value, found["average_precision"][i].n]
        for m in METRICS:
            cells += [_number(at[i][m].mean(), 3), found[m][i], _number(adjusted[m][i], 2)]
        rows.append(cells)
    heads = [cell for m in METRICS.values() for cell in (m, f"{m} - default", "p")]
    return _table(["factor", "value", "pairs", *heads], rows)


def _adjusted(p: Sequence[float]) -> list[float]:
    """Holm's step-down over the rows that have pairs."""
    there = [i for i, value in enumerate(p) if not math.isnan(value)]
    adjusted = dict(zip(there, holm([p[i] for i in there]), strict=True))
    return [adjusted.get(i, math.nan) for i in range(len(p))]


def online(runs: pd.DataFrame) -> str:
    """Whether fresh draws with the teacher in the loop differ from the cached pool."""
    cached, fresh = scores(runs), scores(runs, mode="online")
    told = []
    for metric, title in METRICS.items():
        found = interval(paired(fresh, cached, metric))
        if found.n < 2:
            return "Cached and online mode were not compared: too few runs."
        noise = seed_spread(cached[cached.index.isin(fresh.index)], metric)
        statistic = found.mean / (found.spread / math.sqrt(found.n)) if found.spread else 0.0
        beyond = "differ" if found.p < 0.05 else "do not differ"
        told.append(
            f"in {title} they {beyond} beyond seed noise (online - cached {found}, t({found.n - 1}) = "
            f"{statistic:.2f}, p = {found.p:.2f} by itself; one cached run spreads by {noise:.3f} over seeds)"
        )
    ratio = (fresh["seconds"] / cached["seconds"]).dropna().median()
    return (
        f"**Cached against online**, {len(fresh)} pairs: {', and '.join(told)}. "
        f"An online epoch takes {ratio:.1f} times as long as a cached one."
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
