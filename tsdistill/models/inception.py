"""Inception network for time series."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.models.convolution import (
    ConvBlock,
    MaskedBatchNorm1d,
    SameConv1d,
    dense,
    mean_over_time,
    steps_mask,
    zero_padding,
)

RESIDUAL_EVERY = 3


class InceptionModule(nn.Module):
    """Parallel convolutions on a bottleneck beside max pooling, joined, normalised and passed through ReLU.

    As published, the bottleneck is left out where the input has one channel.
    """

    def __init__(self, in_channels: int, filters: int, bottleneck: int, kernels: Sequence[int]) -> None:
        super().__init__()
        narrow = bottleneck if in_channels > 1 and bottleneck else in_channels
        self.bottleneck = (
            SameConv1d(in_channels, narrow, 1, bias=False)
            if in_channels > 1 and bottleneck
            else nn.Identity()
        )
        self.convs = nn.ModuleList(SameConv1d(narrow, filters, kernel, bias=False) for kernel in kernels)
        self.pooled = SameConv1d(in_channels, filters, 1, bias=False)
        self.norm = MaskedBatchNorm1d(filters * (len(kernels) + 1))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (B, C, T) to (B, filters * (kernels + 1), T); padded steps come out as zero."""
        narrow = self.bottleneck(x)
        branches = [conv(narrow) for conv in self.convs]
        branches.append(self.pooled(_max_of_three(x, mask)))
        return functional.relu(self.norm(torch.cat(branches, dim=1), mask))


class Inception(nn.Module):
    """One network of InceptionTime, Ismail Fawaz et al. (2020), "InceptionTime: finding AlexNet for TSC".

    Inception modules with a normalised shortcut over every three, then the mean over time and a linear
    classifier. The defaults are the published ones; the published classifier averages five such networks.

    Attributes:
        hint_layer: the middle module, whose output is (B, filters * (kernels + 1), T).
    """

    hint_layer: str

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        filters: int = 32,
        depth: int = 6,
        bottleneck: int = 32,
        kernels: Sequence[int] = (40, 20, 10),
    ) -> None:
        super().__init__()
        if depth < 1 or not kernels:
            raise ValueError("depth and the number of kernels must be at least 1")
        width = filters * (len(kernels) + 1)
        self.blocks = nn.ModuleList(
            InceptionModule(in_channels if i == 0 else width, filters, bottleneck, kernels)
            for i in range(depth)
        )
        self.shortcuts = nn.ModuleList(
            ConvBlock(in_channels if i == 0 else width, width, kernel=1, bias=False, relu=False)
            for i in range(depth // RESIDUAL_EVERY)
        )
        self.head = dense(width, n_classes)
        self.hint_layer = f"blocks.{depth // 2}"

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify.

        Args:
            x: series, (B, C, T).
            lengths: true lengths, (B,) int64, or None where all have length T.

        Returns:
            Logits, (B, K).
        """
        mask = steps_mask(x, lengths)
        kept = x = zero_padding(x, mask)
        for i, block in enumerate(self.blocks):
            x = block(x, mask)
            if (i + 1) % RESIDUAL_EVERY == 0:
                kept = x = functional.relu(x + self.shortcuts[i // RESIDUAL_EVERY](kept, mask))
        logits: Tensor = self.head(mean_over_time(x, lengths))
        return logits


def _max_of_three(x: Tensor, mask: Tensor | None) -> Tensor:
    """Take the largest of each step and its two neighbours; steps beyond the end never win."""
    if mask is None:
        return functional.max_pool1d(x, kernel_size=3, stride=1, padding=1)
    barred = x.masked_fill(~mask[:, None], torch.finfo(x.dtype).min)
    return zero_padding(functional.max_pool1d(barred, kernel_size=3, stride=1, padding=1), mask)
