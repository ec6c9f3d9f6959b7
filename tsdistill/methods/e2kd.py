"""Explanation-enhanced distillation, e2KD (Parchami-Araghi et al. 2024, arXiv 2402.03119)."""

from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm
from tsdistill.methods.jacobian import top_class_gradients
from tsdistill.methods.step import Step


def explanation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine of the two models' explanations (equation 3).

    Args:
        student: explanations, (B, ...), differentiable.
        teacher: explanations, of the same shape.

    Returns:
        Scalar, the mean over the batch, between 0 and 2; 1 where an explanation is zero.
    """
    return 1 - functional.cosine_similarity(student.flatten(1), teacher.detach().flatten(1)).mean()


class ExplanationMatching(LossTerm):
    """``explanation_loss`` of the input gradients of the teacher's top class."""

    needs = frozenset({"teacher_logits", "teacher_gradients", "student_gradients"})

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return explanation_loss(*top_class_gradients(step))
