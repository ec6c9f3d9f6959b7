"""Pools of perturbations: what one is made of, and a frozen model's logits on all of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsdistill.config.schema import Donors, SaliencyConf
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.saliency.draws import Draws, References, cut_windows, resolve_window
from tsdistill.saliency.source import perturbed_logits
from tsdistill.saliency.touched import touched_steps

STEPS_AT_ONCE = 65_536
"""Computed steps of perturbed series in one forward pass of the teacher: bounds its activations' memory."""


@dataclass(frozen=True)
class PoolPlan:
    """What a pool is made of, resolved against the data.

    Attributes:
        window: w in steps.
        limits: possible starts of each training series, (N,) int64, CPU.
        size: P.
        channels: number of channels to choose one from, or None to replace all.
        seed: of the draws.
        noise: whether windows are replaced by noise instead of by series of another class.
    """

    window: int
    limits: Tensor
    size: int
    channels: int | None
    seed: int
    noise: bool = False

    @classmethod
    def of(cls, conf: SaliencyConf, train: TensorPart, channels: int, most: int | None = None) -> "PoolPlan":
        """Resolve the ``saliency`` settings.

        Args:
            conf: the settings.
            train: the series that are perturbed.
            channels: C.
            most: the most windows a series, but for the M of a step, where ``pool_size`` is not set; None for
                all.

        Raises:
            TsdistillError: a window that does not fit, or sizes below 1.
        """
        lengths = (
            torch.full((len(train),), train.x.shape[2]) if train.lengths is None else train.lengths.cpu()
        )
        window = resolve_window(conf.window, int(lengths.min()))
        limits = lengths - window + 1
        size = int(limits.max())
        if conf.pool_size is not None:
            size = conf.pool_size
        elif most is not None:
            size = min(size, max(most, conf.perturbations))
        for name, value in (("pool_size", size), ("perturbations", conf.perturbations)):
            if value < 1:
                raise TsdistillError(f"saliency.{name}={value} should be 1 or more")
        noise = conf.donors is Donors.noise
        return cls(window, limits, size, channels if conf.per_channel else None, conf.pool_seed, noise)


def pool_limits(most: float) -> list[int]:
    """Sizes to which a slow teacher's pool may be limited, up to ``most``: powers of two.

    The limit comes from a measured time; in such steps it seldom differs from one machine to another.
    """
    return [2**n for n in range(int(max(most, 1)).bit_length())]


@torch.no_grad()
def computed_steps(model: nn.Module, train: TensorPart, window: int) -> int:
    """How many steps of a perturbed series ``pool_logits`` computes at most; T where it is all of them."""
    length = int(train.x.shape[2])
    return length if train.lengths is not None else touched_steps(model, train.x, window)


def pool_chunks(
    model: nn.Module,
    train: TensorPart,
    draws: Draws,
    references: References,
    window: int,
    skip: int = 0,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """A frozen model's logits on every perturbation of a pool, a few series at a time.

    Args:
        model: in eval mode.
        train: the series that are perturbed.
        draws: (N, P).
        references: the donors.
        window: w in steps.
        skip: how many perturbed series were answered before; their chunks are passed over.

    Yields:
        Rows (R,), columns (M,) and the logits there, (R, M, K) float32; all on the CPU.
    """
    device, (N, P) = train.x.device, draws.starts.shape
    steps = computed_steps(model, train, window)
    width = max(1, min(P, STEPS_AT_ONCE // steps))
    height = max(1, STEPS_AT_ONCE // (steps * P))
    for first in range(0, N, height):
        rows = torch.arange(first, min(first + height, N))
        for left in range(0, P, width):
            columns = torch.arange(left, min(left + width, P))
            if skip > 0:
                skip -= len(rows) * len(columns)
                continue
            taken = draws.take(rows, columns.expand(len(rows), -1))
            chosen = None if taken.channels is None else taken.channels.to(device)
            taken = Draws(taken.starts.to(device), taken.references.to(device), chosen)
            windows = cut_windows(taken, references, window)
            batch = train.rows(rows.to(device))
            yield rows, columns, perturbed_logits(model, batch.x, windows, batch.lengths).cpu()


def pool_logits(
    model: nn.Module, train: TensorPart, draws: Draws, references: References, window: int
) -> Tensor:
    """The logits of ``pool_chunks``, whose arguments these are, in one: (N, P, K) float32, on the CPU."""
    found: Tensor | None = None
    for rows, columns, answers in pool_chunks(model, train, draws, references, window):
        if found is None:
            found = torch.empty(*draws.starts.shape, answers.shape[-1])
        found[rows[:, None], columns] = answers
    assert found is not None
    return found
