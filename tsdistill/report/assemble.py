"""All of a report's content in one value, before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.errors import TsdistillError
from tsdistill.report.aggregate import METRICS, TEACHERS, by_dataset, over_datasets
from tsdistill.report.environments import mixed_environments
from tsdistill.report.reasoning import metrics_of_maps, reasoning_tables
from tsdistill.report.records import load_runs
from tsdistill.report.selection import Select, Selection, select_trials
from tsdistill.report.statistics import ALPHA, Statistics, compare_methods, resolve_reference
from tsdistill.report.tables import (
    Table,
    choices_table,
    counts_table,
    failures_table,
    further_table,
    metric_table,
    pairs_of,
    statistics_table,
    summary_table,
)

if TYPE_CHECKING:
    import pandas as pd

LABELS: dict[Select, str] = {"validation": "selected on validation", "test": "selected on TEST"}
PRIMARY = next(iter(METRICS))

Pair = tuple[str, str]


@dataclass(frozen=True)
class Report:
    """A report's content.

    Attributes:
        by: what trials were selected on.
        label: the same in words; it stands in every title.
        filters: what the runs were narrowed to.
        runs: every run, failed ones included.
        selection: the chosen trials.
        rows: means over seeds.
        means: means over data sets.
        statistics: by pair and metric, where at least two methods share a data set.
        shown: tables for the terminal.
        tables: tables for the files.
        failures: the failed runs.
    """

    by: Select
    label: str
    filters: Mapping[str, str | Sequence[str]]
    runs: "pd.DataFrame"
    selection: Selection
    rows: "pd.DataFrame"
    means: "pd.DataFrame"
    statistics: Mapping[Pair, Mapping[str, Statistics]]
    shown: Sequence[Table]
    tables: Sequence[Table]
    failures: Table


def assemble(
    out: Path,
    select: Select,
    filters: Mapping[str, str | Sequence[str]],
    reference: str | None,
    where: str | None = None,
) -> Report:
    """Read the records under ``out`` and work out everything that a report shows.

    Raises:
        TsdistillError: no records, a filter or reference that names nothing, or no finished run at all.
    """
    if select not in LABELS:
        raise TsdistillError(f"select={select}: choose from " + ", ".join(LABELS))
    runs = load_runs(out, filters, where)
    if not (runs["status"] == "ok").any():
        said = runs["error"].iloc[0]
        raise TsdistillError(f"all {len(runs)} stored runs failed, nothing to report; the first said: {said}")
    selection = select_trials(runs, select)
    rows = by_dataset(selection)
    means = over_datasets(rows, selection)
    statistics = {pair: _statistics(rows, pair, reference) for pair in pairs_of(rows)}
    shown: list[Table] = []
    tables: list[Table] = []
    for pair, found in statistics.items():
        for_terminal, for_files = _pair_tables(rows, means, pair, found, LABELS[select])
        notes = _environment_notes(selection.runs, pair)
        shown += [replace(table, notes=(*table.notes, *notes)) for table in for_terminal[:1]] + for_terminal[
            1:
        ]
        tables += [replace(table, notes=(*table.notes, *notes)) for table in for_files]
    return Report(
        by=select,
        label=LABELS[select],
        filters=filters if where is None else {**filters, "where": where},
        runs=runs,
        selection=selection,
        rows=rows,
        means=means,
        statistics=statistics,
        shown=shown,
        tables=[*tables, choices_table(rows, LABELS[select])],
        failures=failures_table(runs),
    )


def _environment_notes(runs: "pd.DataFrame", pair: Pair) -> tuple[str, ...]:
    """What stands under a pair's tables if its runs were made in different environments."""
    here = runs[(runs["teacher"] == pair[0]) & (runs["student"] == pair[1])]
    return mixed_environments(here["folder"])


def scores_of(rows: "pd.DataFrame", pair: Pair, metric: str) -> "pd.DataFrame":
    """Means over seeds of one pair and metric, data sets down and methods (not the teachers) across."""
    here = rows[(rows["teacher"] == pair[0]) & (rows["student"] == pair[1]) & ~rows["method"].isin(TEACHERS)]
    return here.pivot_table(index="dataset", columns="variant", values=metric, dropna=False, sort=True)


def _statistics(rows: "pd.DataFrame", pair: Pair, reference: str | None) -> dict[str, Statistics]:
    found = {}
    for metric, shown in METRICS.items():
        if metric not in rows:
            continue
        scores = scores_of(rows, pair, metric)
        if scores.shape[1] < 2:
            continue
        against = resolve_reference(reference, list(scores.columns))
        each = compare_methods(scores, metric, against, higher_is_better=shown.higher_is_better)
        if each is not None:
            found[metric] = each
    return found


def _pair_tables(
    rows: "pd.DataFrame", means: "pd.DataFrame", pair: Pair, found: Mapping[str, Statistics], label: str
) -> tuple[list[Table], list[Table]]:
    here = rows[(rows["teacher"] == pair[0]) & (rows["student"] == pair[1])]
    differing = {
        metric: [each.other for each in statistics.against_reference if each.p_holm < ALPHA]
        for metric, statistics in found.items()
    }
    metrics = [
        metric_table(rows, means, pair, metric, label, differing.get(metric, ()))
        for metric in METRICS
        if metric in rows
    ]
    summary = summary_table(means, pair, here["dataset"].nunique(), label, differing)
    counts = counts_table(means, pair, label)
    tests = [statistics_table(each, pair, label) for each in found.values() if len(each.datasets) > 1]
    first, *others = metrics
    maps = reasoning_tables(means, pair, here["dataset"].nunique(), label)
    further = further_table(means, pair, label, metrics_of_maps(means))
    for_files = [summary, first, *tests[:1], counts, *maps, *others, *tests[1:], further]
    return [first, summary, counts, *tests[:1]], for_files
