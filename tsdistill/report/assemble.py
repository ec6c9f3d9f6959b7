"""All of a report's content in one value, before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.errors import TsdistillError, nearest
from tsdistill.report.aggregate import METRICS, TEACHERS, by_dataset, over_datasets
from tsdistill.report.environments import mixed_environments
from tsdistill.report.order import natural
from tsdistill.report.reasoning import metrics_of_maps, reasoning_tables
from tsdistill.report.records import damaged_note, runs_of
from tsdistill.report.selection import Select, Selection, select_trials
from tsdistill.report.settings import Pair, Tune
from tsdistill.report.statistics import ALPHA, Statistics, compare_methods, resolve_reference
from tsdistill.report.tables import (
    Table,
    choices_table,
    counts_table,
    failures_table,
    further_table,
    metric_table,
    of_pair,
    pairs_of,
    statistics_table,
    summary_table,
)
from tsdistill.store.listing import list_runs

if TYPE_CHECKING:
    import pandas as pd

LABELS: dict[Select, str] = {"validation": "selected on validation", "test": "selected on TEST"}
ONE_SETTING = "one setting per method"
NOT_SELECTED = "default settings, none selected"
PRIMARY = next(iter(METRICS))


@dataclass(frozen=True)
class Report:
    """A report's content.

    Attributes:
        by: the part that settings were selected on, where any were selected.
        label: how settings were selected, in words; over all pairs.
        labels: the same for each pair; it stands in the titles of its tables and figures.
        tune: when settings are selected.
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
    labels: Mapping[Pair, str]
    tune: Tune
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
    tune: Tune = "equal",
) -> Report:
    """Read the records under ``out`` and work out everything that a report shows.

    Raises:
        TsdistillError: no records, a filter or reference that names nothing, or no finished run at all.
    """
    if select not in LABELS:
        raise TsdistillError(f"select={select}: choose from " + ", ".join(LABELS))
    listing = list_runs(out)
    runs = runs_of(listing, out, filters, where, tune)
    if not (runs["status"] == "ok").any():
        said = runs["error"].iloc[0]
        raise TsdistillError(f"all {len(runs)} stored runs failed, nothing to report; the first said: {said}")
    selection = select_trials(runs, select)
    rows = by_dataset(selection)
    means = over_datasets(rows, selection)
    labels = {pair: _label(means, pair, select) for pair in pairs_of(rows)}
    against = {pair: _reference(rows, pair, reference) for pair in labels}
    _check_reference(reference, against, rows)
    statistics = {pair: _statistics(rows, pair, found) if found else {} for pair, found in against.items()}
    shown: list[Table] = []
    tables: list[Table] = []
    for pair, found in statistics.items():
        for_terminal, for_files = _pair_tables(rows, means, pair, found, labels[pair])
        notes = [*_settings_note(means, pair), *_environment_notes(selection.runs, pair)]
        lacking = [] if against[pair] else [f"Methods are not compared: no row here is named {reference}."]
        shown += [_with_notes(for_terminal[0], [*notes, *lacking]), *for_terminal[1:]]
        tables += [_with_notes(for_files[0], [*notes, *lacking])]
        tables += [_with_notes(table, notes) for table in for_files[1:]]
    damaged = damaged_note(listing)
    if shown:
        shown[0], tables[0] = _with_notes(shown[0], damaged), _with_notes(tables[0], damaged)
    label = "; ".join(dict.fromkeys(labels.values()))
    return Report(
        by=select,
        label=label,
        labels=labels,
        tune=tune,
        filters=filters if where is None else {**filters, "where": where},
        runs=runs,
        selection=selection,
        rows=rows,
        means=means,
        statistics=statistics,
        shown=shown,
        tables=[*tables, choices_table(rows, label)],
        failures=failures_table(runs),
    )


def _label(means: "pd.DataFrame", pair: Pair, select: Select) -> str:
    """How the settings behind a pair's tables were chosen, in a few words."""
    students = of_pair(means, pair)
    students = students[~students["method"].isin(TEACHERS)]
    if (students["settings"] > 0).any():
        return NOT_SELECTED
    low, high = int(students["trials_min"].min()), int(students["trials_max"].max())
    if high == 1:
        return ONE_SETTING
    return f"best of {high if low == high else f'{low} to {high}'} settings, {LABELS[select]}"


def _settings_note(means: "pd.DataFrame", pair: Pair) -> list[str]:
    """What stands under a pair's tables where settings have rows of their own."""
    students = of_pair(means, pair)
    several = students[students["settings"] > 0].groupby("method")["settings"].max()
    if not len(several):
        return []
    counts = ", ".join(f"{name} {count}" for name, count in several.items())
    counts += ", every other method 1" if (~students["method"].isin(several.index)).any() else ""
    return [
        f"No setting was selected. Settings per method: {counts}. A plain method name stands for the default "
        "setting; other settings are listed separately, in brackets. Picking the best of them from this "
        "table would be selection on the test set."
    ]


def _with_notes(table: Table, notes: Sequence[str]) -> Table:
    return replace(table, notes=(*table.notes, *notes))


def _environment_notes(runs: "pd.DataFrame", pair: Pair) -> tuple[str, ...]:
    """What stands under a pair's tables if its runs were made in different environments."""
    return mixed_environments(of_pair(runs, pair)["environment"])


def scores_of(rows: "pd.DataFrame", pair: Pair, metric: str) -> "pd.DataFrame":
    """Means over seeds of one pair and metric, data sets down and methods (not the teachers) across."""
    here = of_pair(rows, pair)
    here = here[~here["method"].isin(TEACHERS)]
    return here.pivot_table(index="dataset", columns="variant", values=metric, dropna=False, sort=True)


def _variants(rows: "pd.DataFrame", pair: Pair) -> list[str]:
    here = of_pair(rows, pair)
    return list(dict.fromkeys(here.loc[~here["method"].isin(TEACHERS), "variant"]))


def _reference(rows: "pd.DataFrame", pair: Pair, named: str | None) -> str | None:
    """The row of a pair that the others are compared with, or None where it has no row of that name."""
    return resolve_reference(named, _variants(rows, pair))


def _check_reference(named: str | None, found: Mapping[Pair, str | None], rows: "pd.DataFrame") -> None:
    if named is None or any(found.values()):
        return
    known = sorted({name for pair in found for name in _variants(rows, pair)}, key=natural)
    raise TsdistillError(f"no row is named reference={named}: {nearest(named, known)}")


def _statistics(rows: "pd.DataFrame", pair: Pair, reference: str) -> dict[str, Statistics]:
    found = {}
    for metric, shown in METRICS.items():
        if metric not in rows:
            continue
        scores = scores_of(rows, pair, metric)
        if scores.shape[1] < 2:
            continue
        each = compare_methods(scores, metric, reference, higher_is_better=shown.higher_is_better)
        if each is not None:
            found[metric] = each
    return found


def _pair_tables(
    rows: "pd.DataFrame", means: "pd.DataFrame", pair: Pair, found: Mapping[str, Statistics], label: str
) -> tuple[list[Table], list[Table]]:
    here = of_pair(rows, pair)
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
