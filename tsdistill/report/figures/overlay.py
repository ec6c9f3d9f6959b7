"""Saliency over the signal itself: the series as a line, shaded where the teacher and each student look."""

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
from tsdistill.report.figures.style import literal, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

LARGEST = 4
"""Saliency from so many times its own mean on has the darkest shade, in every figure."""
MOST_CHANNELS = 3
"""So many channels of a series are drawn, those that the teacher looks at most."""
_DARKEST = 0.72  # of the colours: a black line has a contrast of 5:1 on it


def draw_overlay(title: str, names: Sequence[str], columns: Sequence[Column], legend: str = "") -> "Figure":
    """Draw each series once for each model, shaded by what the model looks at.

    A map is divided by its own mean, and all figures have one scale: models, series and figures compare.
    Columns stand three abreast, or one in a column of a paper.

    Args:
        title: above the figure.
        names: the models' names, the teacher first.
        columns: at least one; each a single series.
        legend: what else the notes say.
    """
    channels = min(MOST_CHANNELS, max(len(column.x) for column in columns))
    figure, stacks, left = new_stacks(title, len(columns), [0.36 + 0.26 * channels] * len(names))
    image: Any = None
    for stack, column in zip(stacks, columns, strict=True):
        maps = [by_own_mean(strip.saliency[None])[0] for strip in column.strips]
        shown = _most_looked_at(maps[0], len(column.x))
        for axes, strip, values in zip(stack, column.strips, maps, strict=True):
            image = _shade(axes, column.x[shown], values[shown] if len(values) > 1 else values)
            note_beside(axes, strip.note)
        number_steps(stack)
        _scale(stack, column.x, shown)
        stack[0].set_title(literal(column.title), pad=5)
    for stack in left:
        name_panels(stack, model_names(names))
        figure.align_ylabels(stack)
    ticks = {float(at): str(at) for at in range(LARGEST)}
    ticks[LARGEST] = f"\N{GREATER-THAN OR EQUAL TO} {LARGEST}"
    about = "saliency in multiples of its mean, one scale for all" + _left_out(columns)
    bar_below(figure, stacks, image, ticks, about, legend)
    return figure


def _left_out(columns: Sequence[Column]) -> str:
    """What is said of the channels that are not drawn."""
    channels = max(len(column.x) for column in columns)
    if channels <= MOST_CHANNELS:
        return ""
    return f"; of {channels} channels the {MOST_CHANNELS} that the teacher looks at most"


def _most_looked_at(teacher: FloatArray, channels: int) -> list[int]:
    """The channels drawn, in their order; the first ones where maps do not tell channels apart."""
    if len(teacher) < channels:
        return list(range(min(channels, MOST_CHANNELS)))
    order = np.argsort(-np.nanmean(teacher, axis=1), kind="stable")
    return sorted(order[:MOST_CHANNELS].tolist())


def _shade(axes: "Axes", x: FloatArray, saliency: FloatArray) -> "AxesImage":
    """One series, its channels in bands below one another, over its saliency; (C, T) and (C or 1, T)."""
    bands, steps = x.shape
    low, high = (float(np.nanmin(x)), float(np.nanmax(x))) if bands == 1 else (0.0, float(bands))
    margin = 0.1 * (high - low or 1.0) if bands == 1 else 0.0
    image = axes.imshow(
        saliency,
        aspect="auto",
        cmap=_colours(),
        vmin=0,
        vmax=LARGEST,
        interpolation="nearest",
        extent=(-0.5, steps - 0.5, low - margin, high + margin),
    )
    for at, values in enumerate(x if bands == 1 else _in_bands(x)):
        axes.plot(np.arange(steps), values, color="black", linewidth=0.9 * sheet().scale)
        if at:
            axes.axhline(bands - at, color="#FFFFFF", linewidth=1.5)
    for side in axes.spines.values():
        side.set(visible=True, linewidth=0.4)
    return image


def _in_bands(x: FloatArray) -> FloatArray:
    """Each channel stretched over a band of height one, the first on top."""
    low, high = (f(x, axis=1, keepdims=True) for f in (np.nanmin, np.nanmax))
    found: FloatArray = 0.1 + 0.8 * (x - low) / np.where(high > low, high - low, 1)
    return found + np.arange(len(x))[::-1, None]


def _scale(stack: Sequence["Axes"], x: FloatArray, shown: Sequence[int]) -> None:
    """Values of a single channel, or the channels' numbers, beside the teacher's panel only."""
    for axes in stack[1:]:
        axes.set_yticks([])
    stack[0].tick_params(axis="y", pad=1, length=2)
    if len(x) == 1:
        stack[0].locator_params(axis="y", nbins=3)
        return
    places = [len(shown) - at - 0.5 for at in range(len(shown))]
    stack[0].set_yticks(places, [f"ch. {channel + 1}" for channel in shown])
    stack[0].tick_params(axis="y", length=0)


def _colours() -> "Colormap":
    """The colours of strips without the darkest, which would hide the line."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("overlay", colormaps[COLOURS](np.linspace(0, _DARKEST, 256)))
