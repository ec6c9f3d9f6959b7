"""What ``tsdistill tune`` searches: a method's ``ranges``, or the points of its ``grid``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tsdistill.errors import TsdistillError

__neutral__ = "it chooses settings, and these are part of every key"

EXAMPLE = "method.lam: {low: 0.1, high: 100.0, log: true}"
DIGITS = 3
"""Significant digits of a value that is drawn: enough to tell settings apart, and short on a command line."""


@dataclass(frozen=True)
class Range:
    """The values that one setting may take.

    Attributes:
        low: the smallest number.
        high: the largest.
        log: whether equal ratios are equally likely, rather than equal differences.
        choices: the values, instead of numbers from ``low`` to ``high``.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


def ranges_of(conf: DictConfig) -> dict[str, Range]:
    """The ranges that a composed config's method declares.

    Raises:
        TsdistillError: there are none, one is malformed, or it names no setting.
    """
    declared = OmegaConf.to_container(conf.method, resolve=False).get("ranges")  # type: ignore[union-attr]
    if not isinstance(declared, Mapping) or not declared:
        raise TsdistillError(
            f"method {conf.method.name} declares no ranges; add some to its config, such as "
            f"ranges: {{{EXAMPLE}}}, or use sampler=grid"
        )
    return {str(key): _range(conf, str(key), node) for key, node in declared.items()}


def _range(conf: DictConfig, key: str, node: Any) -> Range:
    if OmegaConf.select(conf, key, default=None) is None:
        raise TsdistillError(f"method.ranges of {conf.method.name}: there is no setting '{key}'")
    match node:
        case {"choices": [_, *_] as choices} if len(node) == 1:
            return Range(choices=tuple(choices))
        case {"low": int() | float() as low, "high": int() | float() as high, **rest} if (
            low < high and rest.keys() <= {"log"} and (low > 0 or not rest.get("log"))
        ):
            return Range(low, high, bool(rest.get("log", False)))
    raise TsdistillError(
        f"method.ranges of {conf.method.name}: {key} should have low < high, and low > 0 with log, "
        f"such as {EXAMPLE}, or {{choices: [...]}}"
    )


def grid_points(conf: DictConfig) -> list[dict[str, Any]]:
    """The default setting and the points of a method's grid, each with all settings that the grid varies.

    Raises:
        TsdistillError: the method has no grid.
    """
    points: Sequence[Mapping[Any, Any]] = OmegaConf.to_container(conf.method, resolve=False).get("grid") or []  # type: ignore[union-attr]
    if not points:
        raise TsdistillError(f"sampler=grid: method {conf.method.name} has no grid; use tpe or random")
    default = defaults_of(conf, sorted({str(key) for point in points for key in point}))
    return [default, *({**default, **point} for point in points)]


def grid_ranges(points: Sequence[Mapping[str, Any]]) -> dict[str, Range]:
    """For each setting that a grid varies the values that it takes there."""
    return {key: Range(choices=tuple(dict.fromkeys(point[key] for point in points))) for key in points[0]}


def defaults_of(conf: DictConfig, keys: Sequence[str]) -> dict[str, Any]:
    """The values that settings have in a composed config.

    Raises:
        TsdistillError: there is no such setting.
    """
    found = {key: OmegaConf.select(conf, key, default=None) for key in keys}
    for key, value in found.items():
        if value is None:
            raise TsdistillError(f"method.grid of {conf.method.name}: there is no setting '{key}'")
    return found


def rounded(value: Any) -> Any:
    """A value as it is set: numbers to ``DIGITS`` significant digits."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
