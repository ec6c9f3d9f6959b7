"""What a tracker is, and what it is told of a run."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class Tracked:
    """A run as trackers take it.

    Attributes:
        record: the stored record.
        digest: hash of the record; another one says that metrics were added since.
    """

    record: RunRecord
    digest: str

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.record.result["id"])

    @property
    def title(self) -> str:
        """The run in a few words; different runs have different ones."""
        of = self.record.result
        return f"{of['method']} {of['teacher']}-{of['student']} seed {of['seed']} {self.id[:8]}"

    @property
    def finished(self) -> float:
        """When it was finished, in seconds since 1970; 0 where that is not known."""
        return float(self.record.timing.get("finished") or 0.0)

    def settings(self) -> dict[str, Any]:
        """Names and settings, as texts, numbers and truth values."""
        of = self.record.result
        found = {**{name: of[name] for name in IDENTITY}, **of["settings"]}
        return {key: v if isinstance(v, str | int | float | bool) else str(v) for key, v in found.items()}

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

    def curve(self) -> Iterator[Point]:
        """The learning curve; what is undefined is left out."""
        for row in self.record.curve:
            if math.isfinite(row["value"]):
                yield Point(f"{row['stage']}/{row['name']}", row["epoch"], row["value"])


class Tracker(ABC):
    """Writes runs into a folder in a tracker's form."""

    def __init__(self, folder: Path) -> None:
        """Raises TsdistillError if what it needs is not installed."""
        self.folder = folder

    @abstractmethod
    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        """Whether a run is there as it is stored now.

        Args:
            result: the run's result.
            digest: hash of its record.
        """

    @abstractmethod
    def write(self, run: Tracked) -> None:
        """Write a run whole, in the place of an earlier state of it."""
