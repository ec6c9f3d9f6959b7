"""Series with strips below them: what the teacher and each student look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tsdistill.data.types import FloatArray
from tsdistill.report.figures.style import heading, literal, new_figure, sheet, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MOST_CHANNELS_NAMED = 12
RHO = "\N{GREEK SMALL LETTER RHO}"
_COLOURS = "Blues"  # one hue from white to dark: the same order in print and for any eye


@dataclass(frozen=True)
class Strip:
    """What one model looks at.

    Attributes:
        saliency: (C, T), or (1, T) where channels are not told apart; NaN in steps that are padding.
        note: what stands beside it, at most two short lines.
    """

    saliency: FloatArray
    note: str


@dataclass(frozen=True)
class Column:
    """A series, or the mean of some, above a strip for each model.

    Attributes:
        title: at most two short lines.
        x: (C, T); NaN in steps that are padding.
        spread: deviation about the mean, (C, T), or None for a single series.
        strips: one for each model, the teacher first.
    """

    title: str
    x: FloatArray
    spread: FloatArray | None
    strips: Sequence[Strip]


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
        common: shade all strips of a column from the least to the largest value of any of them.
    """
    channels = max(strip.saliency.shape[0] for column in columns for strip in column.strips)
    labels = [wrapped(name, 16) for name in names]
    most_lines = max(label.count("\n") + 1 for label in labels)
    strip_height = max(min(1.1, 0.3 + 0.045 * (channels - 1)), 0.06 + 0.13 * most_lines)
    most = 3 if sheet().abreast > 2 else 1
    blocks, abreast = -(-len(columns) // most), min(most, len(columns))
    height = blocks * (1.15 + len(names) * strip_height) + 0.9
    width = sheet().width if abreast == most else (1.8 + 1.9 * abreast) * sheet().scale
    figure = new_figure(heading(title, width / sheet().width), height, width)
    spacing: Any = figure.get_layout_engine()
    spacing.set(h_pad=0.02, w_pad=0.03, hspace=0.0, wspace=0.0)
    ratios = [0.85, *[strip_height] * len(names)] * blocks
    grid = figure.subplots(len(ratios), abreast, height_ratios=ratios, squeeze=False)
    image: Any = None
    for at, column in enumerate(columns):
        block, place = divmod(at, abreast)
        stretch = grid[block * (1 + len(names)) : (block + 1) * (1 + len(names)), place]
        _draw_series(stretch[0], column)
        for label, axes, strip in zip(labels, stretch[1:], column.strips, strict=True):
            image = _draw_strip(axes, strip, _range(column.strips if common else [strip]))
            if place == 0:
                axes.set_ylabel(
                    label, rotation=0, ha="right", va="center", fontsize=sheet().small, labelpad=4
                )
        stretch[-1].tick_params(bottom=True, labelbottom=True, pad=1.5)
    for place in range(len(columns) - (blocks - 1) * abreast, abreast):
        for axes in grid[(blocks - 1) * (1 + len(names)) :, place]:
            axes.set_visible(False)
    bar = figure.colorbar(image, ax=grid, location="bottom", shrink=0.35, aspect=30, pad=0.02)
    bar.set_ticks([0, 1], labels=["least", "most"])
    bar.ax.tick_params(length=0)
    bar.set_label(
        f"saliency, {'one scale for a column' if common else 'each strip by its own scale'}; "
        "horizontally: timesteps\n"
        f"{RHO}: Spearman's correlation with the teacher's strip{legend}",
        fontsize=sheet().small,
    )
    bar.outline.set_linewidth(0.4)
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
    axes.tick_params(pad=1, length=2, bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    axes.locator_params(axis="y", nbins=3)


def _range(strips: Sequence[Strip]) -> tuple[float, float]:
    values = [strip.saliency for strip in strips]
    return float(min(map(np.nanmin, values))), float(max(map(np.nanmax, values)))


def _draw_strip(axes: "Axes", strip: Strip, limits: tuple[float, float]) -> "AxesImage":
    least, most = limits
    shaded = (strip.saliency - least) / (most - least) if most > least else np.zeros_like(strip.saliency)
    image = axes.imshow(
        shaded, aspect="auto", cmap=_COLOURS, vmin=0, vmax=1, interpolation="nearest", rasterized=False
    )
    axes.set_yticks([])
    axes.tick_params(bottom=False, labelbottom=False, length=2)
    axes.locator_params(axis="x", nbins=4, integer=True)
    if 1 < len(strip.saliency) <= MOST_CHANNELS_NAMED:
        for at in range(1, len(strip.saliency)):
            axes.axhline(at - 0.5, color="#FFFFFF", linewidth=0.5)
    for side in axes.spines.values():
        side.set(visible=True, linewidth=0.4)
    axes.text(
        1.02,
        0.5,
        literal(strip.note),
        transform=axes.transAxes,
        va="center",
        fontsize=sheet().small,
        linespacing=1.05,
    )
    return image
