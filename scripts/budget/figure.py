"""The figure: quality against M, and the differences to the full M."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from budget.bounds import loss_bounds
from budget.points import BOUND, BUDGETS, DATASETS, FULL, METRICS, NAME
from budget.runs import of_set, scores
from tsdistill.report.figures.style import COLOURS, MARKERS, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(runs: pd.DataFrame) -> "Figure":
    """Quality against M by set, and the paired differences to the full M with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=False):
        _quality(axes, runs, metric)
        axes.set(title=f"{title} (mean over seeds)")
    _differences(panels[2], runs)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
        axes.minorticks_off()
        axes.set(xlabel="M")
        axes.grid(visible=True, axis="y")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)
    handles, labels = panels[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=1)
    return figure


def _quality(axes: "Axes", runs: pd.DataFrame, metric: str) -> None:
    at = {budget: scores(runs, perturbations=budget) for budget in BUDGETS}
    for i, dataset in enumerate(DATASETS):
        means = [of_set(at[budget], dataset)[metric].mean() for budget in BUDGETS]
        axes.plot(
            BUDGETS, means, color=COLOURS[i], marker=MARKERS[i], markersize=4, linewidth=1, label=dataset
        )
    means = [at[budget][metric].mean() for budget in BUDGETS]
    axes.plot(BUDGETS, means, color="black", marker="*", markersize=8, linewidth=2, label="mean of all runs")


def _differences(axes: "Axes", runs: pd.DataFrame) -> None:
    bounds = loss_bounds(runs)
    for i, (metric, title) in enumerate(METRICS.items()):
        found = [bounds[budget][metric] for budget in bounds]
        axes.errorbar(
            [budget * (0.96, 1.04)[i] for budget in bounds],  # side by side
            [one.mean for one in found],
            yerr=[[one.mean - one.low for one in found], [one.high - one.mean for one in found]],
            color=COLOURS[4 + i],
            marker=MARKERS[4 + i],
            markersize=4,
            linestyle="none",
            capsize=3,
            label=f"{title}, 95 % interval",
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axhline(BOUND, color="black", linewidth=0.8, linestyle="--", label=f"bound, {BOUND:g}")
    axes.set(title=f"difference to M = {FULL}", xlim=(3.4, 58))


def save(figure: "Figure", docs: Path) -> None:
    """Save as vectors for the document and as pixels for a look; undated, so that bytes repeat."""
    figure.savefig(docs / f"{NAME}.svg", metadata={"Date": None})
    figure.savefig(docs / f"{NAME}.png", dpi=160, metadata={"Software": None})
