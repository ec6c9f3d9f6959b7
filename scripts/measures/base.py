"""What a row of the benchmark is, and how two things are timed side by side."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tsdistill.kernels.choice import by_torch
from tsdistill.training.device import keep_freed_memory

Kind = Literal["faster", "ratio", "extra"]
REPETITIONS = 7
SHORT_MS = 500.0


@dataclass(frozen=True)
class Goal:
    """What a row must reach.

    Attributes:
        kind: ``faster``: yardstick / ours is at least ``value``; ``ratio``: ours / yardstick is at most
            ``value``; ``extra``: ours - yardstick is at most ``value`` units.
        value: the bound.
    """

    kind: Kind
    value: float


@dataclass(frozen=True)
class Row:
    """One measured row.

    Attributes:
        measure: what was measured.
        yardstick: what it is held against.
        expected: the yardstick's median.
        ours: our median.
        goal: what must be reached; None where the row only tells.
        unit: of both medians.
        note: what a reader must know besides.
    """

    measure: str
    yardstick: str
    expected: float
    ours: float
    goal: Goal | None = None
    unit: str = "ms"
    note: str = ""

    @property
    def value(self) -> float:
        """What the goal bounds."""
        if self.goal is not None and self.goal.kind == "extra":
            return self.ours - self.expected
        if self.goal is not None and self.goal.kind == "faster":
            return self.expected / self.ours
        return self.ours / self.expected

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal.value if self.goal.kind == "faster" else self.value <= self.goal.value

    def spelt_value(self) -> str:
        """The bounded value for people."""
        if self.goal is not None and self.goal.kind == "extra":
            return f"{self.value:+.0f} {self.unit}"
        return (
            f"{self.value:.1f}x faster" if self.goal and self.goal.kind == "faster" else f"{self.value:.2f}"
        )

    def spelt_goal(self) -> str:
        """The goal for people."""
        if self.goal is None:
            return ""
        spelt = {
            "faster": f"at least {self.goal.value:g}x",
            "ratio": f"at most {self.goal.value:g}",
            "extra": f"at most {self.goal.value:+g} {self.unit}",
        }
        return spelt[self.goal.kind]


def by_pytorch(function: Callable[[], object]) -> Callable[[], None]:
    """The same without the compiled kernel."""

    def run() -> None:
        with by_torch():
            function()

    return run


def side_by_side(
    yardsticks: Mapping[str, Callable[[], object]],
    ours: Mapping[str, Callable[[], object]],
    repetitions: int = REPETITIONS,
) -> dict[str, float]:
    """Time functions in turns, so that whatever else the machine does falls on all of them.

    Yardsticks run under malloc's defaults and on PyTorch's own recurrent layers; ours run as commands do,
    freed memory kept and the compiled kernel used where it is faster. Each function is called once before it
    counts, and short ones again after every such switch.

    Returns:
        Median milliseconds of each.
    """
    functions = {**yardsticks, **ours}
    taken: dict[str, list[float]] = {name: [] for name in functions}
    gc.collect()
    gc.disable()
    try:
        for _ in range(1 + repetitions):
            for name, function in functions.items():
                keep_freed_memory(name in ours)
                if name in yardsticks:
                    function = by_pytorch(function)
                if taken[name] and taken[name][0] < SHORT_MS:
                    function()
                began = time.perf_counter()
                function()
                taken[name].append(1e3 * (time.perf_counter() - began))
    finally:
        gc.enable()
    return {name: statistics.median(times[1:]) for name, times in taken.items()}
