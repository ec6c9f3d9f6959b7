"""Quality against cost and against noise."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import TEACHERS, over_seeds_and_sets
from tsdistill.report.figures.looks import Look, Palette
from tsdistill.report.figures.style import legend_below, logarithmic, new_figure, sheet, wrapped
from tsdistill.report.metrics import metric_of
from tsdistill.report.view import View

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ROOM = 1.5
"""Factor between the outermost costs and the ends of their axis, which one cost alone needs too."""
CLOSE = 1.15
"""Students whose costs differ by a smaller factor share a label."""


def against_cost(
    rows: "pd.DataFrame",
    means: "pd.DataFrame",
    cost: str,
    axis: str,
    palette: Palette,
    view: View,
    title: str,
) -> "Figure | None":
    """Draw the first driving metric, and the second or agreement, against a cost, on a log axis.

    Every point stands at its own cost and carries its student's name. Lines join the students of a method
    that have results on the same data sets; others are not comparable.

    Args:
        rows: ``by_dataset``'s frame, of one teacher.
        means: ``over_datasets``'s frame, of one teacher, with the cost.
        cost: a column of ``means``.
        axis: what stands at the axis.
        palette: the methods' looks.
        view: metrics and names.
        title: above the panels.

    Returns:
        None where no student's record tells the cost, or fewer than two metrics have values.
    """
    students = means[~means["method"].isin(TEACHERS)]
    variants = [name for name in palette if name in set(means["variant"])]
    wanted = dict.fromkeys((*view.driving, "agreement", *view.metrics))
    metrics = [metric for metric in wanted if metric in means and means[metric].notna().any()][:2]
    if len(metrics) < 2 or not variants or cost not in means or students[cost].isna().all():
        return None
    below, abreast = (1, 2) if sheet().abreast > 2 else (2, 1)
    height = 3.0 * below + 0.5 + 0.2 * -(-len(variants) // sheet().abreast)
    figure = new_figure(title, height)
    panels = figure.subplots(below, abreast, sharex=True).tolist()
    for axes, metric in zip(panels, metrics, strict=True):
        for name in variants:
            line = _with_sets(means, rows, name, metric, cost)
            _size_points(axes, line, metric, cost, name, palette[name])
        axes.set(xlabel=axis if below == 1 or axes is panels[-1] else "", ylabel=view.title(metric))
        axes.grid(visible=True)
    known = means.loc[means["variant"].isin(variants) & means[metrics].notna().any(axis=1), cost].dropna()
    panels[0].set_xlim(known.min() / ROOM, known.max() * ROOM)
    for axes in panels:
        logarithmic(axes, "x")
    for axes in panels[::below]:
        _name_sizes(axes, means, cost, view)
    legend_below(figure, panels)
    return figure


def _with_sets(
    means: "pd.DataFrame", rows: "pd.DataFrame", name: str, metric: str, cost: str
) -> "pd.DataFrame":
    """The points of one method, smallest first, with the data sets that each is a mean over."""
    line = means[means["variant"] == name]
    if metric not in line:
        return line.iloc[:0].assign(on=[])
    line = line.dropna(subset=[metric, cost]).sort_values(cost, kind="stable")
    mine = rows[(rows["variant"] == name) & rows[metric].notna()]
    sets = mine.groupby("student")["dataset"].agg(lambda names: " ".join(sorted(map(repr, names))))
    line = line.assign(on=line["student"].map(sets))
    return line.drop_duplicates(["on", metric]) if name in TEACHERS else line


def _size_points(axes: "Axes", line: "pd.DataFrame", metric: str, cost: str, name: str, look: Look) -> None:
    for at, (_, group) in enumerate(line.groupby("on", sort=False)):
        axes.errorbar(
            group[cost],
            group[metric],
            yerr=group[f"{metric}_std"].fillna(0) if name not in TEACHERS else None,
            color=look.colour,
            marker=look.marker,
            linestyle=look.line if name not in TEACHERS else "",
            markersize=9 if name in TEACHERS else 5,
            linewidth=1.2,
            elinewidth=0.8,
            label=wrapped(look.label, sheet().signs(0.4)) if at == 0 else None,
        )


def _name_sizes(axes: "Axes", means: "pd.DataFrame", cost: str, view: View) -> None:
    """Write above the axes which student costs how much; those that cost about the same share a label."""
    students = means[~means["method"].isin(TEACHERS)].dropna(subset=cost)
    sizes = students.drop_duplicates(["student", cost]).sort_values(cost)
    labels: list[tuple[float, list[str]]] = []
    for name, size in zip(sizes["student"], sizes[cost], strict=True):
        if labels and size < CLOSE * labels[-1][0]:
            labels[-1][1].append(view.name(name))
        else:
            labels.append((size, [view.name(name)]))
    for size, names in labels:
        axes.annotate(
            wrapped(", ".join(dict.fromkeys(names)), 30),
            (size, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            rotation=40,
            ha="left",
            va="bottom",
            rotation_mode="anchor",
            fontsize=sheet().small,
        )


def against_noise(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw agreement and KL against the signal-to-noise ratio, with bands of one deviation over seeds.

    Args:
        runs: chosen runs of one pair, with columns ``test.agreement_snr<dB>`` where noise was evaluated.
        palette: the methods' looks.
        title: above the panels.

    Returns:
        None where no run was evaluated under noise.
    """
    measured = {name: _ratios(runs.columns, name) for name in ("agreement", "kl")}
    measured = {name: ratios for name, ratios in measured.items() if len(ratios) > 1}
    if not measured:
        return None
    variants = [name for name in palette if name in set(runs["variant"])]
    wide = sheet().abreast > 2
    below, abreast = (1, len(measured)) if wide else (len(measured), 1)
    height = (3.0 if wide else 2.0) * below + 0.2 * -(-len(variants) // sheet().abreast)
    figure = new_figure(title, height)
    panels = figure.subplots(below, abreast, squeeze=False).ravel().tolist()
    for axes, (metric, ratios) in zip(panels, measured.items(), strict=True):
        _noise_panel(axes, runs, metric, ratios, {name: palette[name] for name in variants})
    legend_below(figure, panels)
    return figure


def _noise_panel(
    axes: "Axes", runs: "pd.DataFrame", metric: str, ratios: Sequence[float], palette: Palette
) -> None:
    import numpy as np

    for name, look in palette.items():
        mine = runs[runs["variant"] == name]
        found = [over_seeds_and_sets(mine, f"test.{metric}_snr{ratio:g}") for ratio in ratios]
        middle = np.array([mean for mean, _ in found])
        spread = np.nan_to_num([deviation for _, deviation in found])
        axes.plot(
            ratios,
            middle,
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            markersize=4,
            linewidth=1.2,
            label=wrapped(look.label, sheet().signs(0.4)),
        )
        axes.fill_between(
            ratios, middle - spread, middle + spread, color=look.colour, alpha=0.15, linewidth=0
        )
    axes.set(xlabel="signal-to-noise ratio (dB)", ylabel=metric_of(metric).title)
    axes.grid(visible=True)


def _ratios(columns: Sequence[str], metric: str) -> list[float]:
    found = (re.fullmatch(rf"test\.{metric}_snr(-?\d+(?:\.\d+)?)", name) for name in columns)
    return sorted(float(match[1]) for match in found if match)
