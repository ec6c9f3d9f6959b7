"""Windows of a series replaced by those of another: the perturbations of temporal saliency."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """M perturbations of each of B series.

    Attributes:
        starts: first replaced timestep, (B, M) int64.
        segments: what stands there instead, (B, M, C, w), dtype of the series.
        channels: the one channel that is replaced, (B, M) int64, or None where all are.
    """

    starts: Tensor
    segments: Tensor
    channels: Tensor | None = None

    @property
    def width(self) -> int:
        """Window length w in timesteps."""
        return int(self.segments.shape[-1])

    def stack(self, x: Tensor) -> Tensor:
        """Lay the perturbed copies behind the clean series.

        Args:
            x: clean series, (B, C, T).

        Returns:
            (M + 1, B, C, T), of the dtype of ``x``: the clean series first.
        """
        B, C, T = x.shape
        M, w = self.starts.shape[1], self.width
        stacked = x.expand(M + 1, B, C, T).clone()
        copies = stacked[1:]
        steps = (self.starts.T[:, :, None, None] + torch.arange(w, device=x.device)).expand(M, B, C, w)
        segments = self.segments.transpose(0, 1)
        if self.channels is not None:
            chosen = torch.arange(C, device=x.device) == self.channels.T[:, :, None]
            segments = torch.where(chosen[..., None], segments, copies.gather(3, steps))
        copies.scatter_(3, steps, segments)
        return stacked

    def apply(self, x: Tensor) -> Tensor:
        """Build the perturbed series alone.

        Args:
            x: clean series, (B, C, T).

        Returns:
            Perturbed series, (B, M, C, T), of the dtype of ``x``.
        """
        return self.stack(x)[1:].transpose(0, 1)
