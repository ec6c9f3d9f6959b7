"""A metric over one varied setting as curves, over two as a heat map."""

from typing import TYPE_CHECKING, Any

from tsdistill.report.figures.looks import Palette
from tsdistill.report.figures.style import legend_below, logarithmic, new_figure, sheet, wrapped
from tsdistill.report.sweep import Point, Sweep, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC_FROM = 20
"""Values whose largest is so many times the smallest stand on a logarithmic axis."""


def sweep_curves(sweep: Sweep, metric: str, name: str, palette: Palette, title: str) -> "Figure":
    """Draw a metric against the one varied setting, with error bars of one deviation over seeds.

    Methods without the setting, or with one value of it, are bands of one deviation about a line.

    Args:
        sweep: of one setting.
        metric: a metric of its points.
        name: the metric's title.
        palette: the methods' looks.
        title: above the curves.
    """
    count = len(sweep.varied) + len(sweep.rivals)
    figure = new_figure(title, 3.0 + 0.2 * -(-count // sheet().abreast))
    axes = figure.add_subplot()
    places = _places(sweep)
    for method, points in sweep.varied.items():
        look = palette[method]
        axes.errorbar(
            [places[value[0]] for value in points],
            [point.mean[metric] for point in points.values()],
            yerr=[_spread(point, metric) for point in points.values()],
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            markersize=5,
            linewidth=1.2,
            capsize=2,
            label=wrapped(look.label, sheet().signs(0.4)),
        )
    for method, point in sweep.rivals.items():
        look, middle, spread = palette[method], point.mean[metric], _spread(point, metric)
        axes.axhline(
            middle,
            color=look.colour,
            linestyle=look.line,
            linewidth=1,
            label=wrapped(look.label, sheet().signs(0.4)),
        )
        axes.axhspan(middle - spread, middle + spread, color=look.colour, alpha=0.12, linewidth=0)
    _name_axis(axes, places)
    axes.set(xlabel=sweep.keys[0], ylabel=name)
    axes.grid(visible=True)
    legend_below(figure, [axes])
    return figure


def _spread(point: Point, metric: str) -> float:
    return 0.0 if point.std[metric] != point.std[metric] else point.std[metric]


def _places(sweep: Sweep) -> dict[Any, float]:
    """Where each value stands: numbers at their size, all values side by side where one is a word."""
    values = list(dict.fromkeys(value[0] for points in sweep.varied.values() for value in points))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {value: float(value) for value in values}
    return {value: float(at) for at, value in enumerate(values)}


def _name_axis(axes: "Axes", places: dict[Any, float]) -> None:
    numbers = [value for value in places if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(places) and min(numbers) > 0 and max(numbers) >= LOGARITHMIC_FROM * min(numbers):
        logarithmic(axes, "x")
    axes.set_xticks(list(places.values()), [*map(told, places)])


def sweep_map(sweep: Sweep, method: str, metric: str, name: str, title: str) -> "Figure":
    """Draw a metric over the two varied settings as a heat map, its value in every field.

    Args:
        sweep: of two settings.
        method: one of ``sweep.varied``.
        metric: a metric of its points.
        name: the metric's title.
        title: above the map.
    """
    import numpy as np

    points = sweep.varied[method]
    down, across = (list(dict.fromkeys(value[at] for value in points)) for at in (0, 1))
    across.sort(key=lambda value: (isinstance(value, str), value) if value is not None else (True, ""))
    grid = np.full((len(down), len(across)), np.nan)
    for value, point in points.items():
        grid[down.index(value[0]), across.index(value[1])] = point.mean[metric]
    wide = (1.8 + 0.75 * len(across)) * sheet().scale
    figure = new_figure(title, 1.4 + 0.42 * len(down), sheet().width if sheet().abreast < 3 else wide)
    axes = figure.add_subplot()
    image = axes.imshow(grid, aspect="auto", cmap="Blues")
    middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
    for (row, column), value in np.ndenumerate(grid):
        text = "-" if np.isnan(value) else f"{value:.3f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if value > middle else "black")
    axes.set_yticks(range(len(down)), [*map(told, down)])
    axes.set_xticks(range(len(across)), [*map(told, across)])
    axes.set(xlabel=sweep.keys[1], ylabel=sweep.keys[0])
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, label=name)
    return figure
