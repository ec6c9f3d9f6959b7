"""Checkpoints of a student, a teacher or a pool that is being made: one that is killed goes on from there."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsdistill.config.schema import HardwareConf
from tsdistill.console import say
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.signals import asked_to_stop, stop
from tsdistill.store.artefact import set_aside
from tsdistill.store.checkpoints import (
    UnstorableError,
    checkpoint_folder,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from tsdistill.store.environment import arithmetic
from tsdistill.store.formats import parse_json, to_json
from tsdistill.store.locks import locked_if_free
from tsdistill.training.state import Captured, TrainingState

Told = Callable[[Iterable[Mapping[str, Any]]], None]
"""Told rows of a learning curve: ``epoch``, ``name`` and ``value``."""

LARGEST_SHARE = 0.05
"""Of the time that writing checkpoints may take: large ones are written less often than asked for."""


class GivenUpError(Exception):
    """What is being made is not wanted any more: its checkpoint goes too."""


@dataclass
class Checkpoints:
    """The checkpoints of one artefact that is being made.

    An artefact takes one training run or several (stages, restarts, members of an ensemble), which come in
    the same order each time: those that have ended are kept as they ended, and gone through again at once.

    Attributes:
        folder: where they are written.
        made_for: all that determines the artefact, and the arithmetic that its bits depend on.
        interval: seconds between two; 0 for none.
        title: what is made, for messages.
        seconds_before: time spent until the checkpoint that was found.
    """

    folder: Path
    made_for: Mapping[str, Any]
    interval: float
    title: str
    seconds_before: float = 0.0
    _current: Captured | None = None
    _ended: list[Captured] = field(default_factory=list)
    _begun: int = 0

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._due = self._began + self.interval
        found = read_checkpoint(self.folder, self._accept)
        if found is not None:
            self.seconds_before = found["seconds"]
            self._ended, self._current = found["ended"], found["current"]

    def _accept(self, stored: Mapping[str, Any]) -> None:
        """Refuse the checkpoint of something else."""
        for part, wanted in self.made_for.items():
            found = stored["made_for"][part]
            differing = sorted(k for k in {*wanted, *found} if wanted.get(k) != found.get(k))
            if differing:
                raise ValueError(f"it is of another run: its {part} has another {', '.join(differing)}")

    def of_fit(self, title: str, told: Told | None = None) -> "FitKeeper":
        """The keeper of the next training run.

        Args:
            title: what is trained, for messages.
            told: told the learning curve of a run that is resumed.
        """
        self._begun += 1
        return FitKeeper(self, self._begun - 1, title, told)

    def take_current(self) -> Captured | None:
        """What was under way at the checkpoint that was found; None once it has been taken."""
        current, self._current = self._current, None
        return current

    def ended(self, number: int) -> Captured | None:
        """How a training run ended, if it had before the checkpoint."""
        return self._ended[number] if number < len(self._ended) else None

    def add_ended(self, captured: Captured) -> None:
        """Note how the training run under way ended."""
        self._ended.append(captured)
        self.offer(lambda: None)

    def offer(self, capture: Callable[[], Captured | None]) -> None:
        """Write a checkpoint if one is due or a signal asks for it; then end as the signal asks."""
        stopping = asked_to_stop()
        if self.interval and (stopping or time.monotonic() >= self._due):
            self._write(capture())
        if stopping:
            stop()

    def _write(self, current: Captured | None) -> None:
        began = time.monotonic()
        state = {
            "made_for": self.made_for,
            "seconds": self.seconds_before + began - self._began,
            "ended": self._ended,
            "current": current,
        }
        try:
            write_checkpoint(self.folder, state)
        except UnstorableError as error:
            say(f"{self.title}: no checkpoints, because {error}, which cannot be stored")
            self.interval = 0.0
        except TsdistillError as error:
            say(f"{self.title}: no checkpoint this time: {error}")
        now = time.monotonic()
        self._due = now + max(self.interval, (now - began) / LARGEST_SHARE)

    def remove(self) -> None:
        """Remove what was written: the artefact is there."""
        try:
            remove_checkpoint(self.folder)
        except TsdistillError as error:
            say(f"{self.title}: {error}")


@dataclass(frozen=True)
class FitKeeper:
    """Keeps one training run in the checkpoints of what it is for; see ``training.state.Keeper``.

    Attributes:
        checkpoints: of the artefact.
        number: of the training run among those of the artefact, counted from 0.
        title: what is trained, for messages.
        told: told the learning curve that is restored.
    """

    checkpoints: Checkpoints
    number: int
    title: str
    told: Told | None = None

    def begin(self, state: TrainingState) -> bool:
        """Restore the run as it ended, or as it was under way.

        Raises:
            TsdistillError: the checkpoint can't be restored; it has been set aside.
        """
        ended = self.checkpoints.ended(self.number)
        try:
            if ended is not None:
                state.restore_end(ended)
            elif (current := self.checkpoints.take_current()) is not None:
                state.restore(current)
                say(f"{self.title}: resumed at epoch {state.epoch} of {state.epochs}")
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            set_aside(self.checkpoints.folder, f"it cannot be restored: {one_line(error)}")
            raise TsdistillError(
                f"{self.title}: its checkpoint is of no use; run the command again"
            ) from error
        if self.told is not None and state.result.history:
            self.told(state.result.history)
        return ended is not None

    def step(self, state: TrainingState) -> None:
        """Offer a checkpoint."""
        self.checkpoints.offer(state.capture)

    def end(self, state: TrainingState) -> None:
        """Note how the run ended."""
        self.checkpoints.add_ended(deepcopy(state.capture_end()))


def drop_leftover(artefact: Path) -> None:
    """Remove the checkpoint of an artefact that is there: its maker was killed before it could.

    One that a process is just making again keeps its checkpoint.
    """
    folder = checkpoint_folder(artefact)
    if folder.is_dir():
        with suppress(TsdistillError), locked_if_free(artefact) as held:
            if held:
                remove_checkpoint(folder)


@contextmanager
def checkpointed(
    artefact: Path, facts: Mapping[str, Any], hardware: HardwareConf, device: str, title: str
) -> Iterator[Checkpoints]:
    """Checkpoints of an artefact while it is made; removed at the end, and where it is given up.

    Any other exception leaves them.

    Args:
        artefact: the folder that it will get.
        facts: all that determines it.
        hardware: the settings.
        device: the torch device that does the work.
        title: what is made, for messages.
    """
    computed = {**arithmetic(device), "kernel": hardware.kernel.value, "compile": hardware.compile}
    made_for = parse_json(to_json({"settings": facts, "arithmetic": computed}), "facts")
    checkpoints = Checkpoints(checkpoint_folder(artefact), made_for, hardware.checkpoint_seconds, title)
    try:
        yield checkpoints
    except GivenUpError:
        checkpoints.remove()
        raise
    checkpoints.remove()
