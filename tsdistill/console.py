"""Console output: progress bars on a terminal, plain lines elsewhere."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

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


@dataclass(frozen=True)
class Said:
    """A line that would have been printed.

    Attributes:
        text: the line.
        once: names what it tells; a sweep shows the first line of each name alone. None if each is shown.
    """

    text: str
    once: str | None = None


@dataclass(frozen=True)
class Shown:
    """How far something is that takes time.

    Attributes:
        title: what it is.
        done: how many steps of it are done.
        total: how many there are at most.
        unit: what is counted, such as ``epoch``.
        values: losses and the like by name; ``train/loss`` is the training's, ``loss`` the validation's.
    """

    title: str
    done: int
    total: int
    unit: str
    values: Mapping[str, float] = field(default_factory=dict)


_listener: Callable[[Said | Shown], None] | None = None


@contextmanager
def told_to(listener: Callable[[Said | Shown], None]) -> Iterator[None]:
    """Hand what would be printed in the meantime to ``listener`` instead: to whoever shows a whole sweep."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def say(text: str, once: str | None = None) -> None:
    """Print one line as it is.

    Args:
        text: the line.
        once: names what it tells, if a sweep is to show it for the first of its runs alone.
    """
    if _listener is not None:
        _listener(Said(visible(_prefix + text), once))
    else:
        console.print(escape(visible(_prefix + text)))


def is_live() -> bool:
    """Whether lines that change may be shown: on a terminal, unless it is dumb or wants no colours."""
    return console.is_terminal and not console.is_dumb_terminal and not console.no_color


@contextmanager
def working(at: str) -> Iterator[None]:
    """Show on a terminal that a command is at something; elsewhere nothing is shown."""
    if not is_live():
        yield
        return
    with console.status(escape(at)):
        yield


@contextmanager
def epochs_shown(title: str, epochs: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Show a training run: a bar with losses and time left on a terminal, a line now and then elsewhere.

    Args:
        title: what is trained.
        epochs: the most epochs it may take.

    Yields:
        A listener for ``tsdistill.training.loop.fit``.
    """
    with _shown(title, epochs, "epoch") as show:
        yield show


@contextmanager
def series_shown(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many series a teacher has answered: a bar on a terminal, a line now and then elsewhere.

    Args:
        title: who is asked what.
        total: number of series.

    Yields:
        To be told how many more are answered.
    """
    done = 0
    with _shown(title, total, "series") as show:

        def count(more: int) -> None:
            nonlocal done
            done += more
            show(done, {})

        yield count


Show = Callable[[int, Mapping[str, float]], None]


@contextmanager
def _shown(title: str, total: int, unit: str) -> Iterator[Show]:
    if _listener is not None:
        yield _forwarder(_listener, _prefix + title, total, unit)
    elif is_live():
        with _bar(_prefix + title, total, unit) as show:
            yield show
    else:
        yield _plain_lines(title, total, unit)


FORWARDED_INTERVAL = 0.2
"""Seconds between two reports of one piece of work to whoever shows the sweep."""


def _forwarder(listener: Callable[[Said | Shown], None], title: str, total: int, unit: str) -> Show:
    last = time.monotonic()
    listener(Shown(title, 0, total, unit))

    def show(done: int, values: Mapping[str, float]) -> None:
        nonlocal last
        if time.monotonic() - last >= FORWARDED_INTERVAL:
            last = time.monotonic()
            listener(Shown(title, done, total, unit, dict(values)))

    return show


class Pace:
    """How fast something goes on after its first steps, before which a kernel may have been compiled."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def left(self, shown: Shown) -> float | None:
        """Seconds that the rest takes; None before there is a pace, and at the end."""
        now = time.monotonic()
        if self._first is None and shown.done:
            self._first = shown.done, now
        if self._first is None or not self._first[0] < shown.done < shown.total:
            return None
        done, at = self._first
        return (now - at) * (shown.total - shown.done) / (shown.done - done)


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Show]:
    pace = Pace()
    shown = Shown(title, 0, total, unit)

    def show(done: int, values: Mapping[str, float]) -> None:
        nonlocal shown
        shown = Shown(title, done, total, unit, values)
        pace.left(shown)

    def line() -> Text:
        return progress_line(shown, pace.left(shown), console.width)

    with Live(get_renderable=line, console=console, transient=True, refresh_per_second=4):
        yield show


def _plain_lines(title: str, total: int, unit: str) -> Show:
    last = time.monotonic()
    pace = Pace()

    def show(done: int, values: Mapping[str, float]) -> None:
        nonlocal last
        left = pace.left(Shown(title, done, total, unit))
        if time.monotonic() - last >= PLAIN_INTERVAL and 0 < done < total:
            last = time.monotonic()
            rest = [] if left is None else [f"{spell_time(left)} left"]
            say(f"{title}: {', '.join([count_of(done, total, unit), *_numbers(values), *rest])}")

    return show


def count_of(done: int, total: int, unit: str) -> str:
    """How far something is, such as ``epoch 3/300``."""
    return f"{unit} {done:,}/{total:,}"


def spell_time(seconds: float) -> str:
    """A duration in the two units that matter, such as ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


LEAST_TITLE = 12
"""Fewest columns that are left to what a line of progress is about."""
BAR = 20
"""Columns of a bar, where there is room for one."""


def progress_line(shown: Shown, left: float | None, width: int) -> Text:
    """A piece of work in one line: what it is, how far, loss, validation and time left.

    Where there is room, a bar and the other values are added; where there is little, the title is shortened.

    Args:
        shown: how far it is.
        left: seconds that the rest takes, see ``Pace``; None if that isn't known.
        width: columns to stay within.
    """
    numbers = _numbers(shown.values)
    parts = [count_of(shown.done, shown.total, shown.unit), *numbers[:2]]
    if left is not None:
        parts.append(f"{spell_time(left)} left")
    room = width - sum(len(part) + 2 for part in parts)
    title = _shortened(shown.title, max(room, LEAST_TITLE))
    room -= len(title)
    line = Text(title, no_wrap=True, overflow="ellipsis")
    if room >= BAR + 2:
        line.append("  ").append_text(bar(shown.done, shown.total))
        room -= BAR + 2
    for number in numbers[2:]:
        room -= len(number) + 2
        if room >= 0:
            parts.insert(len(parts) - (left is not None), number)
    for part in parts:
        line.append(f"  {part}")
    line.truncate(width, overflow="ellipsis")
    return line


def bar(done: int, total: int) -> Text:
    """A bar of ``BAR`` columns."""
    full = BAR * done // max(total, 1)
    return Text("━" * full, "green").append("━" * (BAR - full), "bright_black")


def _numbers(values: Mapping[str, float]) -> list[str]:
    """Losses and the like: the training's loss and the validation's first."""
    names = {"train/loss": "loss", "loss": "val"}
    first = [f"{names[name]} {values[name]:.3g}" for name in names if name in values]
    return first + [f"{name} {value:.3g}" for name, value in values.items() if name not in names]


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
