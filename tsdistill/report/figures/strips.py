"""Series with strips below them: what the teacher and each student look at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tsdistill.data.types import FloatArray
from tsdistill.report.figures.stacks import (
    COLOURS,
    Column,
    bar_below,
    by_own_mean,
    model_names,
    name_panels,
    new_stacks,
    note_beside,
    number_steps,
)
from tsdistill.report.figures.style import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_CHANNELS_RULED = 12
"""Up to so many channels have lines between them in a strip."""


def draw_strips(
    title: str, names: Sequence[str], columns: Sequence[Column], legend: str = "", *, common: bool = False
) -> "Figure":
    """Draw columns, three abreast, or one in a column of a paper.

    Each strip is shaded from its own least to its own largest value: what matters is where, not how much.

    Args:
        title: above the figure.
        names: the models' names, the teacher first.
        columns: at least one.
        legend: what else the notes say.
        common: shade all strips of a column on one scale, each divided by its own mean.
    """
    channels = max(strip.saliency.shape[0] for column in columns for strip in column.strips)
    labels = model_names(names)
    most_lines = max(label.count("\n") + 1 for label in labels)
    height = max(min(1.1, 0.3 + 0.045 * (channels - 1)), 0.06 + 0.13 * most_lines)
    figure, stacks, left = new_stacks(title, len(columns), [0.85, *[height] * len(names)])
    image: Any = None
    for stack, column in zip(stacks, columns, strict=True):
        _draw_series(stack[0], column)
        maps = [strip.saliency for strip in column.strips]
        if common:
            maps = [by_own_mean(values[None])[0] for values in maps]
        for axes, strip, values in zip(stack[1:], column.strips, maps, strict=True):
            image = _draw_strip(axes, values, _range(maps if common else [values]))
            note_beside(axes, strip.note)
        number_steps(stack)
    for stack in left:
        name_panels(stack[1:], labels)
    scale = "multiples of its mean, one scale for a column" if common else "each strip by its own scale"
    bar_below(figure, stacks, image, {0: "least", 1: "most"}, f"saliency, {scale}", legend)
    return figure


def _draw_series(axes: "Axes", column: Column) -> None:
    steps = np.arange(column.x.shape[1])
    several = len(column.x) > 1
    for at, values in enumerate(column.x):
        shade = "#000000" if not several else str(0.15 + 0.6 * at / len(column.x))
        axes.plot(steps, values, color=shade, linewidth=0.6 if several else 0.9)
        if column.spread is not None and not several:
            low, high = values - column.spread[at], values + column.spread[at]
            axes.fill_between(steps, low, high, color="#BBBBBB", linewidth=0)
    axes.set_title(literal(column.title), pad=5)
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.tick_params(pad=1)
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="y", nbins=3)


def _range(maps: Sequence[FloatArray]) -> tuple[float, float]:
    return float(min(map(np.nanmin, maps))), float(max(map(np.nanmax, maps)))


def _draw_strip(axes: "Axes", values: FloatArray, limits: tuple[float, float]) -> "AxesImage":
    least, most = limits
    shaded = (values - least) / (most - least) if most > least else np.zeros_like(values)
    image = axes.imshow(
        shaded, aspect="auto", cmap=COLOURS, vmin=0, vmax=1, interpolation="nearest", rasterized=False
    )
    axes.set_yticks([])
    if 1 < len(values) <= MOST_CHANNELS_RULED:
        for at in range(1, len(values)):
            axes.axhline(at - 0.5, color="#FFFFFF", linewidth=0.5)
    for side in axes.spines.values():
        side.set(visible=True, linewidth=0.4)
    return image
