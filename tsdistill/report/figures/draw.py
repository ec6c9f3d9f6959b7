"""Which figures a report has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import with_latency
from tsdistill.report.assemble import Report, scores_of
from tsdistill.report.figures.answers import FEWEST_FOR_RELIABILITY, confusion, reliability
from tsdistill.report.figures.comparison import (
    MOST_PANELS,
    comparison_matrix,
    critical_difference,
    most_in_matrix,
    one_against_another,
)
from tsdistill.report.figures.looks import Palette, looks
from tsdistill.report.figures.style import heading, save, style
from tsdistill.report.figures.sweeps import sweep_curves, sweep_map
from tsdistill.report.figures.training import learning_curves
from tsdistill.report.figures.trends import against_cost, against_noise
from tsdistill.report.names import file_name
from tsdistill.report.settings import Pair
from tsdistill.report.statistics import ALPHA, Statistics, smallest_adjusted
from tsdistill.report.sweep import Sweep
from tsdistill.report.tables import of_pair, plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_DATASETS = 2
"""So many data sets have learning curves drawn where these were not asked for by name."""

_Named = tuple[str, tuple[str, ...], str, "Figure | None"]
"""Its kind and what it shows, the pair or teacher, its title, the figure."""
_Draw = Callable[["pd.DataFrame", Palette, str], "Figure | None"]

PER_DATASET: Mapping[str, tuple[_Draw, str]] = {
    "curves": (learning_curves, "Loss by part in training and on validation"),
    "confusion": (confusion, "Answers by true class, summed over seeds; shade: share of the row"),
    "reliability": (reliability, "Reliability, seeds pooled (grey: share of series; ECE: mean over seeds)"),
}
"""Kinds of figures of which each data set has its own: how they are drawn, and what they show."""
COSTS = {
    "size": ("cost.parameters", "parameters", "size"),
    "bytes": ("cost.size_bytes", "bytes of float32 weights", "bytes"),
    "latency": ("timing.latency_ms", "ms for one series, one CPU thread", "latency"),
}
"""Kinds of figures of quality against a cost: its column, its axis, and its name in titles."""
NO_RECORDS = "no stored run holds what it shows"
NEEDS = {
    "bytes": "no stored run holds its bytes: `tsdistill evaluate groups=[cost]` counts them",
    "latency": "no stored run holds its latency: `tsdistill evaluate groups=[cost]` measures it",
    "noise": "no stored run was evaluated under noise: `tsdistill evaluate groups=[substitution]` does so",
    "sweep": "no setting was varied on purpose: name one with vary=",
}
"""What a kind of figure lacks where it can't be drawn."""


@dataclass(frozen=True)
class Drawn:
    """A figure that was saved: its kind, its title and its files, SVG first."""

    kind: str
    title: str
    files: tuple[Path, ...]


def draw_all(report: Report, folder: Path) -> list[Drawn]:
    """Draw and save every figure that was asked for and that the records allow.

    Args:
        report: what ``assemble`` gave.
        folder: where SVG, PDF and PNG go.

    Returns:
        The figures, in the order of the page.
    """
    drawn: list[Drawn] = []
    taken: set[str] = set()
    palette = looks(list(dict.fromkeys(report.means["variant"])), report.view)
    with style(report.options.style):
        for name, about, title, figure in _figures(report, palette):
            if figure is not None:
                file = file_name("-".join((name, *about)), taken)
                taken.add(file)
                drawn.append(Drawn(name.split("-")[0], title, tuple(save(figure, folder, file))))
    return drawn


def not_drawn(report: Report, drawn: Sequence[Drawn]) -> list[str]:
    """A sentence for each kind of figure that was asked for by name and that no record allows."""
    asked = [] if isinstance(report.options.figures, bool) else [*report.options.figures]
    missing = [kind for kind in asked if kind not in {"all", *(each.kind for each in drawn)}]
    return [f"figures={kind}: nothing is drawn, {NEEDS.get(kind, NO_RECORDS)}" for kind in missing]


def _figures(report: Report, palette: Palette) -> Iterator[_Named]:
    wanted = report.options.kinds
    for pair in report.statistics:
        for metric in report.view.driving:
            yield from (each for each in _comparisons(report, pair, metric, palette) if _kind(each) in wanted)
        for kind in PER_DATASET:
            if kind in wanted:
                yield from _of_datasets(report, pair, kind, palette)
        if "noise" in wanted:
            yield _noise(report, pair, palette)
    if "sweep" in wanted:
        for sweep in report.sweeps:
            yield from _sweeps(report, sweep)
    for kind in COSTS:
        if kind in wanted:
            yield from _costs(report, kind, palette)


def _kind(named: _Named) -> str:
    return named[0].split("-")[0]


def _noise(report: Report, pair: Pair, palette: Palette) -> _Named:
    title = f"Agreement with the teacher under noise, mean over data sets, {_about(report, pair)}"
    return "noise", pair, title, against_noise(of_pair(report.selection.runs, pair), palette, heading(title))


def _about(report: Report, pair: Pair) -> str:
    return f"{report.view.pair(pair)}, {report.labels[pair]}"


def _of_datasets(report: Report, pair: Pair, kind: str, palette: Palette) -> Iterator[_Named]:
    """A figure a data set: of all where the kind was asked for by name, else of a few, which is said."""
    runs, view = of_pair(report.selection.runs, pair), report.view
    by_name = dict(iter(runs.groupby("dataset")))
    shown = list(by_name)
    if kind not in report.options.named_figures:
        shown = [_largest(runs)] if kind == "reliability" else shown[:MOST_DATASETS]
    part = f"; {len(shown)} of {len(by_name)} data sets drawn" if len(shown) < len(by_name) else ""
    draw, what = PER_DATASET[kind]
    for dataset in shown:
        here = by_name[dataset]
        title = f"{what}, {view.name(dataset)}, {_about(report, pair)}{_few(kind, here)}{part}"
        yield f"{kind}-{dataset}", pair, title, draw(here, palette, heading(title))


def _few(kind: str, runs: "pd.DataFrame") -> str:
    size = int(runs["data.test"].iloc[0]) if "data.test" in runs else 0
    if kind != "reliability" or size >= FEWEST_FOR_RELIABILITY:
        return ""
    return f"; {size} test series, fewer than {FEWEST_FOR_RELIABILITY}: too few to be reliable"


def _costs(report: Report, kind: str, palette: Palette) -> Iterator[_Named]:
    column, axis, what = COSTS[kind]
    means = with_latency(report.means, report.selection) if kind == "latency" else report.means
    for teacher in sorted(set(means["teacher"])):
        title = f"Quality against {what}, students of {report.view.name(teacher)}, {report.label}"
        rows, here = (frame[frame["teacher"] == teacher] for frame in (report.rows, means))
        figure = against_cost(rows, here, column, axis, palette, report.view, heading(title))
        yield kind, (teacher,), title, figure


def _comparisons(report: Report, pair: Pair, key: str, palette: Palette) -> Iterator[_Named]:
    statistics, view = report.statistics[pair].get(key), report.view
    if statistics is None or len(statistics.datasets) < 2:
        return
    metric = view.title(key)
    about = f"{metric}, {_sets(statistics)}, {view.pair(pair)}, {report.labels[pair]}"
    title = f"Average ranks, {about}; bars join methods that do not differ (Wilcoxon, Holm)"
    title += _hopeless(statistics)
    yield f"ranks-{key}", pair, title, critical_difference(statistics, palette, heading(title))
    title = f"Multi-comparison matrix, {about}{_part(most_in_matrix(), len(statistics.ranks))}"
    yield f"matrix-{key}", pair, title, comparison_matrix(statistics, palette, heading(title))
    scores = scores_of(report.rows, pair, key)
    left_out = _part(MOST_PANELS, len(statistics.against_reference))
    short = f"{palette[statistics.reference].label} against each other method, {about}{left_out}"
    title = f"{view.row(statistics.reference)} against each other method, {about}; a dot a data set{left_out}"
    yield (
        f"scatter-{key}",
        pair,
        title,
        one_against_another(scores, statistics, metric, palette, heading(short)),
    )


def _sweeps(report: Report, sweep: Sweep) -> Iterator[_Named]:
    view, keys = report.view, "-".join(sweep.keys)
    palette = looks([*sweep.varied, *sweep.rivals], view)
    about = f"mean over {plural(sweep.sets, 'data set')}, {view.pair(sweep.pair)}, all values shown"
    for metric in view.driving:
        name = view.title(metric)
        if len(sweep.keys) == 1:
            title = f"{name} against {sweep.keys[0]}, {about}; bars and bands: one deviation over seeds"
            yield (
                f"sweep-{keys}-{metric}",
                sweep.pair,
                title,
                sweep_curves(sweep, metric, name, palette, heading(title)),
            )
            continue
        for method in sweep.varied:
            title = f"{name} of {view.row(method)} by {' and '.join(sweep.keys)}, {about}"
            picture = sweep_map(sweep, method, metric, name, heading(title, 0.6))
            yield f"sweep-{keys}-{metric}-{method}", sweep.pair, title, picture


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


def _largest(runs: "pd.DataFrame") -> str:
    """The data set with most test series."""
    return str(runs.loc[runs["data.test"].idxmax() if "data.test" in runs else runs.index[0], "dataset"])
