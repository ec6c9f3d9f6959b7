"""Tells a tracker of a run while it is trained; whatever becomes of the tracker, the run goes on."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsdistill.config.schema import TrackingConf
from tsdistill.console import say
from tsdistill.errors import one_line
from tsdistill.runs.checkpoints import Told
from tsdistill.runs.restore import read_whole
from tsdistill.runs.track import digest_of, tracker_of, written_whole
from tsdistill.tracking.base import Point, Tracked, Tracker, Writing, points_of

FLUSH_SECONDS = 5.0
"""Time between two messages to a tracker."""


@dataclass
class Tracking:
    """A run and the tracker that is told of it.

    A tracker that fails is told nothing more, which is said once.

    Attributes:
        tracker: None for none.
        title: the run's, for messages.
    """

    tracker: Tracker | None
    title: str
    _writing: Writing | None = None
    _waiting: list[Point] = field(default_factory=list)
    _due: float = 0.0

    @classmethod
    def of(cls, conf: TrackingConf, out: Path, title: str) -> "Tracking":
        """As the settings want it.

        Raises:
            TsdistillError: the tracker is not installed.
        """
        tracker = None if conf.to is None else tracker_of(conf.to, conf.folder, out, "tracking")
        return cls(tracker, title)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Let go of the run if it is broken off in the meantime."""
        try:
            yield
        except BaseException:
            self._tried(lambda tracker: self._leave())
            raise

    def begin(self, result: Mapping[str, Any]) -> None:
        """The training begins, perhaps anew.

        Args:
            result: the run's id, names and settings.
        """

        def step(tracker: Tracker) -> None:
            self._leave()
            self._writing = tracker.begin(result, time.time())

        self._tried(step)

    def of_stage(self, stage: str) -> Told:
        """What to tell the learning curve of a stage."""

        def told(rows: Iterable[Mapping[str, Any]]) -> None:
            if self._writing is not None:
                self._waiting += points_of({"stage": stage, **row} for row in rows)
                if time.monotonic() >= self._due:
                    self._tried(lambda tracker: self._flush())

        return told

    def finish(self, out: Path, result: Mapping[str, Any]) -> None:
        """The record is there; one that was not trained just now is written from it.

        Args:
            out: the output folder.
            result: the run's result.
        """

        def step(tracker: Tracker) -> None:
            if self._writing is None:
                written_whole(tracker, out, result)
                return
            self._flush()
            self._writing.finish(Tracked(read_whole(out, result), digest_of(out, result)))
            self._writing = None

        self._tried(step)

    def _flush(self) -> None:
        if self._writing is not None and self._waiting:
            self._writing.log(self._waiting, time.time())
        self._waiting = []
        self._due = time.monotonic() + FLUSH_SECONDS

    def _leave(self) -> None:
        if self._writing is not None:
            self._flush()
            writing, self._writing = self._writing, None
            writing.leave()

    def _tried(self, step: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            step(self.tracker)
        except Exception as error:  # whatever a tracker may raise
            say(
                f"{self.title}: the tracker has failed and is told nothing more ({one_line(error)}); "
                "`tsdistill track` writes the run from its record"
            )
            self.tracker = self._writing = None
