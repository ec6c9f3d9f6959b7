"""One or two settings that were varied on purpose: a row a value, and the methods beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tsdistill.report.aggregate import over_seeds_and_sets
from tsdistill.report.cells import Cell, Table
from tsdistill.report.order import natural
from tsdistill.report.records import PAIR
from tsdistill.report.settings import Pair, shown
from tsdistill.report.tables import legend, of_pair, plural, table_key
from tsdistill.report.view import View

if TYPE_CHECKING:
    import pandas as pd

Value = tuple[Any, ...]
"""What the varied settings are in one row, in the order in which they were named."""


@dataclass(frozen=True)
class Point:
    """The runs of one method at one value.

    Attributes:
        mean: by metric, the mean over data sets of means over seeds.
        std: by metric, the deviation over seeds of the mean over data sets, of the seeds that have them all;
            NaN with fewer than two.
        sets: data sets.
        seeds: seeds.
        collapsed: whether a run predicts a constant.
        plateau: whether a run never left the plateau at which training begins.
    """

    mean: Mapping[str, float]
    std: Mapping[str, float]
    sets: int
    seeds: int
    collapsed: bool
    plateau: bool


@dataclass(frozen=True)
class Sweep:
    """A pair's methods over the values of the varied settings.

    Attributes:
        pair: teacher and student.
        keys: the varied settings.
        sets: data sets of the pair.
        varied: points by value, in ascending order, by method, of methods with several values.
        rivals: the point of each other method.
    """

    pair: Pair
    keys: tuple[str, ...]
    sets: int
    varied: Mapping[str, Mapping[Value, Point]]
    rivals: Mapping[str, Point]


def sweep_of(runs: "pd.DataFrame", pair: Pair, keys: Sequence[str], metrics: Sequence[str]) -> Sweep | None:
    """Gather a pair's runs by the values of the varied settings.

    Args:
        runs: chosen runs with ``series``, every setting in a row of its own.
        pair: teacher and student.
        keys: the varied settings.
        metrics: what is averaged.

    Returns:
        None where no method of the pair has several values.
    """
    here = of_pair(runs, pair)
    varied, rivals = {}, {}
    for name, group in here.groupby("series", sort=False):
        points = _points(group, keys, metrics)
        if len(points) > 1:
            varied[name] = dict(sorted(points.items(), key=lambda each: _order(each[0])))
        else:
            rivals[name] = next(iter(points.values()))
    if not varied:
        return None
    return Sweep(pair, tuple(keys), here["dataset"].nunique(), varied, rivals)


def varied_settings(runs: "pd.DataFrame") -> list[str]:
    """The settings of which a method of a pair was run with several values on one data set.

    Args:
        runs: chosen runs, settings in columns ``setting.<name>``.
    """
    groups = [runs[key] for key in (*PAIR, "method", "dataset")]
    told_apart = ("setting.seed", "setting.trial")  # by every table
    columns = [name for name in runs.columns if name.startswith("setting.") and name not in told_apart]
    counts = {name: runs[name].map(_plain).groupby(groups).nunique(dropna=False) for name in columns}
    return sorted(name.removeprefix("setting.") for name, count in counts.items() if (count > 1).any())


def _points(runs: "pd.DataFrame", keys: Sequence[str], metrics: Sequence[str]) -> dict[Value, Point]:
    values = list(zip(*(runs[f"setting.{key}"].map(_plain) for key in keys), strict=True))
    found = {}
    for value in dict.fromkeys(values):
        group = runs[[each == value for each in values]]
        means, deviations = {}, {}
        for metric in metrics:
            means[metric], deviations[metric] = over_seeds_and_sets(group, f"test.{metric}")
        found[value] = Point(
            mean=means,
            std=deviations,
            sets=group["dataset"].nunique(),
            seeds=group["seed"].nunique(),
            collapsed=any("collapsed" in flags for flags in group["flags"]),
            plateau=any("plateau" in flags for flags in group["flags"]),
        )
    return found


def _plain(value: Any) -> Any:
    """A setting that a run lacks is None; whole floats and ints are one value."""
    if value is None or value != value:
        return None
    return value if isinstance(value, int | float | str | bool) else str(value)


def told(value: Any) -> str:
    """A value of a varied setting in words."""
    if value is None:
        return "unset"
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else shown(value)


def _order(value: Value) -> list[tuple[int, float, tuple[str | float, ...]]]:
    """Numbers by size before words."""
    return [
        (0, float(each), ()) if isinstance(each, int | float) else (1, 0.0, natural(str(each)))
        for each in value
    ]


def sweep_table(sweep: Sweep, view: View) -> Table:
    """The points of a sweep, a row a value, and the rivals below them."""
    body = []
    for name, points in sweep.varied.items():
        for value, point in points.items():
            settings = [Cell(text=told(each)) for each in value]
            body.append([Cell(text=view.row(name)), *settings, *_cells(point, sweep, view)])
    foot = [
        [Cell(text=view.row(name)), *[Cell(text="")] * len(sweep.keys), *_cells(point, sweep, view)]
        for name, point in sweep.rivals.items()
    ]
    return Table(
        key=table_key("sweep-" + "-".join(sweep.keys), sweep.pair),
        title=f"{' and '.join(sweep.keys)} varied, mean over {plural(sweep.sets, 'data set')}, "
        f"{view.pair(sweep.pair)}",
        columns=("method", *sweep.keys, *map(view.title, view.driving), "sets", "seeds"),
        rows=body,
        footer=foot,
        notes=(
            "Every value that was run is shown; none was selected. Choosing the best row here would be "
            "selection on the test set.",
            *legend([cell for line in [*body, *foot] for cell in line]),
        ),
    )


def _cells(point: Point, sweep: Sweep, view: View) -> list[Cell]:
    flagged = {
        "collapsed": point.collapsed,
        "plateau": point.plateau,
        "partial": point.sets < sweep.sets,
    }
    marks = tuple(name for name, raised in flagged.items() if raised)
    numbers = [
        Cell(
            mean=point.mean[metric],
            std=None if point.std[metric] != point.std[metric] else point.std[metric],
            marks=marks,
            digits=view.decimals,
        )
        if point.mean[metric] == point.mean[metric]
        else Cell(text="-")
        for metric in view.driving
    ]
    return [*numbers, Cell(mean=point.sets, digits=0), Cell(mean=point.seeds, digits=0)]


def sweep_frame(sweeps: Sequence[Sweep]) -> "pd.DataFrame":
    """All points as one tidy frame, a row for each pair, method, value and metric."""
    import pandas as pd

    lines = []
    for sweep in sweeps:
        every = [
            (name, value, point) for name, found in sweep.varied.items() for value, point in found.items()
        ]
        every += [(name, (None,) * len(sweep.keys), point) for name, point in sweep.rivals.items()]
        for name, value, point in every:
            for metric, mean in point.mean.items():
                line: dict[str, Any] = {"teacher": sweep.pair[0], "student": sweep.pair[1], "method": name}
                line |= dict(zip(sweep.keys, value, strict=True))
                line |= {"metric": metric, "mean": mean, "std": point.std[metric]}
                line |= {"sets": point.sets, "seeds": point.seeds}
                lines.append(line | {"collapsed": point.collapsed, "plateau": point.plateau})
    return pd.DataFrame(lines)
