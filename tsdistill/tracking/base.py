"""What a tracker is, and what it is told of a run."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tsdistill.store.records import RunRecord

IDENTITY = ("dataset", "method", "teacher", "student", "seed", "trial")
_MEASURED = ("validation", "test", "teacher_validation", "teacher_test", "cost", "noise", "reasoning")


class Point(NamedTuple):
    """One value of a learning curve."""

    name: str
    epoch: int
    value: float


def points_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    """Rows of a learning curve as trackers take them; what is undefined is left out.

    Args:
        rows: each with ``stage``, ``epoch``, ``name`` and ``value``.
    """
    for row in rows:
        if math.isfinite(row["value"]):
            yield Point(f"{row['stage']}/{row['name']}", row["epoch"], row["value"])


def title_of(result: Mapping[str, Any]) -> str:
    """A run in a few words; different runs have different ones."""
    names = f"{result['method']} {result['teacher']}-{result['student']} seed {result['seed']}"
    return f"{names} {str(result['id'])[:8]}"


def settings_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """A run's names and settings, as texts, numbers and truth values."""
    found = {**{name: result[name] for name in IDENTITY}, **result["settings"]}
    return {key: v if isinstance(v, str | int | float | bool) else str(v) for key, v in found.items()}


@dataclass(frozen=True)
class Tracked:
    """A finished run as trackers take it.

    Attributes:
        record: the stored record.
        digest: hash of the record; another one says that metrics were added since.
    """

    record: RunRecord
    digest: str

    @property
    def finished(self) -> float:
        """When it was finished, in seconds since 1970; 0 where that is not known."""
        return float(self.record.timing.get("finished") or 0.0)

    @property
    def epochs(self) -> int:
        """Its last epoch, at which its metrics stand."""
        return int(self.record.result["training"].get("epochs", 0))

    def metrics(self) -> dict[str, float]:
        """All that was measured, by names such as ``test.accuracy``; what is undefined is left out."""
        blocks = {name: self.record.result.get(name) or {} for name in _MEASURED}
        blocks["timing"] = self.record.timing
        return {
            f"{block}.{name}": float(value)
            for block, values in blocks.items()
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }


class Writing(ABC):
    """A run that is being written."""

    @abstractmethod
    def log(self, points: Sequence[Point], at: float) -> None:
        """Add values of the learning curve.

        Args:
            points: the values.
            at: when they were measured, in seconds since 1970.
        """

    @abstractmethod
    def finish(self, run: Tracked) -> None:
        """Add the metrics, and mark the run as there as it is stored now."""

    @abstractmethod
    def leave(self) -> None:
        """Let go of a run that was broken off; it does not count as there."""


class Tracker(ABC):
    """Writes runs into a folder in a tracker's form; nothing is written before the first run is."""

    def __init__(self, folder: Path) -> None:
        """Raises ImportError if what it needs is not installed."""
        self.folder = folder

    @abstractmethod
    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        """Whether a run is there as it is stored now.

        Args:
            result: the run's result.
            digest: hash of its record.
        """

    @abstractmethod
    def begin(self, result: Mapping[str, Any], at: float) -> Writing:
        """Begin to write a run, in the place of an earlier state of it.

        Args:
            result: the run's result, or its id, names and settings while there is none.
            at: when it began, in seconds since 1970.
        """

    def write(self, run: Tracked) -> None:
        """Write a finished run whole, in the place of an earlier state of it."""
        writing = self.begin(run.record.result, run.finished)
        try:
            writing.log(list(points_of(run.record.curve)), run.finished)
            writing.finish(run)
        except BaseException:
            with suppress(Exception):  # what went wrong first is what is told
                writing.leave()
            raise
