"""Series with a panel for each model below one another: what pictures of saliency have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from tsdistill.data.types import FloatArray
from tsdistill.report.figures.style import heading, literal, new_figure, sheet, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RHO = "\N{GREEK SMALL LETTER RHO}"
COLOURS = "Blues"  # one hue from white to dark: the same order in print and for any eye


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
    """A series, or the mean of some, and what each model looks at in it.

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


def by_own_mean(maps: FloatArray) -> FloatArray:
    """Divide each map by its own mean, so that maps of any unit can be compared or averaged.

    Args:
        maps: (n, ..., T), at least 0; NaN in steps that are padding.

    Returns:
        The same shape; the mean of each over its true steps is 1, or 0 where all of it is 0.
    """
    means = np.nanmean(maps, axis=tuple(range(1, maps.ndim)), keepdims=True)
    found: FloatArray = maps / np.maximum(means, np.finfo(np.float32).tiny)
    return found


def new_stacks(
    title: str, count: int, heights: Sequence[float]
) -> tuple["Figure", list[Sequence["Axes"]], list[Sequence["Axes"]]]:
    """A figure of columns of panels, three abreast, or one in a column of a paper.

    Args:
        title: above the figure.
        count: columns, at least one.
        heights: of the panels of a column, in inches on a page of text.

    Returns:
        The figure, the panels of each column, and those columns of it that stand on the left.
    """
    most = 3 if sheet().abreast > 2 else 1
    blocks, abreast = -(-count // most), min(most, count)
    width = sheet().width if abreast == most else (1.8 + 1.9 * abreast) * sheet().scale
    height = blocks * (sum(heights) + 0.3) + 0.9
    figure = new_figure(heading(title, width / sheet().width), height, width)
    spacing: Any = figure.get_layout_engine()
    spacing.set(h_pad=0.02, w_pad=0.03, hspace=0.0, wspace=0.0)
    grid = figure.subplots(blocks * len(heights), abreast, height_ratios=[*heights] * blocks, squeeze=False)
    stacks: list[Sequence[Axes]] = [
        grid[block * len(heights) : (block + 1) * len(heights), place].tolist()
        for block in range(blocks)
        for place in range(abreast)
    ]
    for axes in (axes for stack in stacks[count:] for axes in stack):
        axes.set_visible(False)
    return figure, stacks[:count], stacks[:count:abreast]


def model_names(names: Sequence[str]) -> list[str]:
    """The models' names in lines that fit beside a panel."""
    return [wrapped(name, 16) for name in names]


def name_panels(stack: Sequence["Axes"], labels: Sequence[str]) -> None:
    """Write the models' names beside the panels of a column on the left."""
    for axes, label in zip(stack, labels, strict=True):
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=sheet().small, labelpad=4)


def note_beside(axes: "Axes", note: str) -> None:
    """Write a model's agreement and answer on the right of its panel."""
    axes.text(
        1.02,
        0.5,
        literal(note),
        transform=axes.transAxes,
        va="center",
        fontsize=sheet().small,
        linespacing=1.05,
    )


def number_steps(stack: Sequence["Axes"]) -> None:
    """Number the timesteps below the last panel of a column only."""
    for axes in stack:
        axes.tick_params(bottom=False, labelbottom=False, length=2)
    stack[-1].locator_params(axis="x", nbins=4, integer=True)
    stack[-1].tick_params(bottom=True, labelbottom=True, pad=1.5)


def bar_below(
    figure: "Figure",
    stacks: Sequence[Sequence["Axes"]],
    shades: Any,
    ticks: dict[float, str],
    about: str,
    legend: str,
) -> None:
    """Explain shades and notes below the columns.

    Args:
        figure: the figure.
        stacks: all its columns.
        shades: an image that is shaded like all others.
        ticks: names of shades by their value.
        about: what a shade means.
        legend: what else the notes say.
    """
    bar = figure.colorbar(
        shades,
        ax=[axes for stack in stacks for axes in stack],
        location="bottom",
        shrink=0.35,
        aspect=30,
        pad=0.02,
    )
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.tick_params(length=0)
    told = (
        f"{about}; horizontally: timesteps",
        f"{RHO}: Spearman's correlation with the teacher's saliency{legend}",
    )
    signs = int(0.9 * sheet().signs(figure.get_figwidth() / sheet().width))
    bar.set_label("\n".join(fill(line, signs) for line in told), fontsize=sheet().small)
    outline: Any = bar.outline
    outline.set_linewidth(0.4)
