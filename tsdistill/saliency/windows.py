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

    def apply(self, x: Tensor) -> Tensor:
        """Build the perturbed series.

        Args:
            x: clean series, (B, C, T).

        Returns:
            Perturbed series, (B, M, C, T), of the dtype of ``x``.
        """
        B, C, T = x.shape
        M, w = self.starts.shape[1], self.width
        steps = self.starts[:, :, None, None] + torch.arange(w, device=x.device)
        steps = steps.expand(B, M, C, w)
        perturbed = x[:, None].expand(B, M, C, T).clone()
        segments = self.segments
        if self.channels is not None:
            kept = perturbed.gather(3, steps)
            chosen = torch.arange(C, device=x.device) == self.channels[:, :, None]
            segments = torch.where(chosen[..., None], segments, kept)
        return perturbed.scatter_(3, steps, segments)
