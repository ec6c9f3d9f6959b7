"""All of a report's content in one value, before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.errors import TsdistillError, nearest
from tsdistill.report.aggregate import TEACHERS, by_dataset, over_datasets
from tsdistill.report.cells import Table
from tsdistill.report.environments import mixed_environments
from tsdistill.report.made import Digests, check_unchanged
from tsdistill.report.metrics import metric_of
from tsdistill.report.options import PRIMARY, Options
from tsdistill.report.order import natural
from tsdistill.report.published import Published, check_published, read_published
from tsdistill.report.reasoning import metrics_of_maps, reasoning_tables
from tsdistill.report.records import damaged_note, frame_of_runs, kept_records, names_in, read_records
from tsdistill.report.selection import Select, Selection, select_trials
from tsdistill.report.settings import Pair
from tsdistill.report.statistics import ALPHA, Statistics, compare_methods, resolve_reference
from tsdistill.report.sweep import Sweep, sweep_of, sweep_table, varied_settings
from tsdistill.report.tables import (
    choices_table,
    counts_table,
    failures_table,
    further_table,
    metric_table,
    of_pair,
    pairs_of,
    pairs_tables,
    statistics_table,
    summary_table,
)
from tsdistill.report.view import View, view_of
from tsdistill.report.weak_teachers import weak_teachers
from tsdistill.store.listing import Listing, list_runs

if TYPE_CHECKING:
    import pandas as pd

LABELS: dict[Select, str] = {"validation": "selected on validation", "test": "selected on TEST"}
ONE_SETTING = "one setting per method"
NOT_SELECTED = "default settings, none selected"


@dataclass(frozen=True)
class Report:
    """A report's content.

    Attributes:
        options: what was asked for.
        view: which metrics are shown, under which names, in what order.
        decided: the metric that decided among settings, where any were selected.
        label: how settings were selected, in words; over all pairs.
        labels: the same for each pair; it stands in the titles of its tables and figures.
        runs: every run, failed ones included.
        selection: the chosen trials.
        rows: means over seeds.
        means: means over data sets.
        statistics: by pair and metric, where at least two methods share a data set.
        sweeps: of each pair in which settings were varied on purpose.
        shown: tables for the terminal.
        tables: tables for the files.
        failures: the failed runs.
        listings: what was found under each folder, without the results.
    """

    options: Options
    view: View
    decided: str
    label: str
    labels: Mapping[Pair, str]
    runs: "pd.DataFrame"
    selection: Selection
    rows: "pd.DataFrame"
    means: "pd.DataFrame"
    statistics: Mapping[Pair, Mapping[str, Statistics]]
    sweeps: Sequence[Sweep]
    shown: Sequence[Table]
    tables: Sequence[Table]
    failures: Table
    listings: Sequence[Listing]

    @property
    def filters(self) -> Mapping[str, str | Sequence[str]]:
        """What the runs were narrowed to."""
        return self.options.narrowed


def assemble(outs: Sequence[Path], options: Options, only: Digests | None = None) -> Report:
    """Read the records under some folders and work out everything that a report shows.

    Args:
        outs: the folders.
        options: what was asked for.
        only: the records of an earlier report, to be made again from them; None for all.

    Raises:
        TsdistillError: no records, an option that names nothing, no finished run at all, or a record of the
            earlier report that is gone or has changed.
    """
    if options.select not in LABELS:
        raise TsdistillError(f"select={options.select}: choose from " + ", ".join(LABELS))
    listings = {out: list_runs(out) for out in outs}
    stored = read_records(listings)
    kept = kept_records(stored, options.filters, options.where)
    if only is not None:
        kept = [record for record in kept if (record["dataset"], record["id"]) in only]
    tune = "never" if options.vary and options.tune == "equal" else options.tune
    runs = frame_of_runs(kept, tune, options.vary)
    if only is not None:
        check_unchanged(runs, only)
    if not (runs["status"] == "ok").any():
        said = runs["error"].iloc[0]
        raise TsdistillError(f"all {len(runs)} stored runs failed, nothing to report; the first said: {said}")
    view = view_of(options, runs, names_in(stored))
    published = _published(options, runs, view)
    first = view.driving[0]
    decided = first if f"{options.select}.{first}" in runs else PRIMARY
    selection = select_trials(runs, options.select, decided)
    rows = by_dataset(selection, view.place)
    means = over_datasets(rows, selection)
    labels = {pair: _label(means, pair, options.select, view, decided) for pair in pairs_of(rows)}
    against = {pair: _reference(rows, pair, options.reference) for pair in labels}
    _check_reference(options.reference, against, rows)
    statistics = {
        pair: _statistics(rows, pair, found, view) if found else {} for pair, found in against.items()
    }
    shown: list[Table] = []
    tables: list[Table] = []
    for pair, found in statistics.items():
        for_terminal, for_files = _pair_tables(rows, means, pair, found, labels[pair], view, published)
        here = of_pair(selection.runs, pair)
        notes = [
            *_settings_note(means, pair, view),
            *weak_teachers(here),
            *mixed_environments(here["environment"]),
        ]
        lacking = (
            [] if against[pair] else [f"Methods are not compared: no row here is named {options.reference}."]
        )
        shown += [_with_notes(for_terminal[0], [*notes, *lacking]), *for_terminal[1:]]
        tables += [_with_notes(for_files[0], [*notes, *lacking])]
        tables += [_with_notes(table, notes) for table in for_files[1:]]
    sweeps = _sweeps(selection, list(labels), options.vary, view) if options.vary else []
    grids = pairs_tables(means, rows["dataset"].nunique(), view)
    above = [*grids, *(sweep_table(sweep, view) for sweep in sweeps)]
    damaged = damaged_note(listings.values())
    if shown:
        shown[0], tables[0] = _with_notes(shown[0], damaged), _with_notes(tables[0], damaged)
    label = "; ".join(dict.fromkeys(labels.values()))
    return Report(
        options=options,
        view=view,
        decided=decided,
        label=label,
        labels=labels,
        runs=runs,
        selection=selection,
        rows=rows,
        means=means,
        statistics=statistics,
        sweeps=sweeps,
        shown=[*above, *shown],
        tables=[*above, *tables, choices_table(rows, label, view)],
        failures=failures_table(runs),
        listings=[replace(each, results=(), digests=()) for each in listings.values()],
    )


def _published(options: Options, runs: "pd.DataFrame", view: View) -> list[Published]:
    if options.published is None:
        return []
    path = Path(options.published)
    found = read_published(path)
    tables = {name for name in view.metrics if f"test.{name}" in runs}
    check_published(path, found, set(runs["dataset"]), tables)
    return found


def _sweeps(selection: Selection, pairs: Sequence[Pair], vary: Sequence[str], view: View) -> list[Sweep]:
    every = [sweep_of(selection.runs, pair, vary, view.driving) for pair in pairs]
    found = [sweep for sweep in every if sweep is not None]
    if not found:
        names = varied_settings(selection.runs)
        advice = f"; they have several values of {', '.join(names)}" if names else ""
        raise TsdistillError(f"vary={','.join(vary)}: no runs of a method differ in it alone{advice}")
    return found


def _label(means: "pd.DataFrame", pair: Pair, select: Select, view: View, decided: str) -> str:
    """How the settings behind a pair's tables were chosen, in a few words."""
    students = of_pair(means, pair)
    students = students[~students["method"].isin(TEACHERS)]
    if (students["settings"] > 0).any():
        return NOT_SELECTED
    low, high = int(students["trials_min"].min()), int(students["trials_max"].max())
    if high == 1:
        return ONE_SETTING
    by = "" if decided == PRIMARY == view.driving[0] else f" by {view.title(decided)}"
    return f"best of {high if low == high else f'{low} to {high}'} settings, {LABELS[select]}{by}"


def _settings_note(means: "pd.DataFrame", pair: Pair, view: View) -> list[str]:
    """What stands under a pair's tables where settings have rows of their own."""
    students = of_pair(means, pair)
    several = students[students["settings"] > 0].groupby("method")["settings"].max()
    if not len(several):
        return []
    counts = ", ".join(f"{view.row(name)} {count}" for name, count in several.items())
    counts += ", every other method 1" if (~students["method"].isin(several.index)).any() else ""
    return [
        f"No setting was selected. Settings per method: {counts}. A plain method name stands for the default "
        "setting; other settings are listed separately, in brackets. Picking the best of them from this "
        "table would be selection on the test set."
    ]


def _with_notes(table: Table, notes: Sequence[str]) -> Table:
    return replace(table, notes=(*table.notes, *notes))


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


def _statistics(rows: "pd.DataFrame", pair: Pair, reference: str, view: View) -> dict[str, Statistics]:
    found = {}
    for metric in view.metrics:
        if metric not in rows:
            continue
        scores = scores_of(rows, pair, metric)
        if scores.shape[1] < 2:
            continue
        up = metric_of(metric).higher_is_better
        each = compare_methods(scores, metric, reference, higher_is_better=up)
        if each is not None:
            found[metric] = each
    return found


def _pair_tables(
    rows: "pd.DataFrame",
    means: "pd.DataFrame",
    pair: Pair,
    found: Mapping[str, Statistics],
    label: str,
    view: View,
    published: Sequence[Published],
) -> tuple[list[Table], list[Table]]:
    """A pair's tables for the terminal and for the files, those of the driving metrics first."""
    sets = of_pair(rows, pair)["dataset"].nunique()
    differing = {
        metric: [each.other for each in statistics.against_reference if each.p_holm < ALPHA]
        for metric, statistics in found.items()
    }
    metrics = {
        metric: metric_table(
            rows,
            means,
            pair,
            metric,
            label,
            view,
            differing.get(metric, ()),
            [each for each in published if each.metric == metric],
        )
        for metric in view.metrics
        if metric in rows
    }
    tests = {
        metric: statistics_table(each, pair, label, view)
        for metric, each in found.items()
        if len(each.datasets) > 1
    }
    summary = summary_table(means, pair, sets, label, view, differing)
    counts = counts_table(means, pair, label, view)
    driving = [_sorted_out(each, view.driving) for each in (metrics, tests)]
    (first, others), (first_tests, other_tests) = driving
    maps = reasoning_tables(means, pair, sets, label, view)
    further = further_table(means, pair, label, view, metrics_of_maps(means))
    main = [table for metric in view.driving for each in (metrics, tests) if (table := each.get(metric))]
    for_files = [summary, *main, counts, *maps, *others, *other_tests, further]
    return [*first, summary, counts, *first_tests], for_files


def _sorted_out(tables: Mapping[str, Table], driving: Sequence[str]) -> tuple[list[Table], list[Table]]:
    """The tables of the driving metrics, and the rest."""
    first = [tables[name] for name in driving if name in tables]
    return first, [table for name, table in tables.items() if name not in driving]
