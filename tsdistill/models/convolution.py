"""What the convolutional families share: 'same' convolution, normalisation and pooling that ignore padding.

Padded steps are zeroed before the first convolution and after every normalisation, so that a series in a
padded batch meets the same zeros beyond its end as it would alone.

Initialisation follows Keras, in which the three networks were published: Glorot uniform weights, zero biases
(small FCNs learn faster from it than from PyTorch's). Batch normalisation keeps PyTorch's running averages of
momentum 0.1: with Keras' 0.01 and a few batches an epoch they need hundreds of epochs to reach the statistics
they stand for, and validation would see another network than training. It keeps PyTorch's eps too (1e-5;
Keras' 1e-3 makes no measurable difference), which damps series of small amplitude less.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def steps_mask(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Mark the true steps of padded series.

    Args:
        x: series, (B, C, T).
        lengths: true lengths, (B,) int64, or None where all have length T.

    Returns:
        True where a step is no padding, (B, T) bool, or None where ``lengths`` is None.
    """
    if lengths is None:
        return None
    return torch.arange(x.shape[-1], device=x.device) < lengths.to(x.device)[:, None]


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Set padded steps of ``x`` (B, D, T) to zero, those where ``mask`` (B, T) is False."""
    return x if mask is None else x.masked_fill(~mask[:, None], 0.0)


def mean_over_time(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Average over true steps (global average pooling).

    Args:
        x: features, (B, D, T), zero at padded steps.
        lengths: true lengths, (B,) int64, or None where all have length T.

    Returns:
        Means, (B, D), of the dtype of ``x``.
    """
    if lengths is None:
        return x.mean(dim=-1)
    return x.sum(dim=-1) / lengths.to(x)[:, None]


def dense(features: int, n_classes: int) -> nn.Linear:
    """Make the classifier on pooled features, initialised as Keras does."""
    layer = nn.Linear(features, n_classes)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class SameConv1d(nn.Conv1d):
    """Convolution with Keras' 'same' padding: (k - 1) // 2 zeros on the left, k // 2 on the right."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, bias: bool = True) -> None:
        super().__init__(
            in_channels, out_channels, kernel, padding=kernel // 2 if kernel % 2 else 0, bias=bias
        )

    def reset_parameters(self) -> None:
        """Draw Glorot uniform weights; biases start at zero."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, T) to (B, D, T)."""
        kernel = self.kernel_size[0]
        if kernel % 2 == 0:
            x = functional.pad(x, ((kernel - 1) // 2, kernel // 2))
        return super().forward(x)


class MaskedBatchNorm1d(nn.Module):
    """Batch normalisation whose statistics come from true steps only.

    With a mask, the true steps of all series are gathered, series by series, into (steps, D) and normalised
    there by an ordinary layer: each true step counts once in the batch statistics and the running averages.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise.

        Args:
            x: features, (B, D, T).
            mask: True at true steps, (B, T) bool, or None where all are.

        Returns:
            Normalised features, (B, D, T), zero at padded steps.
        """
        if mask is None:
            return self._normalise(x)
        steps = self._normalise(x.transpose(1, 2)[mask])
        padded = steps.new_zeros(x.shape[0], x.shape[2], x.shape[1])
        return padded.index_put((mask,), steps).transpose(1, 2)

    def _normalise(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.training and x.numel() == norm.num_features:
            # One series of one step has no variance: only the running averages are left.
            return functional.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        y: Tensor = norm(x)
        return y


class ConvBlock(nn.Module):
    """Convolution, batch normalisation and, unless told otherwise, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, bias: bool = True, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = SameConv1d(in_channels, out_channels, kernel, bias=bias)
        self.norm = MaskedBatchNorm1d(out_channels)
        self.relu = relu

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (B, C, T) to (B, D, T); padded steps come out as zero."""
        y: Tensor = self.norm(self.conv(x), mask)
        return functional.relu(y) if self.relu else y


class BlockNetwork(nn.Module):
    """Blocks in a row, pooled over time, and a linear classifier: the way through FCN and ResNet.

    Attributes:
        blocks: each maps (B, D, T) and the mask of true steps to (B, D', T).
        head: the classifier, (B, D) to (B, K).
    """

    blocks: nn.ModuleList
    head: nn.Linear

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify.

        Args:
            x: series, (B, C, T).
            lengths: true lengths, (B,) int64, or None where all have length T.

        Returns:
            Logits, (B, K).
        """
        mask = steps_mask(x, lengths)
        x = zero_padding(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        logits: Tensor = self.head(mean_over_time(x, lengths))
        return logits
