"""A loss term of your own: relational distillation with two layers and a memory bank, in one file.

PYTHONPATH=examples tsdistill distill --config-dir examples/conf method=relations dataset.name=GunPoint
"""

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import Layer, LossTerm, Models
from tsdistill.methods.step import Step
from tsdistill.testing import check_loss_term


class Relations(LossTerm):
    """Distances between series, at two layers and to a bank of the last series seen (after RKD, Park 2019).

    Args:
        size: series that the bank holds.
    """

    needs = frozenset({"teacher_logits", "teacher_features"})
    teacher_bank: Tensor
    student_bank: Tensor

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.size = size
        self.pairs: list[tuple[Layer, Layer]] = []
        self.register_buffer("teacher_bank", torch.empty(0))
        self.register_buffer("student_bank", torch.empty(0))

    def bind(self, models: Models) -> None:
        """Ask for the layers: each model's own hint layer, and the teacher's first block beside it."""
        self.pairs = [
            (models.teacher_layer(), models.student_layer()),
            (models.teacher_layer("blocks.0"), models.student_layer()),
        ]

    def forward(self, step: Step) -> Tensor:
        """Smooth L1 between the two models' distances, and between their distances to the bank."""
        teacher = [step.teacher.features(hint).mean(dim=-1) for hint, _ in self.pairs]
        student = [step.student.features(guided).mean(dim=-1) for _, guided in self.pairs]
        loss = torch.stack([relation_loss(s, s, t, t) for s, t in zip(student, teacher, strict=True)]).sum()
        if len(self.teacher_bank):
            loss = loss + relation_loss(
                step.student.logits, self.student_bank, step.teacher.logits, self.teacher_bank
            )
        if self.training:
            self.teacher_bank = _last(self.teacher_bank, step.teacher.logits, self.size)
            self.student_bank = _last(self.student_bank, step.student.logits, self.size)
        return loss


def relation_loss(student: Tensor, others: Tensor, teacher: Tensor, references: Tensor) -> Tensor:
    """Smooth L1 between mean-normalised distances of student (B, D) and teacher (B, E) to (R, .) others."""
    ours, theirs = _distances(student, others), _distances(teacher, references).detach()
    return functional.smooth_l1_loss(ours / (ours.mean() + 1e-8), theirs / (theirs.mean() + 1e-8))


def _distances(one: Tensor, other: Tensor) -> Tensor:
    squared = (one[:, None] - other[None]).square().sum(dim=-1)
    return (squared + 1e-8).sqrt()  # differentiable where two series coincide


def _last(bank: Tensor, new: Tensor, size: int) -> Tensor:
    return torch.cat([bank, new.detach()])[-size:] if len(bank) else new.detach()[-size:]


if __name__ == "__main__":
    check_loss_term(Relations)
    print("Relations passes check_loss_term")
