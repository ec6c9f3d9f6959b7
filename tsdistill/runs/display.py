"""One display for a whole sweep: what runs, what has ended, what failed, and how long the rest takes."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from tsdistill.console import (
    Pace,
    Said,
    Shown,
    bar,
    console,
    count_of,
    is_live,
    progress_line,
    say,
    spell_time,
)
from tsdistill.runs.durations import Durations, Kind

PLAIN_INTERVAL = 60.0
"""Seconds between two plain lines on how far the sweep is."""
MOST_ROWS = 12
"""Jobs under way that are shown at once; more are counted."""


@dataclass
class _Row:
    """A job under way."""

    kind: Kind
    title: str
    began: float
    shown: Shown | None = None
    pace: Pace = field(default_factory=Pace)

    def left(self) -> float | None:
        """Seconds that the work which is shown takes; None if there is none, or no pace yet."""
        return None if self.shown is None else self.pace.left(self.shown)


@dataclass
class Display:
    """What is known of a sweep, and how it is shown.

    Attributes:
        waiting: the kinds of the jobs that have not begun, by number.
        side_by_side: how many run at a time.
        durations: seconds of finished runs.
    """

    waiting: dict[int, Kind]
    side_by_side: int
    durations: Durations
    done: int = 0
    failed: int = 0
    _rows: dict[int, _Row] = field(default_factory=dict)
    _kinds: Counter[Kind] = field(default_factory=Counter)
    _total: int = 0
    _heard: set[str] = field(default_factory=set)
    _told: float = field(default_factory=lambda: time.monotonic())

    def __post_init__(self) -> None:
        self._total = len(self.waiting)
        self._kinds.update(self.waiting.values())

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the sweep in the meantime: live on a terminal, by a line a minute elsewhere."""
        if not is_live():
            yield
            return
        with Live(get_renderable=self.renderable, console=console, transient=True, refresh_per_second=4):
            yield

    def begin(self, number: int, title: str) -> None:
        """A job begins."""
        kind = self.waiting.pop(number)
        self._kinds[kind] -= 1
        self._rows[number] = _Row(kind, title, time.monotonic())

    def put_off(self, number: int) -> None:
        """A job that had begun is to begin again."""
        kind = self.waiting[number] = self._rows.pop(number).kind
        self._kinds[kind] += 1

    def end(self, number: int, failed: bool) -> None:
        """A job has ended; what was trained in it tells how long others take."""
        row = self._rows.pop(number)
        self.done += 1
        self.failed += failed
        if row.shown is not None and not failed:
            self.durations.add(row.kind, time.monotonic() - row.began)
        self.tick()

    def hear(self, number: int, told: Said | Shown) -> None:
        """A job says something, or how far it is; what is to be said once is shown once."""
        if isinstance(told, Said):
            if told.once in self._heard:
                return
            if told.once is not None:
                self._heard.add(told.once)
            # Left to itself a terminal breaks lines within words; in a file they stay whole.
            console.print(escape(told.text), soft_wrap=not is_live())
            return
        row = self._rows[number]
        if row.shown is None or row.shown.title != told.title:
            row.pace = Pace()
        row.shown = told
        row.pace.left(told)
        self.tick()

    def tick(self) -> None:
        """Print a line where the last is a minute old and nothing is shown live."""
        if not is_live() and time.monotonic() - self._told >= PLAIN_INTERVAL:
            self._told = time.monotonic()
            say(self.summary(running=True))

    def summary(self, running: bool = False) -> str:
        """How far the sweep is, in one line."""
        parts = [f"{self.done:,} of {self._total:,} runs done"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        left = self.left()
        if left is not None and self.done < self._total:
            parts.append(f"about {spell_time(left)} left")
        now = [_spelled(row) for row in self._rows.values()] if running else []
        return "; ".join([", ".join(parts), *now[:MOST_ROWS]])

    def left(self) -> float | None:
        """Seconds that the rest takes, no less than a line under way shows; None if no run has ended yet."""
        now = time.monotonic()
        running = [(row.kind, now - row.began) for row in self._rows.values()]
        expected = self.durations.left(self._kinds, running, self.side_by_side)
        if expected is None:
            return None
        return max([expected, *(row.left() or 0.0 for row in self._rows.values())])

    def renderable(self) -> Group:
        """A line for each job under way, and one for the sweep; as wide as the terminal."""
        width = console.width
        rows = list(self._rows.values())
        most = max(1, min(MOST_ROWS, console.height - 4))
        lines = [_line(row, width) for row in rows[:most]]
        if len(rows) > most:
            lines.append(Text(f"and {len(rows) - most} more under way"))
        total = bar(self.done, self._total).append(f"  {self.summary()}")
        total.truncate(width, overflow="ellipsis")
        return Group(*lines, total)


def _line(row: _Row, width: int) -> Text:
    if row.shown is not None:
        return progress_line(row.shown, row.left(), width)
    line = Text(f"{row.title}  begins")
    line.truncate(width, overflow="ellipsis")
    return line


def _spelled(row: _Row) -> str:
    if row.shown is None:
        return row.title
    return f"{row.shown.title}: {count_of(row.shown.done, row.shown.total, row.shown.unit)}"
