"""Single data sets: learning curves by loss part, and reliability."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.report.aggregate import TEACHER
from tsdistill.report.figures.looks import Palette, colours_of_parts
from tsdistill.report.figures.style import WIDTH, logarithmic, wrapped
from tsdistill.store.listing import held_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 15
FEWEST_FOR_RELIABILITY = 300
MOST_PANELS = 12
_TRAIN = "train/"

Curves = dict[tuple[str, str], list[tuple[int, float]]]
"""(stage, part) to epochs and values."""


def learning_curves(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw the parts of the training loss by epoch, a panel a method, a thin line a seed.

    Args:
        runs: chosen runs of one pair on one data set, with their ``folder``.
        palette: its methods, in the order of the panels.
        title: above the panels.

    Returns:
        None where no run has a curve.
    """
    folders = runs.groupby("variant")["folder"].agg(list)
    curves = {
        name: found
        for name in palette
        if (found := [read for folder in folders.get(name, ()) if (read := _read_curve(Path(folder)))])
    }
    if not curves:
        return None
    shown = dict(list(curves.items())[:MOST_PANELS])
    parts = sorted({part for seeds in shown.values() for seed in seeds for _, part in seed})
    parts.sort(key=lambda part: part != "loss")
    colours = colours_of_parts(parts)
    figure, panels = _grid(len(shown), title)
    for axes, (name, seeds) in zip(panels, shown.items(), strict=True):
        _curve_panel(axes, seeds, colours)
        axes.set_title(wrapped(palette[name].label, 34), fontsize=8)
    handles = {
        label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    ordered = [part for part in parts if part in handles]
    figure.legend([handles[part] for part in ordered], ordered, loc="outside lower center", ncols=6)
    return figure


def _curve_panel(axes: "Axes", seeds: Sequence[Curves], colours: Mapping[str, str]) -> None:
    positive = True
    start: dict[str, int] = {}
    for at, curves in enumerate(seeds):
        start = _starts(curves)
        for (stage, part), points in curves.items():
            epochs = [start[stage] + epoch for epoch, _ in points]
            values = [value for _, value in points]
            positive = positive and min(values) > 0
            axes.plot(
                epochs,
                values,
                color=colours[part],
                linestyle="--" if part == "loss" else "-",
                linewidth=0.9,
                alpha=0.75,
                label=part if at == 0 else None,
            )
        for boundary in list(start.values())[1:]:
            axes.axvline(boundary, color="#999999", linewidth=0.8, linestyle=":")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.locator_params(axis="x", integer=True, nbins=4)
    if positive:
        logarithmic(axes, "y")
    axes.grid(visible=True)


def _starts(curves: Curves) -> dict[str, int]:
    """Epoch at which each stage begins: stages follow one another."""
    last: dict[str, int] = {}
    for (stage, _), points in curves.items():
        last[stage] = max(last.get(stage, 0), points[-1][0])
    starts, total = {}, 0
    for stage, epochs in last.items():
        starts[stage] = total
        total += epochs
    return starts


def _read_curve(folder: Path) -> Curves:
    stored = held_file(folder, "curve.csv")
    if stored is None:
        return {}
    curves: Curves = defaultdict(list)
    for row in csv.DictReader(io.StringIO(stored.decode(), newline="")):
        if row["name"].startswith(_TRAIN):
            key = (row["stage"], row["name"].removeprefix(_TRAIN))
            curves[key].append((int(row["epoch"]), float(row["value"])))
    return dict(curves)


def reliability(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw accuracy against confidence in 15 bins, a panel a method, its seeds pooled, and the teacher.

    Args:
        runs: chosen runs of one pair on one data set, with their ``folder``.
        palette: its methods, in the order of the panels.
        title: above the panels.

    Returns:
        None where no run stored its logits.
    """
    found: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for name, folder in zip(runs["variant"], runs["folder"], strict=True):
        logits = _read_logits(Path(folder))
        if "teacher_test" in logits and TEACHER not in found:
            found[TEACHER].append((logits["teacher_test"], logits["y_test"]))
        if "test" in logits:
            found[name].append((logits["test"], logits["y_test"]))
    if not found:
        return None
    shown = [(name, found[name]) for name in palette if name in found][:MOST_PANELS]
    figure, panels = _grid(len(shown), title)
    for axes, (name, seeds) in zip(panels, shown, strict=True):
        _reliability_panel(axes, seeds, palette[name].colour)
        axes.set_title(wrapped(palette[name].label, 34), fontsize=8)
    return figure


def _reliability_panel(axes: "Axes", seeds: Sequence[tuple["np.ndarray", "np.ndarray"]], colour: str) -> None:
    import numpy as np

    confidence = np.concatenate([_softmax(logits).max(axis=1) for logits, _ in seeds])
    right = np.concatenate([logits.argmax(axis=1) == y for logits, y in seeds])
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    held = counts > 0
    accuracy = np.bincount(bins, weights=right, minlength=BINS)[held] / counts[held]
    mean_confidence = np.bincount(bins, weights=confidence, minlength=BINS)[held] / counts[held]
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes.bar(np.arange(BINS) / BINS, counts / counts.sum(), width=1 / BINS, align="edge", color="#DDDDDD")
    axes.plot(mean_confidence, accuracy, color=colour, marker="o", markersize=3.5, linewidth=1.2)
    gap = float((counts[held] / counts.sum() * np.abs(accuracy - mean_confidence)).sum())
    axes.text(0.04, 0.96, f"ECE {gap:.3f}", va="top", fontsize=7.5, transform=axes.transAxes)
    axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), xlabel="confidence", ylabel="accuracy")
    axes.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))


def _softmax(logits: "np.ndarray") -> "np.ndarray":
    from scipy.special import softmax

    found: np.ndarray = softmax(logits.astype("float64"), axis=1)
    return found


def _read_logits(folder: Path) -> dict[str, "np.ndarray"]:
    from safetensors.numpy import load

    stored = held_file(folder, "logits.safetensors")
    return {} if stored is None else dict(load(stored))


def _grid(panels: int, title: str) -> tuple["Figure", list["Axes"]]:
    from matplotlib.figure import Figure

    columns = min(3, panels)
    lines = -(-panels // columns)
    figure = Figure(figsize=(max(WIDTH * columns / 3, 3.4), 1.95 * lines + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=9)
    return figure, [figure.add_subplot(lines, columns, at + 1) for at in range(panels)]
