"""Attention transfer (Zagoruyko and Komodakis 2017, arXiv 1612.03928)."""

from torch import Tensor

from tsdistill.methods.pairs import FeaturePair, unit
from tsdistill.methods.step import Step


def attention_loss(student: Tensor, teacher: Tensor, inside: Tensor | None = None) -> Tensor:
    """Mean squared difference of attention maps: the mean square over the width, of unit norm over time.

    Args:
        student: hidden sequence, (B, D, T), with gradient.
        teacher: hidden sequence, (B, E, T).
        inside: which timesteps are no padding, (B, T) bool; None where none is.

    Returns:
        Scalar, the mean over all timesteps that are no padding.
    """
    squared = (_attention(student, inside) - _attention(teacher.detach(), inside)).square()
    return squared.mean() if inside is None else squared.sum() / inside.sum().clamp_min(1)


def _attention(sequence: Tensor, inside: Tensor | None) -> Tensor:
    energy = sequence.square().mean(dim=1)
    return unit(energy if inside is None else energy.masked_fill(~inside, 0.0))


class AttentionTransfer(FeaturePair):
    """``attention_loss`` of a batch; the arguments are those of ``FeaturePair``."""

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return attention_loss(*self.sequences(step))
