"""Methods over data sets: critical-difference diagram, multi-comparison matrix, one against another."""

from typing import TYPE_CHECKING

from tsdistill.report.figures.looks import Palette
from tsdistill.report.figures.style import WIDTH, wrapped
from tsdistill.report.statistics import ALPHA, Comparison, Statistics, cliques
from tsdistill.report.tables import plural

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_IN_MATRIX = 12
MOST_PANELS = 9


def critical_difference(statistics: Statistics, palette: Palette, title: str) -> "Figure":
    """Draw average ranks on a line, with bars over methods that do not differ (after Demsar 2006).

    The bars come from pairwise Wilcoxon tests with Holm's step-down over all pairs, not from rank sums.

    Args:
        statistics: of one metric and pair.
        palette: the methods' looks.
        title: above the diagram.
    """
    from matplotlib.figure import Figure

    ranks = statistics.ranks
    groups = cliques(statistics)
    half = (len(ranks) + 1) // 2
    labels = {name: wrapped(palette[name].label, 30) for name in ranks}
    step = 0.34 + 0.2 * max(label.count("\n") for label in labels.values())
    depth = 0.16 * len(groups) + 0.3
    height = depth + step * half
    figure = Figure(figsize=(WIDTH, 0.75 + 0.8 * height), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(1 - 0.02, len(ranks) + 0.02), ylim=(0.5 * step - height, 0.35))
    axes.axis("off")
    axes.set_title(title, pad=4)
    axes.plot([1, len(ranks)], [0, 0], color="black", linewidth=1)
    for rank in range(1, len(ranks) + 1):
        axes.plot([rank, rank], [0, 0.07], color="black", linewidth=1)
        axes.text(rank, 0.1, str(rank), ha="center", va="bottom")
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
    from matplotlib.figure import Figure

    names = list(statistics.means)[:MOST_IN_MATRIX]
    found = {(each.method, each.other): each for each in statistics.pairwise}
    size = 0.86 * len(names)
    figure = Figure(figsize=(size + 1.9, 0.62 * len(names) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    largest = max((abs(each.difference) for each in statistics.pairwise), default=0.0) or 1.0
    scale = Normalize(-largest, largest)
    good = colormaps["RdBu"]
    for row, name in enumerate(names):
        for column, other in enumerate(names):
            if name != other:
                _matrix_cell(axes, row, column, _between(found, name, other), good, scale)
    means = statistics.means
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.set_xticks(
        range(len(names)), [f"{wrapped(palette[name].label, 14)}\n{means[name]:.3f}" for name in names]
    )
    axes.set_yticks(
        range(len(names)), [f"{wrapped(palette[name].label, 24)}\n{means[name]:.3f}" for name in names]
    )
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False, labelsize=7.5)
    axes.spines[:].set_visible(False)
    axes.set_title(title, pad=8)
    axes.set_xlabel(
        "mean difference (row - column); wins / ties / losses of the row; p (Wilcoxon, not adjusted)",
        fontsize=7.5,
    )
    return figure


def _matrix_cell(
    axes: "Axes", row: int, column: int, each: Comparison, colours: "object", scale: "object"
) -> None:
    from matplotlib.patches import Rectangle

    shade = colours(scale(each.difference))  # type: ignore[operator]
    axes.add_patch(Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, facecolor=shade, edgecolor="none"))
    dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 0.5
    axes.text(
        column,
        row,
        f"{each.difference:+.3f}\n{each.wins} / {each.ties} / {each.losses}\n{_p(each.p)}",
        ha="center",
        va="center",
        fontsize=7,
        color="white" if dark else "black",
        fontweight="bold" if each.p < ALPHA else "normal",
    )


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
    from matplotlib.figure import Figure

    shown = statistics.against_reference[:MOST_PANELS]
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    side = WIDTH / 3
    figure = Figure(figsize=(max(columns * side, 3.4), lines * (side + 0.25) + 0.35), layout="constrained")
    figure.suptitle(title, fontsize=9)
    for at, each in enumerate(shown):
        axes = figure.add_subplot(lines, columns, at + 1)
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
        axes.set_xlabel(f"{wrapped(palette[each.other].label, 28)}, {metric}")
        axes.set_ylabel(f"{wrapped(palette[each.method].label, 28)}, {metric}")
        counts = [(each.wins, "win"), (each.ties, "tie"), (each.losses, "loss")]
        record = ", ".join(plural(count, noun, "losses" if noun == "loss" else "") for count, noun in counts)
        record += f"\nHolm {_p(each.p_holm)}"
        axes.set_title(record, fontsize=8)
    return figure


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
