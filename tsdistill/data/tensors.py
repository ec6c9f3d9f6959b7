"""A part of a dataset as tensors that stay on the device: small sets are indexed there, without workers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tsdistill.data.types import Part


@dataclass(frozen=True)
class TensorPart:
    """``Part`` on a device.

    Attributes:
        x: (N, C, T) float32.
        y: (N,) int64.
        lengths: (N,) int64, or None where all series have length T.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None

    @classmethod
    def of(cls, part: Part, device: torch.device) -> "TensorPart":
        """Copy a part to a device."""
        lengths = None if part.lengths is None else torch.from_numpy(part.lengths).to(device)
        return cls(torch.from_numpy(part.x).to(device), torch.from_numpy(part.y).to(device), lengths)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def inside(self) -> Tensor | None:
        """Which timesteps are not padding, (N, T) bool; None if there is no padding."""
        if self.lengths is None:
            return None
        return torch.arange(self.x.shape[2], device=self.x.device) < self.lengths[:, None]

    def rows(self, index: Tensor | slice) -> "TensorPart":
        """Take the series at ``index``."""
        return TensorPart(self.x[index], self.y[index], None if self.lengths is None else self.lengths[index])

    def chunks(self, size: int) -> "list[TensorPart]":
        """Cut into consecutive stretches of at most ``size`` series."""
        return [self.rows(slice(i, i + size)) for i in range(0, len(self), size)]
