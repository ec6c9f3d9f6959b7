"""The report: from the stored runs to files and the terminal."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdistill.errors import TsdistillError
from tsdistill.report.frame import of_one_type, write_csv
from tsdistill.report.names import file_name
from tsdistill.store.artefact import cannot_write
from tsdistill.store.temporary import owned, remove, sweep

if TYPE_CHECKING:
    from rich.console import Console

    from tsdistill.report.assemble import Report
    from tsdistill.report.cells import Table
    from tsdistill.report.made import Digests
    from tsdistill.report.options import Options

FAILURES_SHOWN = 10
LONGEST_NAME = 80
FIGURES, TABLES = "figures", "tables"
"""Folders of a report that are replaced whole."""
KEPT_FIGURES = "figures/ holds the figures of an earlier report: figures=false draws none and keeps them"


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
    outs: Path | Sequence[Path],
    options: "Options | None" = None,
    console: "Console | None" = None,
    *,
    to: Path | None = None,
    again: Path | None = None,
) -> ReportResult:
    """Gather all stored runs, choose trials, and write and print tables, statistics and figures.

    The files depend on the records alone: the same records give the same bytes. ``times.csv`` holds the
    measured training times, which stand nowhere else.

    Args:
        outs: the folder that ``distill`` wrote into, or several.
        options: what the report is about and how it tells it.
        console: where to print; nothing is printed without one.
        to: the folder to write into; None for ``out/report`` (``out/report_test`` for ``select="test"``), or,
            where the options leave runs out, a folder below it that is named after the filters.
        again: the folder of an earlier report: the same records and options are used, in place of ``outs``
            and ``options``, and the files are the same; ``to`` defaults to this folder.

    Returns:
        What was written.

    Raises:
        TsdistillError: no records, an option that names nothing, no finished run at all, several folders
            and no ``to``, or a record of the report made again that is gone or has changed.
    """
    from tsdistill.report.options import Options

    outs = [outs] if isinstance(outs, Path) else list(outs)
    options = options or Options()
    if again is not None:
        from tsdistill.report.made import check_published_unchanged, read_made

        earlier = read_made(again)
        check_published_unchanged(earlier)
        outs, options, to = earlier.outs, earlier.options, to or again
    if to is None and len(outs) > 1:
        raise TsdistillError("a report of several folders needs one of its own: name it with to=FOLDER")
    full = outs[0] / ("report" if options.select == "validation" else "report_test")
    folder = to or (full / folder_name(options.narrowed) if options.narrowed else full)
    place = _Place(folder, full, not options.kinds and (folder / FIGURES).is_dir())
    if again is not None:
        return _made(outs, options, place, earlier.digests).told(console, place)
    asked = _asked(options, place)
    outcome = _recalled(outs, asked, place)
    if outcome is None:
        outcome = _made(outs, options, place, None)
        _remember(outs, asked, place, outcome)
    return outcome.told(console, place)


@dataclass(frozen=True)
class _Place:
    """Where a report goes: its folder, that of the full report, and whether it keeps earlier figures."""

    folder: Path
    full: Path
    kept: bool

    @property
    def is_part(self) -> bool:
        """Whether a full report lies elsewhere and stays as it is."""
        return self.folder != self.full and self.full.is_dir()


@dataclass(frozen=True)
class _Outcome:
    """What a report printed and wrote.

    Attributes:
        shown: tables for the terminal.
        notes: what the user should know.
        written: files, below the report's folder.
        runs, failed: how many.
        marks: of the listings that it was made from.
        older: how many records of each folder are left out as an older version's.
    """

    shown: Sequence["Table"]
    notes: Sequence[str]
    written: Sequence[Path]
    runs: int
    failed: int
    marks: Sequence[str]
    older: Sequence[int]

    def told(self, console: "Console | None", place: _Place) -> ReportResult:
        """Print it, if there is a console."""
        notes = [*self.notes]
        if console is not None:
            notes += [f"the full report in {place.full} was not changed"] if place.is_part else []
            _print(console, self.shown, place.folder, notes)
        files = tuple(sorted(place.folder / path for path in self.written))
        return ReportResult(place.folder, files, self.runs, self.failed, tuple(notes))


def _asked(options: "Options", place: _Place) -> dict[str, Any]:
    """All that a report depends on but the records."""
    published = None if options.published is None else Path(options.published)
    found = published is not None and published.is_file()
    digest = hashlib.sha256(published.read_bytes()).hexdigest() if found and published is not None else None
    told = {"command": "report", "folder": str(place.folder), "kept": place.kept, "published": digest}
    return {**told, "options": asdict(options)}


def _whole(place: _Place) -> Sequence[str]:
    return [TABLES] if place.kept else [TABLES, FIGURES]


def _recalled(outs: Sequence[Path], asked: Mapping[str, Any], place: _Place) -> _Outcome | None:
    """The outcome of the same report, if neither records nor its files have changed since."""
    from tsdistill.report.outcome import are_untouched, tables_of
    from tsdistill.store.listing import tell_older
    from tsdistill.store.outcomes import recall

    found = recall(outs, asked)
    if found is None:
        return None
    written = [Path(path) for path in found["written"]]
    if not are_untouched(place.folder, found["stamps"], written, _whole(place)):
        return None
    for older in found["older"]:
        tell_older(older)
    counts = (found["runs"], found["failed"], (), found["older"])
    return _Outcome(tables_of(found["shown"]), found["notes"], written, *counts)


def _remember(outs: Sequence[Path], asked: Mapping[str, Any], place: _Place, outcome: _Outcome) -> None:
    from tsdistill.report.outcome import stamps_in, told_tables
    from tsdistill.store.outcomes import remember

    shown = told_tables(outcome.shown)
    if shown is None:
        return
    with suppress(OSError):  # another process may be writing the same report
        stamps = stamps_in(place.folder, outcome.written, _whole(place))
        written = [path.as_posix() for path in outcome.written]
        told: dict[str, Any] = {"shown": shown, "notes": outcome.notes, "written": written, "stamps": stamps}
        told |= {"runs": outcome.runs, "failed": outcome.failed, "older": outcome.older}
        remember(outs, asked, outcome.marks, told)


def _made(outs: Sequence[Path], options: "Options", place: _Place, only: "Digests | None") -> _Outcome:
    """Make a report and write its files."""
    from tsdistill.report.assemble import assemble
    from tsdistill.report.figures.draw import draw_all, not_drawn
    from tsdistill.report.html import to_html
    from tsdistill.report.made import FILE, made_from

    report = assemble(outs, options, only)
    kept = place.kept
    with _written_whole(place.folder, keep_figures=kept) as new:
        notes = [*_write_frames(new, report), *([KEPT_FIGURES] if kept else [])]
        _write_texts(new, report)
        (new / FILE).write_text(made_from(outs, options, report.runs), encoding="utf-8")
        drawn = draw_all(report, new / FIGURES)
        notes += not_drawn(report, drawn)
        (new / "report.html").write_text(
            to_html(report, drawn, KEPT_FIGURES if kept else ""), encoding="utf-8"
        )
        written = [path.relative_to(new) for path in new.rglob("*") if path.is_file()]
    finished = int((report.runs["status"] == "ok").sum())
    shown = [*report.shown, *([_beginning(report.failures)] if report.failures.rows else [])]
    counts = (finished, len(report.runs) - finished)
    marks, older = [each.mark for each in report.listings], [each.older for each in report.listings]
    return _Outcome(shown, notes, written, *counts, marks, older)


def folder_name(filters: Mapping[str, str | Sequence[str]]) -> str:
    """A folder's name for a filtered report, such as ``method=kd,tsd``.

    Args:
        filters: what the report was narrowed to; texts are split at commas but for ``where``.

    Returns:
        Letters, digits and ``=,._+-`` only; a hash follows where the filters hold anything else or are long.
    """
    parts = []
    for key, wanted in filters.items():
        names = wanted.split(",") if isinstance(wanted, str) and key != "where" else wanted
        shown = names if isinstance(names, str) else ",".join(sorted(name.strip() for name in names))
        parts.append(f"{key}={shown}")
    whole = "+".join(sorted(parts))
    plain = re.sub(r"[^\w=,.+-]+", "-", whole, flags=re.ASCII)[:LONGEST_NAME]
    return plain if plain == whole else f"{plain}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


@contextmanager
def _written_whole(folder: Path, *, keep_figures: bool) -> Iterator[Path]:
    """Yield a fresh folder whose files take the place of those in ``folder`` once all are written.

    Figures and tables of an earlier report go, figures unless they are kept; whatever else lies there stays.
    A disk that is full changes nothing. What a killed report left is removed.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # a folder may be writable and not readable
            sweep(folder.parent)
        with owned(folder) as new:
            new.mkdir()
            try:
                yield new
                _put_in_place(new, folder, keep_figures=keep_figures)
            finally:
                remove(new)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _put_in_place(new: Path, folder: Path, *, keep_figures: bool) -> None:
    kept = set()
    for path in sorted(path for path in new.rglob("*") if path.is_file()):
        place = folder / path.relative_to(new)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
        kept.add(place)
    for name in [TABLES] if keep_figures else [TABLES, FIGURES]:
        for old in set((folder / name).glob("*.*")) - kept:
            old.unlink()
    with suppress(OSError):  # it is not there, or it still holds something
        (folder / FIGURES).rmdir()


def _write_frames(folder: Path, report: "Report") -> list[str]:
    """Write the CSV and Parquet files; returns what the user should know of them."""
    from importlib.util import find_spec

    from tsdistill.report.aggregate import training_times
    from tsdistill.report.sweep import sweep_frame

    runs = report.runs
    times = [name for name in runs.columns if name.startswith("timing.")]
    tidy = runs.drop(columns=["folder", "out", "environment", "sha256", *times]).assign(
        flags=runs["flags"].map(";".join), chosen=runs["id"].isin(report.selection.runs["id"])
    )
    frames = {"runs": tidy, "table": report.rows, "summary": report.means}
    frames["times"] = training_times(report.selection)
    if report.sweeps:
        frames["sweep"] = sweep_frame(report.sweeps)
    for name, frame in frames.items():
        write_csv(frame, folder / f"{name}.csv")
    if find_spec("pyarrow") is None:
        return ["runs.parquet is left out: install tsdistill[parquet]"]
    of_one_type(tidy).to_parquet(folder / "runs.parquet", index=False)
    return []


def _write_texts(folder: Path, report: "Report") -> None:
    """Write Markdown, a LaTeX file for each table, and the statistics."""
    import json

    from tsdistill.report.latex import PREAMBLE, to_latex
    from tsdistill.report.render import to_markdown

    tables = [*report.tables, *([report.failures] if report.failures.rows else [])]
    statistics = [
        {"teacher": pair[0], "student": pair[1], **asdict(each)}
        for pair, found in report.statistics.items()
        for each in found.values()
    ]
    texts = {
        "report.md": _markdown_head(report) + "\n".join(to_markdown(table) for table in tables),
        "statistics.json": json.dumps({"selection": report.label, "statistics": statistics}, indent=1) + "\n",
    }
    taken: set[str] = set()
    for table in report.tables:
        if table.key == "choices":  # an account of runs, no table for a paper
            continue
        name = file_name(table.key, taken)
        taken.add(name)
        texts[f"{TABLES}/{name}.tex"] = f"% needs {PREAMBLE}\n{to_latex(table)}"
    (folder / TABLES).mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _markdown_head(report: "Report") -> str:
    from tsdistill.report.protocol import protocol
    from tsdistill.report.render import markdown_sentence
    from tsdistill.report.summary import summary

    first, rest = (
        "".join(f"- {markdown_sentence(line)}\n" for line in lines)
        for lines in (summary(report), protocol(report))
    )
    return f"# Report, {report.label}\n\n{first}\n## Protocol\n\n{rest}\n"


def _print(console: "Console", tables: Sequence["Table"], folder: Path, notes: Sequence[str]) -> None:
    from rich.text import Text

    from tsdistill.report.render import to_terminal

    for table in tables:
        to_terminal(table, console)
    for note in notes:
        console.print(Text(note, style="dim"))
    console.print(Text(f"written to {folder}"))


def _beginning(table: "Table") -> "Table":
    left = len(table.rows) - FAILURES_SHOWN
    if left <= 0:
        return table
    notes = (*table.notes, f"and {left} more: see report.md")
    return replace(table, rows=table.rows[:FAILURES_SHOWN], notes=notes)
