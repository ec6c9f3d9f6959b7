"""Variational information distillation (Ahn et al. 2019, arXiv 1904.05835)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.methods.base import Models
from tsdistill.methods.pairs import FeaturePair
from tsdistill.methods.step import Step

SMALLEST_VARIANCE = 1e-5
FIRST_VARIANCE = 5.0


def gaussian_nll(mean: Tensor, variance: Tensor, hint: Tensor, inside: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of the teacher's features, without its constant (equation 6).

    Args:
        mean: regressed from the student's features, (B, E, T), with gradient.
        variance: of each of the teacher's channels, (E,), positive.
        hint: the teacher's features, (B, E, T).
        inside: which timesteps are no padding, (B, T) bool; None where none is.

    Returns:
        Scalar, the mean over all elements that are no padding; can be negative.
    """
    squared = (mean - hint.detach()).square()
    if inside is None:
        errors = squared.mean(dim=(0, 2))
    else:
        errors = (squared * inside[:, None]).sum(dim=(0, 2)) / inside.sum().clamp_min(1)
    return 0.5 * (errors / variance + variance.log()).mean()


class VariationalInformation(FeaturePair):
    """``gaussian_nll`` with a 1x1 convolution as regressor and a learned variance for each channel.

    The arguments are those of ``FeaturePair``.
    """

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        super().bind(models)
        self.regressor = nn.Conv1d(*self.widths, kernel_size=1)
        start = math.log(math.expm1(FIRST_VARIANCE - SMALLEST_VARIANCE))
        self.raw_variance = nn.Parameter(torch.full((self.widths[1],), start))

    @property
    def variance(self) -> Tensor:
        """Variances, (E,)."""
        return functional.softplus(self.raw_variance) + SMALLEST_VARIANCE

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        ours, theirs, inside = self.sequences(step)
        return gaussian_nll(self.regressor(ours), self.variance, theirs, inside)
