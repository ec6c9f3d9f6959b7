"""The report: from the stored runs to files and the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from tsdistill.report.tables import Table

LABELS = {"validation": "selected on validation", "test": "selected on TEST"}


@dataclass(frozen=True)
class ReportResult:
    """What a report was made of and where it lies.

    Attributes:
        folder: where the files are.
        files: what was written, sorted.
        runs: finished runs read.
        failed: failed runs read.
        notes: what the user should know (formats left out, and why).
    """

    folder: Path
    files: tuple[Path, ...]
    runs: int
    failed: int
    notes: tuple[str, ...]


def write_report(
    out: Path,
    select: Literal["validation", "test"] = "validation",
    filters: Mapping[str, str | Sequence[str]] | None = None,
    console: "Console | None" = None,
) -> ReportResult:
    """Gather all stored runs, choose trials, and write and print the tables.

    The files depend on the records alone: the same records give the same bytes.

    Args:
        out: the folder that ``distill`` wrote into.
        select: what trials of a grid are chosen by; ``"test"`` is labelled in every table.
        filters: names to keep for dataset, method, teacher or student: a sequence, or split at commas.
        console: where to print; nothing is printed without one.

    Returns:
        What was written. The folder is ``out/report``, or ``out/report_test`` for ``select="test"``.

    Raises:
        TsdistillError: no records, a filter that matches nothing, or no finished run at all.
    """
    from tsdistill.errors import TsdistillError
    from tsdistill.report.aggregate import by_dataset, over_datasets
    from tsdistill.report.records import load_runs
    from tsdistill.report.selection import select_trials
    from tsdistill.report.tables import failures_table

    runs = load_runs(out, filters or {})
    finished = int((runs["status"] == "ok").sum())
    if not finished:
        error = runs["error"].iloc[0]
        raise TsdistillError(
            f"all {len(runs)} stored runs failed, nothing to report; the first said: {error}"
        )
    selection = select_trials(runs, select)
    rows = by_dataset(selection)
    means = over_datasets(rows, selection)
    shown, filed = _tables(rows, means, LABELS[select])
    failures = failures_table(runs)
    if failures.rows:
        filed.append(failures)
    folder = out / ("report" if select == "validation" else "report_test")
    folder.mkdir(parents=True, exist_ok=True)
    files = _write_frames(folder, runs, selection.runs, rows, means)
    files += _write_texts(folder, filed, LABELS[select])
    if console is not None:
        _print(console, [*shown, *([_beginning(failures)] if failures.rows else [])], folder)
    return ReportResult(folder, tuple(sorted(files)), finished, len(runs) - finished, ())


def _tables(rows: "pd.DataFrame", means: "pd.DataFrame", label: str) -> tuple[list["Table"], list["Table"]]:
    from tsdistill.report.aggregate import METRICS
    from tsdistill.report.tables import choices_table, counts_table, metric_table, pairs_of, summary_table

    shown: list[Table] = []
    filed: list[Table] = []
    for pair in pairs_of(rows):
        here = rows[(rows["teacher"] == pair[0]) & (rows["student"] == pair[1])]
        metrics = [metric_table(rows, means, pair, metric, label) for metric in METRICS]
        summary = summary_table(means, pair, here["dataset"].nunique(), label)
        counts = counts_table(means, pair, label)
        shown += [metrics[0], summary, counts]
        filed += [summary, *metrics, counts]
    return shown, [*filed, choices_table(rows, label)]


def _write_frames(
    folder: Path, runs: "pd.DataFrame", chosen: "pd.DataFrame", rows: "pd.DataFrame", means: "pd.DataFrame"
) -> list[Path]:
    apart = ["folder", *[name for name in runs.columns if name.startswith("timing.")]]
    tidy = runs.drop(columns=apart).assign(
        flags=runs["flags"].map(";".join), chosen=runs["id"].isin(chosen["id"])
    )
    files = []
    for name, frame in (("runs", tidy), ("table", rows), ("summary", means)):
        files.append(folder / f"{name}.csv")
        frame.to_csv(files[-1], index=False, lineterminator="\n")
    return files


def _write_texts(folder: Path, tables: Sequence["Table"], label: str) -> list[Path]:
    from tsdistill.report.render import to_latex, to_markdown

    markdown, latex = folder / "report.md", folder / "tables.tex"
    markdown.write_text(f"# Report, {label}\n\n" + "\n".join(to_markdown(table) for table in tables))
    latex.write_text("% needs \\usepackage{booktabs}\n\n" + "\n".join(to_latex(table) for table in tables))
    return [markdown, latex]


def _beginning(table: "Table", lines: int = 10) -> "Table":
    left = len(table.rows) - lines
    if left <= 0:
        return table
    return replace(table, rows=table.rows[:lines], notes=(*table.notes, f"and {left} more: see report.md"))


def _print(console: "Console", tables: Sequence["Table"], folder: Path) -> None:
    from rich.text import Text

    from tsdistill.report.render import to_terminal

    for table in tables:
        to_terminal(table, console)
    console.print(Text(f"written to {folder}"))
