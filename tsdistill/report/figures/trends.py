"""Quality against size and against noise."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import TEACHERS
from tsdistill.report.figures.looks import Look, Palette
from tsdistill.report.figures.style import WIDTH, logarithmic, wrapped
from tsdistill.report.metrics import metric_of
from tsdistill.report.view import View

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


CLOSE = 1.15
"""Students whose numbers of parameters differ by a smaller factor share a label."""


def against_parameters(
    rows: "pd.DataFrame", means: "pd.DataFrame", teacher: str, palette: Palette, view: View, title: str
) -> "Figure | None":
    """Draw the first driving metric, and the second or agreement, against parameters, on a log axis.

    Every point stands at its own number of parameters and carries its student's name. Lines join the
    students of a method that have results on the same data sets; others are not comparable.

    Args:
        rows: ``by_dataset``'s frame.
        means: ``over_datasets``'s frame.
        teacher: the teacher whose students are shown.
        palette: the methods' looks.
        view: metrics and names.
        title: above the panels.

    Returns:
        None where no record tells its parameters.
    """
    from matplotlib.figure import Figure

    here = means[means["teacher"] == teacher]
    if "cost.parameters" not in here or here["cost.parameters"].isna().all():
        return None
    rows = rows[rows["teacher"] == teacher]
    variants = [name for name in palette if name in set(here["variant"])]
    figure = Figure(figsize=(WIDTH, 3.5 + 0.2 * -(-len(variants) // 3)), layout="constrained")
    figure.suptitle(title, fontsize=9)
    metrics = list(dict.fromkeys((*view.driving, "agreement", *view.metrics)))[:2]
    panels = figure.subplots(1, 2, sharex=True)
    for axes, metric in zip(panels, metrics, strict=True):
        for name in variants:
            _size_points(axes, _with_sets(here, rows, name, metric), metric, name, palette[name])
        axes.set(xlabel="parameters", ylabel=view.title(metric))
        logarithmic(axes, "x")
        axes.grid(visible=True)
        _name_sizes(axes, here, view)
    handles = {
        label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


def _with_sets(means: "pd.DataFrame", rows: "pd.DataFrame", name: str, metric: str) -> "pd.DataFrame":
    """The points of one method, smallest first, with the data sets that each is a mean over."""
    line = means[means["variant"] == name]
    if metric not in line:
        return line.iloc[:0].assign(on=[])
    line = line.dropna(subset=[metric, "cost.parameters"]).sort_values("cost.parameters", kind="stable")
    mine = rows[(rows["variant"] == name) & rows[metric].notna()]
    sets = mine.groupby("student")["dataset"].agg(lambda names: " ".join(sorted(map(repr, names))))
    line = line.assign(on=line["student"].map(sets))
    return line.drop_duplicates(["on", metric]) if name in TEACHERS else line


def _size_points(axes: "Axes", line: "pd.DataFrame", metric: str, name: str, look: Look) -> None:
    for at, (_, group) in enumerate(line.groupby("on", sort=False)):
        axes.errorbar(
            group["cost.parameters"],
            group[metric],
            yerr=group[f"{metric}_std"].fillna(0) if name not in TEACHERS else None,
            color=look.colour,
            marker=look.marker,
            linestyle=look.line if name not in TEACHERS else "",
            markersize=9 if name in TEACHERS else 5,
            linewidth=1.2,
            elinewidth=0.8,
            label=wrapped(look.label, 36) if at == 0 else None,
        )


def _name_sizes(axes: "Axes", means: "pd.DataFrame", view: View) -> None:
    """Write above the axes which student has which number of parameters; close ones share a label."""
    students = means[~means["method"].isin(TEACHERS)].dropna(subset="cost.parameters")
    sizes = students.drop_duplicates(["student", "cost.parameters"]).sort_values("cost.parameters")
    labels: list[tuple[float, list[str]]] = []
    for name, parameters in zip(sizes["student"], sizes["cost.parameters"], strict=True):
        if labels and parameters < CLOSE * labels[-1][0]:
            labels[-1][1].append(view.name(name))
        else:
            labels.append((parameters, [view.name(name)]))
    for parameters, names in labels:
        axes.annotate(
            wrapped(", ".join(dict.fromkeys(names)), 30),
            (parameters, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            rotation=40,
            ha="left",
            va="bottom",
            rotation_mode="anchor",
            fontsize=6.5,
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
    axes.set(xlabel="signal-to-noise ratio (dB)", ylabel=metric_of(metric).title)
    axes.grid(visible=True)


def _ratios(columns: Sequence[str], metric: str) -> list[float]:
    found = (re.fullmatch(rf"test\.{metric}_snr(-?\d+(?:\.\d+)?)", name) for name in columns)
    return sorted(float(match[1]) for match in found if match)
