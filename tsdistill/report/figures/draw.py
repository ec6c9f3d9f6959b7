"""Which figures a report has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.report.assemble import Report, scores_of
from tsdistill.report.figures.comparison import (
    MOST_IN_MATRIX,
    MOST_PANELS,
    comparison_matrix,
    critical_difference,
    one_against_another,
)
from tsdistill.report.figures.looks import Palette, looks
from tsdistill.report.figures.style import heading, save, style
from tsdistill.report.figures.sweeps import sweep_curves, sweep_map
from tsdistill.report.figures.training import FEWEST_FOR_RELIABILITY, learning_curves, reliability
from tsdistill.report.figures.trends import against_noise, against_parameters
from tsdistill.report.settings import Pair
from tsdistill.report.statistics import ALPHA, Statistics, smallest_adjusted
from tsdistill.report.sweep import Sweep
from tsdistill.report.tables import plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_DATASETS = 2
"""So many data sets have learning curves drawn; narrow the report to see those of others."""

_Named = tuple[str, str, "Figure | None"]


@dataclass(frozen=True)
class Drawn:
    """A figure that was saved: its title and its files, SVG first."""

    title: str
    files: tuple[Path, ...]


def draw_all(report: Report, folder: Path) -> list[Drawn]:
    """Draw and save every figure that the records allow.

    Args:
        report: what ``assemble`` gave.
        folder: where SVG, PDF and PNG go.

    Returns:
        The figures, in the order of the page.
    """
    drawn = []
    palette = looks(list(dict.fromkeys(report.means["variant"])), report.view)
    with style():
        for pair in report.statistics:
            for name, title, figure in _figures_of(report, pair, palette):
                if figure is not None:
                    drawn.append(Drawn(title, tuple(save(figure, folder, _file_name(name, pair)))))
        for sweep in report.sweeps:
            for name, title, figure in _sweeps(report, sweep):
                if figure is not None:
                    drawn.append(Drawn(title, tuple(save(figure, folder, _file_name(name, sweep.pair)))))
        for teacher in sorted(set(report.means["teacher"])):
            title = f"Quality against size, students of {report.view.name(teacher)}, {report.label}"
            figure = against_parameters(
                report.rows, report.means, teacher, palette, report.view, heading(title)
            )
            if figure is not None:
                drawn.append(Drawn(title, tuple(save(figure, folder, _file_name("parameters", (teacher,))))))
    return drawn


def _figures_of(report: Report, pair: Pair, palette: Palette) -> Iterator[_Named]:
    for metric in report.view.driving:
        yield from _comparisons(report, pair, metric, palette)
    runs = report.selection.runs
    runs = runs[(runs["teacher"] == pair[0]) & (runs["student"] == pair[1])]
    view = report.view
    about = f"{view.pair(pair)}, {report.labels[pair]}"
    title = f"Agreement with the teacher under noise, mean over data sets, {about}"
    yield "noise", title, against_noise(runs, palette, heading(title))
    for at, (dataset, here) in enumerate(runs.groupby("dataset")):
        if at < MOST_DATASETS:
            title = f"Training loss by part, {view.name(dataset)}, {about}"
            yield f"curves-{at + 1}", title, learning_curves(here, palette, heading(title))
    largest = _most_test_series(runs)
    size = int(largest["data.test"].iloc[0]) if "data.test" in largest else 0
    name = view.name(largest["dataset"].iloc[0])
    title = f"Reliability, {name} ({size} test series; grey: their share), {about}"
    if size < FEWEST_FOR_RELIABILITY:
        title += f"; fewer than {FEWEST_FOR_RELIABILITY}: too few to be reliable"
    yield "reliability", title, reliability(largest, palette, heading(title))


def _comparisons(report: Report, pair: Pair, key: str, palette: Palette) -> Iterator[_Named]:
    statistics, view = report.statistics[pair].get(key), report.view
    if statistics is None or len(statistics.datasets) < 2:
        return
    metric = view.title(key)
    about = f"{metric}, {_sets(statistics)}, {view.pair(pair)}, {report.labels[pair]}"
    title = f"Average ranks, {about}; bars join methods that do not differ (Wilcoxon, Holm)"
    title += _hopeless(statistics)
    yield f"ranks-{key}", title, critical_difference(statistics, palette, heading(title))
    title = f"Multi-comparison matrix, {about}{_part(MOST_IN_MATRIX, len(statistics.ranks))}"
    yield f"matrix-{key}", title, comparison_matrix(statistics, palette, heading(title))
    scores = scores_of(report.rows, pair, key)
    left_out = _part(MOST_PANELS, len(statistics.against_reference))
    short = f"{palette[statistics.reference].label} against each other method, {about}{left_out}"
    title = f"{view.row(statistics.reference)} against each other method, {about}; a dot a data set{left_out}"
    yield f"scatter-{key}", title, one_against_another(scores, statistics, metric, palette, heading(short))


def _sweeps(report: Report, sweep: Sweep) -> Iterator[_Named]:
    view, keys = report.view, "-".join(sweep.keys)
    palette = looks([*sweep.varied, *sweep.rivals], view)
    about = f"mean over {plural(sweep.sets, 'data set')}, {view.pair(sweep.pair)}, all values shown"
    for metric in view.driving:
        name = view.title(metric)
        if len(sweep.keys) == 1:
            title = f"{name} against {sweep.keys[0]}, {about}; bars and bands: one deviation over seeds"
            yield f"sweep-{keys}-{metric}", title, sweep_curves(sweep, metric, name, palette, heading(title))
            continue
        for method in sweep.varied:
            title = f"{name} of {view.row(method)} by {' and '.join(sweep.keys)}, {about}"
            key = f"sweep-{keys}-{metric}-{_file_name(method, ())}"
            yield key, title, sweep_map(sweep, method, metric, name, heading(title, 60))


def _sets(statistics: Statistics) -> str:
    used, unused = len(statistics.datasets), len(statistics.unused)
    return f"{used} of {used + unused} data sets" if unused else f"{used} data sets"


def _hopeless(statistics: Statistics) -> str:
    smallest = smallest_adjusted(statistics.pairwise)
    if smallest < ALPHA:
        return ""
    return f"; with so few data sets no pair can differ (smallest attainable adjusted p {smallest:.2g})"


def _part(most: int, methods: int) -> str:
    return f"; the best {most} of {methods} methods" if methods > most else ""


def _most_test_series(runs: "pd.DataFrame") -> "pd.DataFrame":
    if "data.test" not in runs:
        return runs[runs["dataset"] == runs["dataset"].iloc[0]]
    return runs[runs["dataset"] == runs.loc[runs["data.test"].idxmax(), "dataset"]]


def _file_name(name: str, about: tuple[str, ...]) -> str:
    return "-".join((re.sub(r"[^\w-]", "_", name), *(re.sub(r"\W", "_", part) for part in about)))
