"""Fully convolutional network."""

from collections.abc import Sequence

from torch import nn

from tsdistill.models.convolution import BlockNetwork, ConvBlock, dense


class FCN(BlockNetwork):
    """Fully convolutional network of Wang, Yan and Oates (2017), "Time series classification from scratch".

    Blocks of convolution, batch normalisation and ReLU, then the mean over time and a linear classifier. The
    defaults are the published ones.

    Attributes:
        hint_layer: the middle block, whose output is (B, filters, T).
    """

    hint_layer: str

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        filters: Sequence[int] = (128, 256, 128),
        kernels: Sequence[int] = (8, 5, 3),
    ) -> None:
        super().__init__()
        if not filters or len(filters) != len(kernels):
            raise ValueError(
                f"filters {list(filters)} and kernels {list(kernels)} must be of one length, at least 1"
            )
        widths = [in_channels, *filters]
        self.blocks = nn.ModuleList(
            ConvBlock(widths[i], widths[i + 1], kernel) for i, kernel in enumerate(kernels)
        )
        self.head = dense(widths[-1], n_classes)
        self.hint_layer = f"blocks.{len(kernels) // 2}"
