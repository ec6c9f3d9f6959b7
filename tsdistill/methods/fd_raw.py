"""Finite differences: TSD's changes of the logits, without its normalisation and its smooth L1."""

from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm
from tsdistill.methods.step import Step
from tsdistill.saliency.measure import window_saliency


def difference_loss(
    student_clean: Tensor, student_perturbed: Tensor, teacher_clean: Tensor, teacher_perturbed: Tensor
) -> Tensor:
    """Mean squared difference of how much windows change the logits, centred over the classes.

    Args:
        student_clean: (B, K), with gradient.
        student_perturbed: (B, M, K), with gradient.
        teacher_clean: (B, K).
        teacher_perturbed: (B, M, K).

    Returns:
        Scalar.
    """
    student = window_saliency(student_clean, student_perturbed, 1.0, "logit")
    return functional.mse_loss(
        student, window_saliency(teacher_clean, teacher_perturbed, 1.0, "logit").detach()
    )


class FiniteDifferences(LossTerm):
    """``difference_loss`` of a batch; the windows come from the ``saliency`` settings."""

    needs = frozenset({"teacher_logits", "windows"})

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        student, teacher = step.student, step.teacher
        return difference_loss(student.logits, student.perturbed, teacher.logits, teacher.perturbed)
