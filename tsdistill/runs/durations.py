"""How long runs take: learned from finished ones of the same kind, to say how long a sweep still takes."""

import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tsdistill.store.formats import read_json
from tsdistill.store.records import run_folder

MOST = 200
"""Stored runs of a data set whose times are read, and the last runs of a kind that count."""


@dataclass(frozen=True)
class Kind:
    """What a run's duration depends on most."""

    dataset: str
    method: str
    student: str


class Durations:
    """Seconds of finished runs by kind."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, str], deque[float]] = {}
        self._expected: dict[Kind, float | None] = {}

    def add(self, kind: Kind, seconds: float) -> None:
        """Learn from a run that has been trained."""
        self._expected.clear()
        for key in self._keys(kind):
            self._seconds.setdefault(key, deque(maxlen=MOST)).append(seconds)

    @staticmethod
    def _keys(kind: Kind) -> list[tuple[str, str]]:
        """From the nearest kin to the farthest."""
        whole = f"{kind.dataset} {kind.method} {kind.student}"
        pair = f"{kind.method} {kind.student}"
        return [("all", whole), ("dataset", kind.dataset), ("pair", pair), ("any", "")]

    def expected(self, kind: Kind) -> float | None:
        """Seconds that a run of a kind takes: the median of the nearest kin; None if nothing is known."""
        if kind not in self._expected:
            known = [key for key in self._keys(kind) if key in self._seconds]
            self._expected[kind] = statistics.median(self._seconds[known[0]]) if known else None
        return self._expected[kind]

    def left(
        self, waiting: Mapping[Kind, int], running: Iterable[tuple[Kind, float]], side_by_side: int
    ) -> float | None:
        """Seconds until all is done.

        Args:
            waiting: how many runs of each kind have not begun.
            running: those that have, with the seconds since.
            side_by_side: how many run at a time.

        Returns:
            The sum of what is expected, over all that run side by side, but no less than any run takes; None
            if nothing is known.
        """
        if not self._seconds:
            return None
        begun = [max((self.expected(kind) or 0.0) - seconds, 0.0) for kind, seconds in running]
        each = {kind: self.expected(kind) or 0.0 for kind, count in waiting.items() if count}
        total = sum(begun) + sum(seconds * waiting[kind] for kind, seconds in each.items())
        return max(total / max(side_by_side, 1), max([*begun, *each.values()], default=0.0))


def stored_durations(out: Path, datasets: Iterable[str]) -> Durations:
    """Learn from the runs under ``out`` on some data sets; what can't be read is passed over."""
    found = Durations()
    for dataset in sorted(set(datasets)):
        for kind, seconds in islice(_timings(out, dataset), MOST):
            found.add(kind, seconds)
    return found


def _timings(out: Path, dataset: str) -> Iterator[tuple[Kind, float]]:
    for path in run_folder(out, dataset, "any").parent.glob("*/timing.json"):
        try:
            timing, result = read_json(path), read_json(path.with_name("result.json"))
            kind = Kind(dataset, result["method"], result["student"])
            yield kind, sum(float(timing[name]) for name in ("prepare_seconds", "train_seconds"))
        except (OSError, ValueError, KeyError, TypeError):
            continue


def kind_of(words: Sequence[str], config: DictConfig) -> Kind:
    """The kind of a job.

    Args:
        words: its overrides.
        config: the sweep's own config, for what no override says.
    """
    said = {name.lstrip("+~"): value for name, _, value in (word.partition("=") for word in words)}
    choices: Mapping[str, Any] = config.hydra.runtime.choices
    dataset = said.get("dataset.name") or OmegaConf.select(config, "dataset.name", throw_on_missing=False)
    return Kind(
        str(dataset or said.get("dataset") or choices.get("dataset")),
        str(said.get("method") or choices.get("method")),
        str(said.get("student") or choices.get("student")),
    )
