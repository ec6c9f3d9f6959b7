"""Console output: progress bars on a terminal, plain lines elsewhere."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

from tsdistill.errors import visible

__neutral__ = "what is printed"


class _Visible:
    """Something to print whose texts command no terminal; what rich itself does stays."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in console.render(self._inner, options):
            yield part if part.control else Segment(visible(part.text), part.style)


class _AllVisible(RenderHook):
    """Makes all that a console prints visible."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(each) for each in renderables]


def _console(**settings: Any) -> Console:
    made = Console(highlight=False, **settings)
    made.push_render_hook(_AllVisible())
    return made


console = _console(soft_wrap=True)
if not console.is_terminal:
    console.width = 110  # a pipe has no width of its own; tables need some
PLAIN_INTERVAL = 10.0
"""Seconds between two plain lines of one training run."""


_prefix = ""


@contextmanager
def prefixed(text: str) -> Iterator[None]:
    """Begin every line said in the meantime with ``text``."""
    global _prefix
    before, _prefix = _prefix, text
    try:
        yield
    finally:
        _prefix = before


@contextmanager
def said_on_stderr() -> Iterator[None]:
    """Send what is said in the meantime to standard error: standard output belongs to a program's data."""
    before, console.stderr = console.stderr, True
    try:
        yield
    finally:
        console.stderr = before


@contextmanager
def silenced() -> Iterator[None]:
    """Say nothing in the meantime."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def say(text: str) -> None:
    """Print one line as it is."""
    console.print(escape(visible(_prefix + text)))


@contextmanager
def epochs_shown(title: str, epochs: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Show a training run: a bar with losses and time left on a terminal, a line now and then elsewhere.

    Args:
        title: what is trained.
        epochs: the most epochs it may take.

    Yields:
        A listener for ``tsdistill.training.loop.fit``.
    """
    if not console.is_terminal:
        yield _plain_listener(title, epochs)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("epoch {task.completed}/{task.total}"),
        TextColumn("{task.fields[values]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(_prefix + title), total=epochs, values="")

        def listen(epoch: int, values: Mapping[str, float]) -> None:
            progress.update(task, completed=epoch, values=_spell(values))

        yield listen


def _plain_listener(title: str, epochs: int) -> Callable[[int, Mapping[str, float]], None]:
    last = time.monotonic()

    def listen(epoch: int, values: Mapping[str, float]) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_INTERVAL:
            last = time.monotonic()
            say(f"{title}: epoch {epoch}/{epochs}, {_spell(values)}")

    return listen


@contextmanager
def series_shown(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many series a teacher has answered: a bar on a terminal, a line now and then elsewhere.

    Args:
        title: who is asked what.
        total: number of series.

    Yields:
        To be told how many more are answered.
    """
    if not console.is_terminal:
        yield _plain_counter(title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} series"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(_prefix + title), total=total)
        yield lambda more: progress.update(task, advance=more)


def _plain_counter(title: str, total: int) -> Callable[[int], None]:
    began = last = time.monotonic()
    done = 0

    def count(more: int) -> None:
        nonlocal last, done
        done, now = done + more, time.monotonic()
        if now - last >= PLAIN_INTERVAL and done < total:
            last = now
            left = (now - began) * (total - done) / done
            say(f"{title}: {done:,} of {total:,} series, {left:.0f} s left")

    return count


def _spell(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())


def table_width() -> int:
    """Columns that a table may take: the variable ``COLUMNS``, else the terminal's, else 110."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() and int(columns) else console.width


def print_table(table: Table) -> None:
    """Print a table as wide as ``table_width`` allows."""
    _console(width=table_width()).print(table)


def fold(text: str, width: int) -> str:
    """Break a name or a list into lines of at most ``width``, after spaces and signs, never within a word."""
    lines = [""]
    for piece in re.split(r"(?<=[\s./,=])|(?<=[^\W_][_-])(?=[^\W_])", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def shorten(text: str, width: int) -> str:
    """Fold a text, and replace the middle of a word that is wider still by an ellipsis."""
    return "\n".join(_shortened(line, width) for line in fold(text, width).split("\n"))


def _shortened(word: str, width: int) -> str:
    if len(word) <= width:
        return word
    tail = (width - 1) // 2
    return f"{word[: width - 1 - tail]}…{word[len(word) - tail :]}"


def shares(widths: Sequence[int], room: int, least: int) -> list[int]:
    """Cut the widest columns until all fit.

    Args:
        widths: columns' natural widths.
        room: what they may take together.
        least: no column is cut below this, even where they then don't fit.

    Returns:
        Their widths.
    """
    found = list(widths)
    while sum(found) > room and max(found) > least:
        found[found.index(max(found))] -= 1
    return found
