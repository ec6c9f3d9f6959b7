"""Console output: progress bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__neutral__ = "what is printed"

console = Console(soft_wrap=True, highlight=False)
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


def say(text: str) -> None:
    """Print one line as it is."""
    console.print(escape(_prefix + text))


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


def _spell(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in values.items())
