"""Relational knowledge distillation (Park et al. 2019, arXiv 1904.05068)."""

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.methods.pairs import PooledPair
from tsdistill.methods.step import Step

LARGEST_PIECE = 2**22
"""Numbers in one piece of the tensor of angles, which has B^3."""


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between pairwise distances, each model's divided by its mean positive one (equations 4-6).

    Args:
        student: vectors, (B, F), with gradient.
        teacher: vectors, (B, G).

    Returns:
        Scalar, the mean over all B^2 pairs; 0 where all vectors of a model are equal or B is 1.
    """
    return functional.smooth_l1_loss(_distances(student), _distances(teacher.detach()))


def _distances(rows: Tensor) -> Tensor:
    """Pairwise distances over the mean of the positive ones, (B, B)."""
    # By products, nearly equal rows would lose their distance, and its root would have no gradient at 0.
    found = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    positive = found > 0
    mean = (found * positive).sum() / positive.sum().clamp_min(1)
    return found / mean.masked_fill(mean == 0, 1.0)


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between the cosines of the angles of all triples (equations 7-8).

    Args:
        student: vectors, (B, F), with gradient.
        teacher: vectors, (B, G).

    Returns:
        Scalar, the mean over all B^3 triples; a triple with two equal vectors has cosine 0.
    """
    B = len(student)
    piece = max(1, LARGEST_PIECE // (B * (B + max(student.shape[1], teacher.shape[1]))))
    parts = [
        functional.smooth_l1_loss(
            _cosines(student, first, piece), _cosines(teacher.detach(), first, piece), reduction="sum"
        )
        for first in range(0, B, piece)
    ]
    return torch.stack(parts).sum() / B**3


def _cosines(rows: Tensor, first: int, piece: int) -> Tensor:
    """Cosines at some of the vectors between the directions to all pairs of others, (piece, B, B)."""
    directions = functional.normalize(rows[None] - rows[first : first + piece, None], dim=-1)
    return directions @ directions.transpose(1, 2)


class RelationDistance(PooledPair):
    """``distance_loss`` between pooled features; the arguments are those of ``PooledPair``."""

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return distance_loss(*self.vectors(step))


class RelationAngle(PooledPair):
    """``angle_loss`` between pooled features; the arguments are those of ``PooledPair``."""

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return angle_loss(*self.vectors(step))
