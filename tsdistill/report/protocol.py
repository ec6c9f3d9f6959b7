"""How a report's numbers came about, in sentences and tables."""

import json
from collections import Counter
from typing import TYPE_CHECKING

from tsdistill.report.aggregate import RESEEDED
from tsdistill.report.assemble import NOT_SELECTED, ONE_SETTING
from tsdistill.report.cells import Cell, Table
from tsdistill.report.tables import plural

if TYPE_CHECKING:
    from tsdistill.report.assemble import Report


def protocol(report: "Report") -> list[str]:
    """Say what was read, how trials were chosen, and what the figures in the tables are."""
    ok = report.runs[report.runs["status"] == "ok"]
    seeds = ", ".join(str(seed) for seed in sorted(report.runs["seed"].unique()))
    datasets, variants = ok["dataset"].nunique(), ok["variant"].nunique()
    lines = [
        f"{plural(len(ok), 'finished run')}, {plural(len(report.runs) - len(ok), 'failed run')}: "
        f"{plural(datasets, 'data set')}, {plural(variants, 'row')} of methods and settings, seeds {seeds}.",
        _selection(report),
        *_calibration(report),
        "Metrics are measured on the test part, each class against the rest. A value is the mean over seeds, "
        "followed by the standard deviation (n - 1). For a mean over data sets, the deviation is that of "
        "this mean over seeds. KL is the divergence of the student from its teacher at temperature 1, in "
        "nats; lower is better.",
        _agreement(report),
        "Methods are compared with the reference by two-sided Wilcoxon signed-rank tests on means over "
        "seeds, with Holm's correction over these comparisons.",
        "A mean that lacks data sets or contains a collapsed run is marked and is never shown as best or "
        "second best.",
    ]
    if report.filters:
        shown = " ".join(f"{key}={value}" for key, value in report.filters.items())
        lines.insert(1, f"Only part of the stored runs is reported: {shown}.")
    if outdated := int(report.selection.choices["outdated"].sum()):
        lines.insert(
            1,
            f"Finished runs left out: {outdated}. Later runs have the same settings but different code or "
            "data. Delete the old runs, or distil into another folder.",
        )
    lines += _of_each_seed(report)
    without = sorted(set(report.rows.loc[report.rows["no_validation"], "dataset"]))
    if without:
        lines.append("No validation part, so default settings were used: " + ", ".join(without) + ".")
    return lines


def _calibration(report: "Report") -> list[str]:
    """What students' logits were fitted to; nothing where none was."""
    column = "setting.calibration.target"
    chosen = report.selection.runs
    if column not in chosen:
        return []
    counts = Counter(chosen[column].dropna())
    told = {
        "labels": "fitted to the labels",
        "teacher": "fitted to the teacher's probabilities",
        "none": "left as trained",
    }
    if not set(counts) - {"none"}:
        return []
    if len(counts) == 1:
        return [
            "After training, the scale and biases of every student's logits were "
            f"{told[counts.popitem()[0]]} on the clean training part."
        ]
    listed = ", ".join(f"{told[target]} in {plural(n, 'run')}" for target, n in sorted(counts.items()))
    return [f"After training, the scale and biases of the students' logits were {listed}: compare with care."]


def _of_each_seed(report: "Report") -> list[str]:
    """What follows the run's own seed, beside its start and its batches."""
    chosen = report.selection.runs
    split = chosen.get("setting.split.seed")
    if split is None or chosen["seed"].nunique() < 2 or not (split == chosen["seed"]).all():
        return []
    own = chosen.groupby(["dataset", "teacher"])["teacher_id"].nunique().max() > 1
    what = "a validation split and a teacher" if own else "a validation split"
    return [f"Each seed has {what} of its own, so deviations over seeds include theirs."]


def _agreement(report: "Report") -> str:
    told = "Agreement and KL follow accuracy: compare them with those of the plain student (none)"
    if (report.means["method"] == RESEEDED).any():
        return f"{told} and of the same teacher trained from other seeds ({RESEEDED})."
    return (
        f"{told}. The same teacher trained from other seeds gives a second yardstick: run `tsdistill "
        "train-teacher teacher.seeds=[1,2]` with these settings, then `tsdistill evaluate`."
    )


def _selection(report: "Report") -> str:
    """How settings were selected; pairs that differ in it are named."""
    told: dict[str, list[str]] = {}
    for pair, label in report.labels.items():
        told.setdefault(label, []).append(report.view.pair(pair))
    sentences = [
        _explained(label, report) + (f" ({', '.join(pairs)})" if len(told) > 1 else "") + "."
        for label, pairs in told.items()
    ]
    return " ".join(sentences)


def _explained(label: str, report: "Report") -> str:
    if label == ONE_SETTING:
        return "Each method has one setting, so none was selected"
    if label == NOT_SELECTED:
        why = (
            "tune=never was set"
            if report.options.tune == "never"
            else "Methods have unequal numbers of settings"
        )
        return f"{why}, so none was selected: each method's default is shown, the other settings separately"
    part = (
        "the test part, which favours methods with many settings"
        if report.options.select == "test"
        else "validation"
    )
    return (
        f"Settings: {label}. On each data set the setting with the best mean "
        f"{report.view.title(report.decided)} over seeds on {part} was selected; ties went to the lower "
        "negative log-likelihood, then to the default"
    )


def environments(report: "Report") -> Table:
    """In what environments the chosen runs were made, the most frequent first."""
    counts: Counter[str] = Counter()
    for facts in report.selection.runs["environment"]:
        if facts:
            counts[json.dumps(facts, sort_keys=True)] += 1
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    found = [(json.loads(text), count) for text, count in ordered]
    keys = sorted({key for facts, _ in found for key in facts})
    rows = [[Cell(text=key), *[Cell(text=_text(facts.get(key))) for facts, _ in found]] for key in keys]
    columns = ("what", *(f"{count} run{'s' if count != 1 else ''}" for _, count in found))
    return Table("environment", "Environment of the chosen runs", columns, rows)


def chosen_runs(report: "Report") -> Table:
    """Each run that a figure in the tables is made of."""
    names, view = ("dataset", "teacher", "student"), report.view
    metrics = [name for name in view.metrics if f"test.{name}" in report.selection.runs]
    rows = [
        [
            *[Cell(text=view.name(run[name])) for name in names],
            Cell(text=view.row(run["variant"])),
            *[Cell(mean=run[name], digits=0) for name in ("trial", "seed")],
            *[_metric(run[f"test.{name}"], view.decimals) for name in metrics],
            Cell(text=", ".join(run["flags"])),
            Cell(text=str(run["id"])),
        ]
        for run in report.selection.runs.to_dict("records")
    ]
    titles = map(view.title, metrics)
    columns = ("data set", "teacher", "student", "method", "trial", "seed", *titles, "flags", "id")
    return Table("runs", f"Runs behind the tables, {report.label}", columns, rows)


def _metric(value: float, digits: int) -> Cell:
    return Cell(mean=value, digits=digits) if value == value else Cell(text="undefined")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
