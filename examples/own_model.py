"""A model of your own: any module from (B, C, T) to logits (B, K).

PYTHONPATH=examples tsdistill distill student=custom student.name=pooled \
        student.model._target_=own_model.Pooled +student.model.width=8 dataset.name=ItalyPowerDemand
"""

import torch
from torch import Tensor, nn

from tsdistill.testing import check_model


class Pooled(nn.Module):
    """One convolution, the mean over time, and a linear classifier."""

    def __init__(self, in_channels: int, n_classes: int, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, width, kernel_size=5, padding=2)
        self.head = nn.Linear(width, n_classes)
        self.hint_layer = "conv"

    def forward(self, x: Tensor) -> Tensor:
        """Map series (B, C, T) to logits (B, K)."""
        logits: Tensor = self.head(torch.relu(self.conv(x)).mean(dim=-1))
        return logits


if __name__ == "__main__":
    check_model(Pooled)
    print("Pooled passes check_model")
