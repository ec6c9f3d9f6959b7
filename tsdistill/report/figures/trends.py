"""Quality against size and against noise."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import METRICS, TEACHERS
from tsdistill.report.figures.style import WIDTH, Palette, logarithmic, wrapped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def against_parameters(means: "pd.DataFrame", teacher: str, palette: Palette, title: str) -> "Figure | None":
    """Draw average precision and agreement against the number of parameters, on a log axis.

    Args:
        means: ``over_datasets``'s frame.
        teacher: the teacher whose students are shown, each method a line over their sizes.
        palette: the methods' looks.
        title: above the panels.

    Returns:
        None where no record tells its parameters.
    """
    from matplotlib.figure import Figure

    here = means[means["teacher"] == teacher]
    if "cost.parameters" not in here or here["cost.parameters"].isna().all():
        return None
    variants = [name for name in palette if name in set(here["variant"])]
    figure = Figure(figsize=(WIDTH, 3.1 + 0.2 * -(-len(variants) // 3)), layout="constrained")
    figure.suptitle(title, fontsize=9)
    panels = figure.subplots(1, 2, sharex=True)
    aside = 1.0 if len(set(here["student"])) > 1 else 1.06  # methods of one size do not hide one another
    for axes, metric in zip(panels, ("average_precision", "agreement"), strict=True):
        for at, name in enumerate(variants):
            line = here[here["variant"] == name].sort_values("cost.parameters")
            if name in TEACHERS:
                line = line.iloc[:1]
            if metric not in line or line[metric].isna().all():
                continue
            look = palette[name]
            axes.errorbar(
                line["cost.parameters"] * aside ** (at - len(variants) / 2),
                line[metric],
                yerr=line[f"{metric}_std"].fillna(0) if name not in TEACHERS else None,
                color=look.colour,
                marker=look.marker,
                linestyle=look.line,
                markersize=9 if name in TEACHERS else 5,
                linewidth=1.2,
                elinewidth=0.8,
                label=wrapped(look.label, 36),
            )
        axes.set(
            xlabel="parameters" if aside == 1.0 else "parameters (side by side)", ylabel=METRICS[metric].title
        )
        logarithmic(axes, "x")
        axes.grid(visible=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def against_noise(runs: "pd.DataFrame", palette: Palette, title: str) -> "Figure | None":
    """Draw agreement and KL against the signal-to-noise ratio, with bands of one deviation over seeds.

    Args:
        runs: chosen runs of one pair, with columns ``test.agreement_snr<dB>`` where noise was evaluated.
        palette: the methods' looks.
        title: above the panels.

    Returns:
        None where no run was evaluated under noise.
    """
    from matplotlib.figure import Figure

    measured = {name: _ratios(runs.columns, name) for name in ("agreement", "kl")}
    measured = {name: ratios for name, ratios in measured.items() if len(ratios) > 1}
    if not measured:
        return None
    variants = [name for name in palette if name in set(runs["variant"])]
    figure = Figure(figsize=(WIDTH, 3.0 + 0.2 * -(-len(variants) // 3)), layout="constrained")
    figure.suptitle(title, fontsize=9)
    panels = figure.subplots(1, len(measured), squeeze=False)[0]
    for axes, (metric, ratios) in zip(panels, measured.items(), strict=True):
        _noise_panel(axes, runs, metric, ratios, {name: palette[name] for name in variants})
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _noise_panel(
    axes: "Axes", runs: "pd.DataFrame", metric: str, ratios: Sequence[float], palette: Palette
) -> None:
    for name, look in palette.items():
        columns = [f"test.{metric}_snr{ratio:g}" for ratio in ratios]
        by_seed = runs[runs["variant"] == name].groupby("seed")[columns].mean()
        middle, spread = by_seed.mean().to_numpy(), by_seed.std(ddof=1).fillna(0).to_numpy()
        axes.plot(
            ratios,
            middle,
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            markersize=4,
            linewidth=1.2,
            label=wrapped(look.label, 36),
        )
        axes.fill_between(
            ratios, middle - spread, middle + spread, color=look.colour, alpha=0.15, linewidth=0
        )
    axes.set(xlabel="signal-to-noise ratio (dB)", ylabel=METRICS[metric].title)
    axes.grid(visible=True)


def _ratios(columns: Sequence[str], metric: str) -> list[float]:
    found = (re.fullmatch(rf"test\.{metric}_snr(-?\d+(?:\.\d+)?)", name) for name in columns)
    return sorted(float(match[1]) for match in found if match)
