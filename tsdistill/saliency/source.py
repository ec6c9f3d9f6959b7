"""Where a training step gets its windows and the teacher's logits on them."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tsdistill.errors import TsdistillError
from tsdistill.saliency.draws import Draws, References, Sampling, cut_windows, draw_pool, sample_columns
from tsdistill.saliency.joint import joint_logits
from tsdistill.saliency.windows import Windows


class WindowSource(Protocol):
    """Gives the perturbations of a batch, and what the teacher says of them.

    Attributes:
        generator: source of randomness, on the CPU.
    """

    generator: torch.Generator

    def draw(self, rows: Tensor, x: Tensor) -> tuple[Windows, Tensor]:
        """Perturb a batch.

        Args:
            rows: the series' rows in the training part, (B,) int64, on the CPU.
            x: the series, (B, C, T).

        Returns:
            M windows of each series, and the teacher's logits on the perturbed series, (B, M, K).
        """
        ...

    def elsewhere(self, rows: Tensor, windows: Windows) -> Tensor:
        """Say what the teacher says of other series that are perturbed at the same places.

        Args:
            rows: the other series' rows in the training part, (B,) int64, on the CPU.
            windows: what ``draw`` gave.

        Returns:
            The teacher's logits, (B, M, K).

        Raises:
            TsdistillError: its perturbations of different series do not lie at the same places.
        """
        ...


@dataclass
class CachedWindows:
    """Samples M of a pool's P perturbations; the teacher's logits on them were computed once.

    Attributes:
        pool: draws (N, P), on the references' device.
        logits: the teacher's, (N, P, K), on the same device.
        references: the donors.
        window: w in steps.
        size: M.
        sampling: how the M are chosen.
        generator: source of randomness, on the CPU.
    """

    pool: Draws
    logits: Tensor
    references: References
    window: int
    size: int
    sampling: Sampling
    generator: torch.Generator

    def draw(self, rows: Tensor, x: Tensor) -> tuple[Windows, Tensor]:
        """See ``WindowSource``."""
        columns = sample_columns(
            len(rows), self.pool.starts.shape[1], self.size, self.sampling, self.generator
        )
        device = self.logits.device
        rows, columns = rows.to(device), columns.to(device)
        windows = cut_windows(self.pool.take(rows, columns), self.references, self.window)
        return windows, self.logits[rows[:, None], columns]

    def elsewhere(self, rows: Tensor, windows: Windows) -> Tensor:
        """See ``WindowSource``."""
        starts = self.pool.starts
        if self.pool.channels is not None or not (starts == starts[:1]).all():
            raise TsdistillError(
                "saliency of another series needs the same windows in every series: series of one length, "
                "saliency.pool_size=null and saliency.per_channel=false"
            )
        columns = torch.searchsorted(starts[0].contiguous(), windows.starts)
        return self.logits[rows.to(starts.device)[:, None], columns]


@dataclass
class OnlineWindows:
    """Draws afresh at every step, with the teacher in the loop: the yardstick of the cached pool.

    Attributes:
        teacher: frozen, in eval mode.
        references: the donors; the training part itself.
        limits: possible starts of each training series, (N,) int64, on the CPU.
        window: w in steps.
        size: M.
        channels: number of channels to choose one from, or None to replace all.
        generator: source of randomness, on the CPU.
    """

    teacher: nn.Module
    references: References
    limits: Tensor
    window: int
    size: int
    channels: int | None
    generator: torch.Generator

    def draw(self, rows: Tensor, x: Tensor) -> tuple[Windows, Tensor]:
        """See ``WindowSource``."""
        device = self.references.x.device
        y = self.references.y[rows.to(device)]
        limits = self.limits[rows]
        size = min(self.size, int(limits.max()))
        draws = draw_pool(self.references, y, limits, size, self.generator, self.channels)
        draws = Draws(
            draws.starts.to(device),
            draws.references.to(device),
            None if draws.channels is None else draws.channels.to(device),
        )
        windows = cut_windows(draws, self.references, self.window)
        lengths = None if self.references.lengths is None else self.references.lengths[rows.to(device)]
        return windows, perturbed_logits(self.teacher, x, windows, lengths)

    def elsewhere(self, rows: Tensor, windows: Windows) -> Tensor:
        """See ``WindowSource``; every draw is a new one here."""
        raise TsdistillError("saliency of another series needs the pool: set saliency.mode=cached")


@torch.no_grad()
def perturbed_logits(model: nn.Module, x: Tensor, windows: Windows, lengths: Tensor | None = None) -> Tensor:
    """Logits of a frozen model on perturbed series: (B, M, K) float32. The model must be in eval mode."""
    return joint_logits(model, x, windows, lengths)[1].float()
