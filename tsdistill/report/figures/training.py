"""Learning curves of a data set: the parts of the loss, in training and on validation."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.report.figures.looks import Palette, colours_of_parts
from tsdistill.report.figures.style import legend_below, logarithmic, panel_grid, sheet, wrapped
from tsdistill.store.listing import held_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION = "training", "validation"
LOSS = "loss"
"""The weighted sum of a stage's parts."""
LINES = {TRAIN: "-", VALIDATION: (0, (2, 1.5))}
NO_LOSSES = ("accuracy", "average_precision")
"""What may be recorded on validation and has another scale than the losses."""
_TRAIN = "train/"

Curves = dict[tuple[str, str, str], list[tuple[int, float]]]
"""(stage, part of the loss, where it was measured) to epochs and values."""


def learning_curves(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw the parts of the loss by epoch, a panel a method, a thin line a seed, validation dashed.

    Their weighted sum is drawn too where it has several parts; on validation only where all of them are
    measured there.

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
    parts = sorted({part for seeds in curves.values() for seed in seeds for _, part, _ in seed})
    parts.sort(key=lambda part: part != LOSS)
    colours = colours_of_parts(parts)
    figure, panels = panel_grid(len(curves), title)
    for axes, (name, seeds) in zip(panels, curves.items(), strict=True):
        _curve_panel(axes, seeds, colours)
        axes.set_title(wrapped(palette[name].label, sheet().signs(0.8 / sheet().abreast)))
    if any(where == VALIDATION for seeds in curves.values() for seed in seeds for _, _, where in seed):
        for where, line in LINES.items():
            panels[0].plot([], [], color="#777777", linestyle=line, linewidth=0.9, label=where)
    legend_below(figure, panels, [*parts, *LINES])
    return figure


def _curve_panel(axes: "Axes", seeds: Sequence[Curves], colours: Mapping[str, str]) -> None:
    positive = True
    for at, curves in enumerate(seeds):
        start = _starts(curves)
        for (stage, part, where), points in curves.items():
            values = [value for _, value in points]
            positive = positive and min(values) > 0
            axes.plot(
                [start[stage] + epoch for epoch, _ in points],
                values,
                color=colours[part],
                linestyle=LINES[where],
                linewidth=0.9,
                alpha=0.75,
                label=part if at == 0 and where == TRAIN else None,
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
    for (stage, _, _), points in curves.items():
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
        where = TRAIN if row["name"].startswith(_TRAIN) else VALIDATION
        part = row["name"].removeprefix(_TRAIN)
        if part not in NO_LOSSES:
            curves[row["stage"], part, where].append((int(row["epoch"]), float(row["value"])))
    return {key: points for key, points in curves.items() if key[1] != LOSS or _tells(key, curves)}


def _tells(key: tuple[str, str, str], curves: Curves) -> bool:
    """Whether a sum of losses says more than its parts, and is of the same parts as the training's.

    On validation only some terms can be measured, such as the cross-entropy of a student of TSD.
    """
    stage, _, where = key
    parts = {place: {p for s, p, w in curves if (s, w) == (stage, place)} for place in (TRAIN, VALIDATION)}
    repeated = any(curves[stage, part, where] == curves[key] for part in parts[where] - {LOSS})
    return not repeated and (where == TRAIN or parts[VALIDATION] == parts[TRAIN])
