"""How a report's numbers came about, in sentences and tables."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import METRICS, RESEEDED, TEACHERS
from tsdistill.report.tables import Cell, Table

if TYPE_CHECKING:
    from tsdistill.report.assemble import Report


def protocol(report: "Report") -> list[str]:
    """Say what was read, how trials were chosen, and what the figures in the tables are."""
    ok = report.runs[report.runs["status"] == "ok"]
    seeds = ", ".join(str(seed) for seed in sorted(report.runs["seed"].unique()))
    datasets, variants = ok["dataset"].nunique(), ok["variant"].nunique()
    lines = [
        f"{len(ok)} finished and {len(report.runs) - len(ok)} failed runs: {datasets} data sets, "
        f"{variants} methods (a method with other settings is another method), seeds {seeds}.",
        _selection(report),
        "Metrics are those of the test part, each class against the rest. A figure is the mean over seeds, "
        "with the standard deviation (n - 1) after it; a mean over data sets has the deviation over seeds of "
        "that mean. KL is that of the student from its teacher at temperature 1, in nats: lower is better.",
        _agreement(report),
        "Methods are compared by the two-sided Wilcoxon signed-rank test on means over seeds, with Holm's "
        "step-down over all methods against the reference.",
    ]
    if report.filters:
        shown = " ".join(f"{key}={value}" for key, value in report.filters.items())
        lines.insert(1, f"Only part of the stored runs is shown: {shown}.")
    if outdated := int(report.selection.choices["outdated"].sum()):
        lines.insert(
            1,
            f"Finished runs left out: {outdated}. Later runs have their settings, but other code or data: "
            "delete them, or distil into another folder.",
        )
    without = sorted(set(report.rows.loc[report.rows["no_validation"], "dataset"]))
    if without:
        lines.append("No validation part, so default settings: " + ", ".join(without) + ".")
    return lines


def _agreement(report: "Report") -> str:
    told = "Agreement and KL go with accuracy: read them beside the plain student's (none)"
    if (report.means["method"] == RESEEDED).any():
        return f"{told} and beside those of the same teacher from other seeds ({RESEEDED})."
    return (
        f"{told}. The same teacher from other seeds would be another yardstick: `tsdistill train-teacher "
        "teacher.seeds=[1,2]` with these settings, then `tsdistill evaluate`."
    )


def _selection(report: "Report") -> str:
    methods = report.means[~report.means["method"].isin(TEACHERS)]
    low, high = int(methods["trials_min"].min()), int(methods["trials_max"].max())
    if high == 1:
        return "One trial a method: no settings were chosen."
    trials = f"{high} trials" if low == high else f"{low} to {high} trials (unequal: compare with care)"
    part = (
        "the test part, which flatters every method that has a grid" if report.by == "test" else "validation"
    )
    return (
        f"{trials} a method. On each data set the trial with the highest mean AP over seeds on {part} was "
        "chosen; ties went to the lower negative log-likelihood, then to the default."
    )


def environments(report: "Report") -> Table:
    """In what environments the chosen runs were made, the most frequent first."""
    counts: Counter[str] = Counter()
    for folder in report.selection.runs["folder"]:
        path = Path(folder) / "environment.json"
        if path.is_file():
            counts[path.read_text(encoding="utf-8")] += 1
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    found = [(json.loads(text), count) for text, count in ordered]
    keys = sorted({key for facts, _ in found for key in facts})
    rows = [[Cell(text=key), *[Cell(text=_text(facts.get(key))) for facts, _ in found]] for key in keys]
    columns = ("what", *(f"{count} run{'s' if count != 1 else ''}" for _, count in found))
    return Table("environment", "Environment of the chosen runs", columns, rows)


def chosen_runs(report: "Report") -> Table:
    """Each run that a figure in the tables is made of."""
    names = ("dataset", "teacher", "student", "variant")
    metrics = [name for name in METRICS if f"test.{name}" in report.selection.runs]
    rows = [
        [
            *[Cell(text=str(run[name])) for name in names],
            *[Cell(mean=run[name], digits=0) for name in ("trial", "seed")],
            *[_metric(run[f"test.{name}"]) for name in metrics],
            Cell(text=", ".join(run["flags"])),
            Cell(text=str(run["id"])),
        ]
        for run in report.selection.runs.to_dict("records")
    ]
    titles = (METRICS[name].title for name in metrics)
    columns = ("data set", "teacher", "student", "method", "trial", "seed", *titles, "flags", "id")
    return Table("runs", f"Runs behind the tables, {report.label}", columns, rows)


def _metric(value: float) -> Cell:
    return Cell(mean=value) if value == value else Cell(text="undefined")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
