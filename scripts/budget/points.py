"""What the study varies, and the sweeps that it is made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

DATASETS = ("GunPoint", "SonyAIBORobotSurface1", "ECG200", "ECGFiveDays")
SEEDS = range(10)
FACTOR_SEEDS = range(3)
MORE_SEEDS = range(10, 40)
"""Further seeds for the default M and the full one. Their number was fixed after the first ten, from the
spread that these showed; so they are also told by themselves."""
BUDGETS = (4, 8, 16, 50)
FULL = 50
"""The published M, with which the others are compared."""
BOUND = -0.02
"""A loss is bounded if the lower end of the mean difference's 95 % interval is above this."""
METRICS = {"average_precision": "AP", "agreement": "Agreement"}
NAME = "saliency-budget"


@dataclass(frozen=True)
class Point:
    """Settings of a run that the study varies; the defaults are what each factor is compared with."""

    perturbations: int = 16
    pool_size: int | None = None
    window: float = 10.0
    tau: float = 8.0
    sampling: str = "uniform"
    mode: str = "cached"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Point":
        """The point at which a record's settings stand."""
        return cls(**{field.name: settings[key_of(field.name)] for field in fields(cls)})


FACTORS: Mapping[str, tuple[Any, ...]] = {
    "pool_size": (16, 32),
    "window": (5, 20),
    "tau": (1, 4, 16),
    "sampling": ("stratified", "antithetic"),
    "mode": ("online",),
}
"""Values that are tried beside the default of ``Point``, one factor at a time."""
TITLES = {"pool_size": "pool size P", "window": "w", "tau": "tau", "sampling": "draws", "mode": "mode"}
VARIED = {field.name for field in fields(Point)}


def key_of(factor: str) -> str:
    """The setting's name on the command line and in records."""
    return f"method.{factor}" if factor == "tau" else f"saliency.{factor}"


def sweeps(part: str) -> list[list[str]]:
    """Overrides of each sweep; ``paired`` has the plain student too, ``factors`` the default's own runs.

    ``more`` is the default M and the full one over further seeds.
    """
    paired = [["experiment=budget"], ["experiment=budget", "method=none", "saliency.perturbations=16"]]
    base = ["experiment=budget", "saliency.perturbations=16", f"seed={_listed(FACTOR_SEEDS)}"]
    factors = [base] + [[*base, f"{key_of(name)}={_listed(values)}"] for name, values in FACTORS.items()]
    both = _listed((Point().perturbations, FULL))
    more = [["experiment=budget", f"saliency.perturbations={both}", f"seed={_listed(MORE_SEEDS)}"]]
    return {"paired": paired, "factors": factors, "more": more, "all": paired + factors + more}[part]


def _listed(values: Iterable[Any]) -> str:
    return ",".join(map(str, values))
