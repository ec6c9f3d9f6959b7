"""Similarity-preserving distillation (Tung and Mori 2019, arXiv 1907.09682)."""

from torch import Tensor

from tsdistill.methods.pairs import Pool, PooledPair, unit
from tsdistill.methods.step import Step


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared Frobenius distance of the two similarity matrices over B^2 (equations 1-4).

    Args:
        student: vectors, (B, F), with gradient.
        teacher: vectors, (B, G).

    Returns:
        Scalar. The rows of each matrix of inner products have unit norm.
    """
    return (unit(student @ student.T) - unit(teacher @ teacher.T).detach()).square().mean()


class SimilarityPreserving(PooledPair):
    """``similarity_loss`` of a batch.

    Args:
        teacher_layer: see ``FeaturePair``.
        student_layer: see ``FeaturePair``.
        pool: see ``pooled``.
    """

    def __init__(
        self, teacher_layer: str | None = None, student_layer: str | None = None, pool: Pool = "flat"
    ) -> None:
        super().__init__(teacher_layer, student_layer, pool)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return similarity_loss(*self.vectors(step))
