"""What students and their teacher answered on the test part: reliability and confusion."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import TEACHER
from tsdistill.report.figures.looks import Look, Palette
from tsdistill.report.figures.style import panel_grid, sheet, wrapped
from tsdistill.store.listing import held_file

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_FOR_RELIABILITY = 300
MOST_CLASSES_COUNTED = 6
"""Up to so many classes every field of a confusion matrix holds its count."""

Answers = tuple["np.ndarray", "np.ndarray"]
"""Logits (N, K) and classes (N,)."""


def reliability(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw accuracy against confidence by bin, a panel a method, and the teacher.

    The bins are those of the expected calibration error. Line and bars pool the seeds; the error beside them
    is the mean over seeds, as in the tables.

    Args:
        runs: chosen runs of one pair on one data set, with their ``folder``.
        palette: its methods, in the order of the panels.
        title: above the panels.

    Returns:
        None where no run stored its logits.
    """
    return _panels(
        runs, palette, title, lambda axes, seeds, look: _reliability_panel(axes, seeds, look.colour)
    )


def _panels(
    runs: "pd.DataFrame",
    palette: Palette,
    title: str,
    draw: "Callable[[Axes, list[Answers], Look], None]",
    *,
    square: bool = False,
) -> "Figure | None":
    """A panel for each method that stored logits."""
    found = _answers(runs, palette)
    if not found:
        return None
    figure, panels = panel_grid(len(found), title, square=square)
    for axes, (name, seeds) in zip(panels, found, strict=True):
        draw(axes, seeds, palette[name])
        axes.set_title(wrapped(palette[name].label, sheet().signs(0.8 / sheet().abreast)))
    return figure


def _answers(runs: "pd.DataFrame", palette: Palette) -> list[tuple[str, list[Answers]]]:
    """The stored answers on the test part by method, the teacher's once, in the order of the palette."""
    found: dict[str, list[Answers]] = defaultdict(list)
    for name, folder in zip(runs["variant"], runs["folder"], strict=True):
        logits = _read_logits(Path(folder))
        if "teacher_test" in logits and TEACHER not in found:
            found[TEACHER].append((logits["teacher_test"], logits["y_test"]))
        if "test" in logits:
            found[name].append((logits["test"], logits["y_test"]))
    return [(name, found[name]) for name in palette if name in found]


def _read_logits(folder: Path) -> dict[str, "np.ndarray"]:
    from safetensors.numpy import load

    stored = held_file(folder, "logits.safetensors")
    return {} if stored is None else dict(load(stored))


def _reliability_panel(axes: "Axes", seeds: Sequence[Answers], colour: str) -> None:
    import numpy as np

    from tsdistill.evaluation import performance

    told = [(_softmax(logits), y) for logits, y in seeds]
    p, truth = (np.concatenate(each) for each in zip(*told, strict=True))
    counts, confidence, right = performance.reliability(p, truth)
    bins, held = len(counts), counts > 0
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes.bar(np.arange(bins) / bins, counts / counts.sum(), width=1 / bins, align="edge", color="#DDDDDD")
    middle, accuracy = confidence[held] / counts[held], right[held] / counts[held]
    axes.plot(middle, accuracy, color=colour, marker="o", markersize=3.5, linewidth=1.2)
    gap = np.mean([performance.expected_calibration_error(p, y) for p, y in told])
    axes.text(0.04, 0.96, f"ECE {gap:.3f}", va="top", fontsize=sheet().small, transform=axes.transAxes)
    axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), xlabel="confidence", ylabel="accuracy")
    axes.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))


def _softmax(logits: "np.ndarray") -> "np.ndarray":
    from scipy.special import softmax

    found: np.ndarray = softmax(logits.astype("float64"), axis=1)
    return found


def confusion(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw how often each class was answered for each true class, a panel a method, and the teacher.

    Fields are shaded by the share of their row. Up to six classes have their count in every field, summed
    over seeds.

    Args:
        runs: chosen runs of one pair on one data set, with their ``folder``.
        palette: its methods, in the order of the panels.
        title: above the panels.

    Returns:
        None where no run stored its logits.
    """
    return _panels(
        runs,
        palette,
        title,
        lambda axes, seeds, look: _confusion_panel(axes, confusion_counts(seeds)),
        square=True,
    )


def confusion_counts(seeds: Sequence[Answers]) -> "np.ndarray":
    """Series by true class (down) and answered class (across), summed over seeds, (K, K) int64."""
    import numpy as np

    classes = seeds[0][0].shape[1]
    truth = np.concatenate([y for _, y in seeds])
    answered = np.concatenate([logits.argmax(axis=1) for logits, _ in seeds])
    return np.bincount(truth * classes + answered, minlength=classes**2).reshape(classes, classes)


def _confusion_panel(axes: "Axes", counts: "np.ndarray") -> None:
    import numpy as np

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    classes = len(counts)
    if classes <= MOST_CLASSES_COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=sheet().small)
        axes.set(xticks=range(classes), xticklabels=range(1, classes + 1))
        axes.set(yticks=range(classes), yticklabels=range(1, classes + 1))
    axes.tick_params(length=0)
    axes.set(xlabel="answered class", ylabel="true class")
