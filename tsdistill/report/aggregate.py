"""Means and deviations: over seeds for each data set, then over data sets."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tsdistill.report.metrics import METRICS
from tsdistill.report.order import natural
from tsdistill.report.records import PAIR, ROW
from tsdistill.report.selection import Selection

if TYPE_CHECKING:
    import pandas as pd

TEACHER = "teacher"
"""The row that stands for the teacher itself."""
RESEEDED = "teacher, re-seeded"
"""The row of the same teacher from other seeds, held against it: a yardstick of agreement."""
TEACHERS = (TEACHER, RESEEDED)
"""Rows that are no students: they take no part in comparisons."""


def by_dataset(selection: Selection, place: Callable[[str], int] = lambda variant: 0) -> "pd.DataFrame":
    """Mean and standard deviation over the seeds of each chosen trial.

    Args:
        selection: what ``select_trials`` chose.
        place: where a row stands in the order asked for, see ``View.place``.

    Returns:
        One row for each data set, pair and variant, the rows of ``TEACHERS`` included. For
        every test metric ``<name>`` (mean) and ``<name>_std`` (n - 1 in the denominator; NaN for a single
        seed), the accounts of ``Selection.choices``, and ``undefined``: how many of the chosen runs' six
        values are NaN.
    """
    import pandas as pd

    names = [name for name in selection.runs.columns if name.startswith("test.")]
    table = _mean_and_deviation(selection.runs, ROW, names, "test.")
    costs = cost_names(selection.runs)
    table = table.join(selection.runs.groupby(ROW)[costs].mean())
    shown = [f"test.{name}" for name in METRICS if f"test.{name}" in names]
    gaps = selection.runs[shown].isna().sum(axis=1).groupby([selection.runs[key] for key in ROW]).sum()
    rows = selection.choices.merge(table, left_on=ROW, right_index=True, how="left")
    rows = rows.merge(gaps.rename("undefined"), left_on=ROW, right_index=True, how="left")
    rows["undefined"] = rows["undefined"].fillna(0).astype(int)
    teachers = [_teachers(selection.runs), *_reseeded(selection.runs)]
    return in_order(pd.concat([*teachers, rows], ignore_index=True), place)


def over_datasets(rows: "pd.DataFrame", selection: Selection) -> "pd.DataFrame":
    """Mean over data sets of the means over seeds.

    The deviation is that of the mean itself: over the seeds that every data set of the row has, of the mean
    over data sets for that seed (NaN with fewer than two such seeds, and for the teacher).

    Args:
        rows: what ``by_dataset`` gave.
        selection: what it was made of.

    Returns:
        One row for each pair and variant: ``<metric>``, ``<metric>_std`` and ``<metric>_sets`` (data sets
        with a value), ``sets`` (with a result), the sums of the counts, ``settings`` (of the method, where
        each has its own row), and ``trials_min`` and ``trials_max`` over its data sets.
    """
    import pandas as pd

    found = []
    names = [name.removeprefix("test.") for name in selection.runs.columns if name.startswith("test.")]
    runs = dict(iter(selection.runs.groupby([*PAIR, "variant"])))
    for key, group in rows.groupby([*PAIR, "method", "variant"], sort=False):
        teacher, student, _, variant = key
        line = dict(zip([*PAIR, "method", "variant"], key, strict=True))
        line |= {name: group[name].mean() for name in names}
        line |= _deviations(runs.get((teacher, student, variant)), names)
        counts = [
            "runs",
            "seeds",
            "expected",
            "failed",
            "collapsed",
            "collapsed_chosen",
            "plateau",
            "plateau_chosen",
            "missing",
            "undefined",
        ]
        line |= {name: int(group[name].fillna(0).sum()) for name in counts}
        line |= {"settings": int(group["settings"].max())}
        line |= {f"{name}_sets": int(group[name].notna().sum()) for name in names}
        line |= {"sets": int((group["seeds"] > 0).sum()), "no_validation": int(group["no_validation"].sum())}
        line |= {"ties": int(group["decided"].str.contains("tie").sum())}
        line |= {"trials_min": int(group["trials"].min()), "trials_max": int(group["trials"].max())}
        line |= {name: group[name].mean() for name in cost_names(group)}
        found.append(line)
    return pd.DataFrame(found)


def over_seeds_and_sets(runs: "pd.DataFrame", column: str) -> tuple[float, float]:
    """Mean over data sets of the means over seeds, and the deviation over seeds of the mean over data sets.

    Args:
        runs: of one row of a table, with ``seed`` and ``dataset``.
        column: of numbers; NaN where a run lacks it.

    Returns:
        NaN for a deviation over fewer than two seeds that have a value on every data set.
    """
    grid = runs.pivot_table(column, "seed", "dataset", dropna=False)
    return float(grid.mean().mean()), float(grid.dropna().mean(axis=1).std(ddof=1))


def training_times(selection: Selection) -> "pd.DataFrame":
    """Mean training time of each chosen trial, and its ratio to the plain student's: measured, never equal.

    Returns:
        One row for each data set, pair and variant: ``train_seconds`` and ``ratio_to_none`` (NaN without a
        plain student).
    """
    runs, name = selection.runs, "timing.train_seconds"
    if name not in runs:
        runs = runs.assign(**{name: float("nan")})
    times = runs.groupby(ROW)[name].mean().rename("train_seconds").reset_index()
    plain = times[times["method"] == "none"].groupby(["dataset", *PAIR])["train_seconds"].mean()
    times = times.merge(plain.rename("plain"), left_on=["dataset", *PAIR], right_index=True, how="left")
    times["ratio_to_none"] = times["train_seconds"] / times["plain"]
    return times.drop(columns="plain")


def with_latency(means: "pd.DataFrame", selection: Selection) -> "pd.DataFrame":
    """The means over data sets with ``timing.latency_ms``, measured by ``tsdistill evaluate``; NaN without.

    Args:
        means: what ``over_datasets`` gave.
        selection: what it was made of.
    """
    runs, keys, name = selection.runs, [*PAIR, "variant"], "timing.latency_ms"
    if name not in runs:
        return means.assign(**{name: float("nan")})
    students = runs.groupby(["dataset", *keys])[name].mean().groupby(keys).mean()
    teachers = runs.groupby(["dataset", *PAIR])["timing.teacher_latency_ms"].mean().groupby(PAIR).mean()
    teachers = teachers.rename(name).reset_index().assign(variant=TEACHER).set_index(keys)[name]
    import pandas as pd

    return means.join(pd.concat([students, teachers]).rename(name), on=keys)


def cost_names(frame: "pd.DataFrame") -> list[str]:
    """The student's costs among a frame's columns."""
    return [name for name in frame.columns if name.startswith("cost.") and "teacher" not in name]


def in_order(rows: "pd.DataFrame", place: Callable[[str], int]) -> "pd.DataFrame":
    """Sort by pair and data set; methods by the order asked for, then teachers, the plain student, names."""
    first = rows["method"].map(lambda name: {TEACHER: 0, RESEEDED: 1, "none": 2}.get(name, 3))
    asked = rows["variant"].map(place).where(~rows["method"].isin(TEACHERS), -1)
    ordered = rows.assign(_asked=asked, _first=first).sort_values(
        [*PAIR, "dataset", "_asked", "_first", "method", "variant"],
        ignore_index=True,
        kind="stable",
        key=lambda column: column if column.name in ("_asked", "_first") else column.map(_place),
    )
    return ordered.drop(columns=["_asked", "_first"])


def _place(name: str) -> tuple[str | float, ...]:
    """A row whose settings are all among another's, such as the default's, comes before it."""
    return natural(name.removesuffix("]"))


def _mean_and_deviation(
    runs: "pd.DataFrame", keys: list[str], names: list[str], prefix: str
) -> "pd.DataFrame":
    grouped = runs.groupby(keys)[names]
    short = {name: name.removeprefix(prefix) for name in names}
    deviations = {name: f"{after}_std" for name, after in short.items()}
    return grouped.mean().rename(columns=short).join(grouped.std(ddof=1).rename(columns=deviations))


def _teachers(runs: "pd.DataFrame") -> "pd.DataFrame":
    distinct, keys = _distinct_teachers(runs), ["dataset", *PAIR]
    names = [name for name in runs.columns if name.startswith("teacher_test.")]
    table = _mean_and_deviation(distinct, keys, names, "teacher_test.").join(_teacher_costs(distinct))
    table = table.join(distinct.groupby(keys)["id"].size().rename("seeds")).reset_index()
    return _as_rows(table, TEACHER)


def _reseeded(runs: "pd.DataFrame") -> "list[pd.DataFrame]":
    """At most one frame: none where no run was evaluated beside such teachers."""
    if "reseeded.count" not in runs:
        return []
    distinct, keys = _distinct_teachers(runs.dropna(subset="reseeded.count")), ["dataset", *PAIR]
    names = [name for name in runs.columns if name.startswith("reseeded.") and not name.endswith(".count")]
    table = _mean_and_deviation(distinct, keys, names, "reseeded.").join(_teacher_costs(distinct))
    return [
        _as_rows(table.assign(seeds=distinct.groupby(keys)["reseeded.count"].sum()).reset_index(), RESEEDED)
    ]


def _teacher_costs(distinct: "pd.DataFrame") -> "pd.DataFrame":
    costs = [name for name in distinct.columns if name.startswith("cost.teacher_")]
    means = distinct.groupby(["dataset", *PAIR])[costs].mean()
    return means.rename(columns={name: name.replace("teacher_", "") for name in costs})


def _distinct_teachers(runs: "pd.DataFrame") -> "pd.DataFrame":
    """One row a teacher; what only some of its students' records hold of it counts too."""
    return runs.groupby(["dataset", *PAIR, "teacher_id"], as_index=False).first()


def _as_rows(table: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """The accounts that students' rows have, for rows that nothing was chosen for."""
    counts = {
        "trial": 0,
        "config": "",
        "trials": 1,
        "settings": 0,
        "failed": 0,
        "collapsed": 0,
        "collapsed_chosen": 0,
        "plateau": 0,
        "plateau_chosen": 0,
    }
    rest = {"missing": 0, "outdated": 0, "no_validation": False, "decided": "", "undefined": 0}
    return table.assign(method=name, variant=name, runs=table["seeds"], expected=0, **counts, **rest)


def _deviations(runs: "pd.DataFrame | None", names: list[str]) -> dict[str, float]:
    if runs is None:
        return {f"{name}_std": float("nan") for name in names}
    by_seed = runs.groupby("seed")
    whole = by_seed["dataset"].nunique() == runs["dataset"].nunique()
    means = by_seed[[f"test.{name}" for name in names]].mean()[whole]
    return {f"{name}_std": float(means[f"test.{name}"].std(ddof=1)) for name in names}
