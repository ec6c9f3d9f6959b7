"""Residual network."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from tsdistill.models.convolution import BlockNetwork, ConvBlock, MaskedBatchNorm1d, dense


class ResidualBlock(nn.Module):
    """Three convolutions and a shortcut, added before the last ReLU.

    The shortcut is a convolution of kernel 1 where the number of channels changes, and normalised either way.
    """

    def __init__(self, in_channels: int, filters: int, kernels: Sequence[int]) -> None:
        super().__init__()
        widths = [in_channels] + [filters] * len(kernels)
        self.convs = nn.ModuleList(
            ConvBlock(widths[i], filters, kernel, relu=i < len(kernels) - 1)
            for i, kernel in enumerate(kernels)
        )
        self.shortcut = (
            MaskedBatchNorm1d(filters)
            if in_channels == filters
            else ConvBlock(in_channels, filters, kernel=1, relu=False)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (B, C, T) to (B, filters, T); padded steps come out as zero."""
        y = x
        for conv in self.convs:
            y = conv(y, mask)
        return functional.relu(y + self.shortcut(x, mask))


class ResNet(BlockNetwork):
    """Residual network of Wang, Yan and Oates (2017), "Time series classification from scratch".

    Blocks of three convolutions with a shortcut, then the mean over time and a linear classifier. The
    defaults are the published ones.

    Attributes:
        hint_layer: the middle block, whose output is (B, filters, T).
    """

    hint_layer: str

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        filters: Sequence[int] = (64, 128, 128),
        kernels: Sequence[int] = (8, 5, 3),
    ) -> None:
        super().__init__()
        if not filters or not kernels:
            raise ValueError("filters and kernels need at least one entry each")
        widths = [in_channels, *filters]
        self.blocks = nn.ModuleList(
            ResidualBlock(widths[i], widths[i + 1], kernels) for i in range(len(filters))
        )
        self.head = dense(widths[-1], n_classes)
        self.hint_layer = f"blocks.{len(filters) // 2}"
