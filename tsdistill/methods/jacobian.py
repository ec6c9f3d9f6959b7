"""Jacobian matching (Srinivas and Fleuret 2018, arXiv 1803.00443)."""

import torch
from torch import Tensor

from tsdistill.methods.base import LossTerm
from tsdistill.methods.pairs import unit
from tsdistill.methods.step import Step


def jacobian_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the two models' gradients, each divided by its norm (equation 8).

    Args:
        student: gradients of a logit with respect to the input, (B, C, T), differentiable.
        teacher: the teacher's, (B, C, T).

    Returns:
        Scalar, the mean over the batch, between 0 and 4; a gradient of zeros stays one.
    """
    return (unit(student) - unit(teacher.detach())).square().sum(dim=1).mean()


class JacobianMatching(LossTerm):
    """``jacobian_loss`` for the teacher's top class."""

    needs = frozenset({"teacher_logits", "teacher_gradients", "student_gradients"})

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return jacobian_loss(*top_class_gradients(step))


def top_class_gradients(step: Step) -> tuple[Tensor, Tensor]:
    """Input gradients of the logit of the teacher's top class: the student's and the teacher's, (B, C, T)."""
    top = step.teacher.logits.argmax(dim=1)
    theirs = step.teacher.input_gradients
    return step.student.input_gradients(top), theirs[torch.arange(len(top), device=theirs.device), top]
