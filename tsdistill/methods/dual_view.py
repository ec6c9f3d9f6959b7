"""A control of TSD: logits matched on the clean series and on their perturbed copies."""

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm
from tsdistill.methods.step import Step


def dual_view_loss(
    student_clean: Tensor, student_perturbed: Tensor, teacher_clean: Tensor, teacher_perturbed: Tensor
) -> Tensor:
    """Mean squared difference of logits over clean series and copies, each weighing the same.

    Args:
        student_clean: (B, K), with gradient.
        student_perturbed: (B, M, K), with gradient.
        teacher_clean: (B, K).
        teacher_perturbed: (B, M, K).

    Returns:
        Scalar.
    """
    student = torch.cat([student_clean[:, None], student_perturbed], dim=1)
    teacher = torch.cat([teacher_clean[:, None], teacher_perturbed], dim=1)
    return functional.mse_loss(student, teacher.detach())


class DualView(LossTerm):
    """``dual_view_loss`` of a batch; the windows come from the ``saliency`` settings."""

    needs = frozenset({"teacher_logits", "windows"})

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        student, teacher = step.student, step.teacher
        return dual_view_loss(student.logits, student.perturbed, teacher.logits, teacher.perturbed)
