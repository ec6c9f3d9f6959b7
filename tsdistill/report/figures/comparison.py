"""Methods over data sets: critical-difference diagram, multi-comparison matrix, one against another."""

from textwrap import fill
from typing import TYPE_CHECKING

from tsdistill.report.figures.looks import Palette
from tsdistill.report.figures.style import SHEETS, new_figure, panel_grid, sheet, wrapped
from tsdistill.report.statistics import ALPHA, Comparison, Statistics, cliques
from tsdistill.report.tables import plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_IN_MATRIX = 12
MOST_PANELS = 9
_NARROW = 0.42  # inches: the narrowest field of a matrix
_NAMES = 0.75  # inches: the names beside a narrow matrix


def critical_difference(statistics: Statistics, palette: Palette, title: str) -> "Figure":
    """Draw average ranks on a line, with bars over methods that do not differ (after Demsar 2006).

    The bars come from pairwise Wilcoxon tests with Holm's step-down over all pairs, not from rank sums.

    Args:
        statistics: of one metric and pair.
        palette: the methods' looks.
        title: above the diagram.
    """
    ranks = statistics.ranks
    groups = cliques(statistics)
    half = (len(ranks) + 1) // 2
    labels = {name: wrapped(palette[name].label, sheet().signs(0.25)) for name in ranks}
    step = 0.34 + 0.2 * max(label.count("\n") for label in labels.values())
    depth = 0.16 * len(groups) + 0.3
    height = depth + step * half
    figure = new_figure(title, 0.75 + 0.8 * height)
    axes = figure.add_subplot()
    axes.set(xlim=(1 - 0.02, len(ranks) + 0.02), ylim=(0.5 * step - height, 0.35))
    axes.axis("off")
    axes.plot([1, len(ranks)], [0, 0], color="black", linewidth=1)
    for rank in range(1, len(ranks) + 1):
        axes.plot([rank, rank], [0, 0.07], color="black", linewidth=1)
        axes.text(rank, 0.1, str(rank), ha="center", va="bottom", fontsize=sheet().small)
    for at, group in enumerate(groups):
        low, high = ranks[group[0]], ranks[group[-1]]
        level = -0.16 * (at + 1)
        axes.plot(
            [low - 0.02, high + 0.02], [level, level], color="#D55E00", linewidth=3.5, solid_capstyle="butt"
        )
    names = list(ranks)
    for at, name in enumerate(names):
        left = at < half
        line = at if left else len(names) - 1 - at
        _branch(axes, labels[name], ranks[name], -depth - step * line, 1 if left else len(ranks), left=left)
    return figure


def _branch(axes: "Axes", label: str, rank: float, level: float, end: float, *, left: bool) -> None:
    axes.plot([rank, rank, end], [0, level, level], color="#555555", linewidth=0.8)
    text = f"{label}  ({rank:.2f})" if left else f"({rank:.2f})  {label}"
    offset = (-4, 0) if left else (4, 0)
    axes.annotate(
        text,
        (end, level),
        xytext=offset,
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        annotation_clip=False,
        fontsize=sheet().small,
    )


def comparison_matrix(statistics: Statistics, palette: Palette, title: str) -> "Figure":
    """Draw the multi-comparison matrix (arXiv 2305.11921): every method against every other.

    A cell holds the mean difference (row minus column), wins, ties and losses of the row, and the p of the
    two-sided Wilcoxon test, not adjusted as the source defines it; p below 0.05 is bold.

    Args:
        statistics: of one metric and pair.
        palette: the methods' looks.
        title: above the matrix.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    names = list(statistics.means)[: most_in_matrix()]
    found = {(each.method, each.other): each for each in statistics.pairwise}
    narrow = _is_narrow()
    width = sheet().width if narrow else (0.86 * len(names) + 1.9) * sheet().scale
    figure = new_figure(title, (0.5 if narrow else 0.62) * len(names) + 1.6, width)
    axes = figure.add_subplot()
    largest = max((abs(each.difference) for each in statistics.pairwise), default=0.0) or 1.0
    scale = Normalize(-largest, largest)
    good = colormaps["RdBu"]
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            if name != other:
                _matrix_cell(axes, row, column, _between(found, name, other), good, scale)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    for set_ticks, signs in ((axes.set_xticks, 8 if narrow else 14), (axes.set_yticks, 11 if narrow else 24)):
        labels = [f"{wrapped(palette[name].label, signs)}\n{statistics.means[name]:.3f}" for name in names]
        set_ticks(range(len(names)), labels)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    told = "mean difference (row minus column); wins / ties / losses of the row; p (Wilcoxon, not adjusted)"
    axes.set_xlabel(fill(told, int(0.75 * sheet().signs())) if narrow else told, fontsize=sheet().small)
    return figure


def most_in_matrix() -> int:
    """How many methods a matrix has room for."""
    return int((sheet().width - _NAMES) / _NARROW) if _is_narrow() else MOST_IN_MATRIX


def _is_narrow() -> bool:
    return sheet().width < SHEETS["text"].width


def _matrix_cell(
    axes: "Axes", row: int, column: int, each: Comparison, colours: "object", scale: "object"
) -> None:
    from matplotlib.patches import Rectangle

    shade = colours(scale(each.difference))  # type: ignore[operator]
    axes.add_patch(Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, facecolor=shade, edgecolor="none"))
    dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 0.5
    text = f"{_signed(each.difference)}\n{each.wins} / {each.ties} / {each.losses}\n{_p(each.p)}"
    axes.text(
        column,
        row,
        text.replace(" ", "") if _is_narrow() else text,
        ha="center",
        va="center",
        fontsize=sheet().small,
        color="white" if dark else "black",
        fontweight="bold" if each.p < ALPHA else "normal",
    )


def _signed(difference: float) -> str:
    """A difference with its sign; what rounds to zero has none."""
    text = f"{difference:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _between(found: dict[tuple[str, str], Comparison], name: str, other: str) -> Comparison:
    from dataclasses import replace

    if (name, other) in found:
        return found[name, other]
    each = found[other, name]
    return replace(
        each,
        method=name,
        other=other,
        wins=each.losses,
        losses=each.wins,
        difference=-each.difference,
        effect=-each.effect,
    )


def one_against_another(
    scores: "pd.DataFrame", statistics: Statistics, metric: str, palette: Palette, title: str
) -> "Figure":
    """Draw the reference against each other method, a dot a data set.

    Above the diagonal the reference is higher.

    Args:
        scores: means over seeds, data sets down and methods across.
        statistics: of the same metric and pair.
        metric: its title.
        palette: the methods' looks.
        title: above the panels.
    """
    shown = statistics.against_reference[:MOST_PANELS]
    figure, panels = panel_grid(len(shown), title, square=True)
    for axes, each in zip(panels, shown, strict=True):
        both = scores.loc[list(statistics.datasets), [each.other, each.method]]
        low, high = float(both.min().min()), float(both.max().max())
        margin = 0.05 * (high - low) or 0.05
        axes.plot(
            [low - margin, high + margin], [low - margin, high + margin], color="#999999", linewidth=0.8
        )
        look = palette[each.other]
        axes.scatter(both[each.other], both[each.method], s=18, color=look.colour, marker=look.marker)
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
        axes.locator_params(nbins=4)
        axes.set_xlabel(
            f"{wrapped(palette[each.other].label, sheet().signs(0.6 / sheet().abreast))}, {metric}"
        )
        axes.set_ylabel(
            f"{wrapped(palette[each.method].label, sheet().signs(0.6 / sheet().abreast))}, {metric}"
        )
        counts = [(each.wins, "win"), (each.ties, "tie"), (each.losses, "loss")]
        record = ", ".join(plural(count, noun, "losses" if noun == "loss" else "") for count, noun in counts)
        record += f"\nHolm {_p(each.p_holm)}"
        axes.set_title(record)
    return figure


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
