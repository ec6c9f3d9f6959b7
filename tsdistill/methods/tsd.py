"""Temporal Saliency Distillation (arXiv 2601.04263)."""

from torch import Tensor

from tsdistill.methods.base import LossTerm, temperature
from tsdistill.methods.step import Step
from tsdistill.saliency.measure import Form, normalise, saliency_loss, window_saliency


def tsd_loss(
    student_clean: Tensor,
    student_perturbed: Tensor,
    teacher_clean: Tensor,
    teacher_perturbed: Tensor,
    tau: float,
    form: Form,
) -> Tensor:
    """Smooth L1 between the two models' normalised saliencies of the same windows.

    Args:
        student_clean: student's logits, (B, K), with gradient.
        student_perturbed: student's logits on the perturbed copies, (B, M, K), with gradient.
        teacher_clean: teacher's logits, (B, K).
        teacher_perturbed: teacher's logits on the same copies, (B, M, K).
        tau: temperature of both distributions.
        form: form of the saliency.

    Returns:
        Scalar.
    """
    student = normalise(window_saliency(student_clean, student_perturbed, tau, form), form)
    teacher = normalise(window_saliency(teacher_clean, teacher_perturbed, tau, form), form)
    return saliency_loss(student, teacher)


class TemporalSaliency(LossTerm):
    """``tsd_loss`` of a batch; the windows come from the ``saliency`` settings.

    Args:
        tau: temperature.
        form: ``classwise`` (the released code's), ``summed`` (the divergence), ``root`` or ``logit``.
    """

    needs = frozenset({"teacher_logits", "windows"})

    def __init__(self, tau: float = 8.0, form: Form = "classwise") -> None:
        super().__init__()
        self.tau = temperature(tau)
        self.form = form

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return tsd_loss(
            step.student.logits,
            step.student.perturbed,
            step.teacher.logits,
            step.teacher.perturbed,
            self.tau,
            self.form,
        )
