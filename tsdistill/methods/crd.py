"""Contrastive representation distillation (Tian et al. 2020, arXiv 1910.10699), within the batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.methods.base import Models, temperature
from tsdistill.methods.pairs import Pool, PooledPair, unit
from tsdistill.methods.step import Step


def contrastive_loss(student: Tensor, teacher: Tensor, y: Tensor, tau: float) -> Tensor:
    """InfoNCE that tells a series' teacher vector from those of other classes, and the other way round.

    Args:
        student: projected vectors, (B, F), with gradient.
        teacher: projected vectors, (B, F); their projection may be trained.
        y: classes, (B,) int64; series of one class are no negatives of each other.
        tau: temperature, positive.

    Returns:
        Scalar, the sum of both directions, each the mean over the batch; 0 where the batch has one class.
    """
    scores = unit(student) @ unit(teacher).T / tau
    negative = (y[:, None] != y) | torch.eye(len(y), dtype=torch.bool, device=y.device)
    scores = scores.masked_fill(~negative, -torch.inf)
    own = torch.arange(len(y), device=y.device)
    return functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)


class ContrastiveDistillation(PooledPair):
    """``contrastive_loss`` under learned linear projections of both models' pooled features.

    Args:
        teacher_layer: see ``FeaturePair``.
        student_layer: see ``FeaturePair``.
        pool: ``mean`` or ``last``, see ``pooled``.
        tau: temperature.
        width: of the projections.
    """

    def __init__(
        self,
        teacher_layer: str | None = None,
        student_layer: str | None = None,
        pool: Pool = "mean",
        tau: float = 0.07,
        width: int = 128,
    ) -> None:
        super().__init__(teacher_layer, student_layer, pool)
        if pool == "flat":
            raise ValueError("pool=flat is for sp; a projection needs mean or last")
        if width < 1:
            raise ValueError(f"width={width} should be 1 or more")
        self.tau, self.width = temperature(tau), width

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        super().bind(models)
        self.ours, self.theirs = (nn.Linear(width, self.width) for width in self.widths)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        student, teacher = self.vectors(step)
        return contrastive_loss(self.ours(student), self.theirs(teacher), step.y, self.tau)
