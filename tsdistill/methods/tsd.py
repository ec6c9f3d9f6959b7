"""Temporal Saliency Distillation (arXiv 2601.04263)."""

from typing import Literal, get_args

from torch import Tensor

from tsdistill.methods.base import LossTerm, temperature
from tsdistill.methods.step import Step
from tsdistill.saliency.measure import Form, saliency_loss, saliency_scale, window_saliency

Scale = Literal["own", "teacher"]
SCALES: tuple[Scale, ...] = get_args(Scale)


def tsd_loss(
    student_clean: Tensor,
    student_perturbed: Tensor,
    teacher_clean: Tensor,
    teacher_perturbed: Tensor,
    tau: float,
    form: Form,
    scale: Scale = "own",
) -> Tensor:
    """Smooth L1 between the two models' normalised saliencies of the same windows.

    ``own`` divides each model's saliency by its own scale (the paper's normalisation), which leaves the size
    of the student's saliency free; ``teacher`` divides both by the teacher's, which ties it.

    Args:
        student_clean: student's logits, (B, K), with gradient.
        student_perturbed: student's logits on the perturbed copies, (B, M, K), with gradient.
        teacher_clean: teacher's logits, (B, K).
        teacher_perturbed: teacher's logits on the same copies, (B, M, K).
        tau: temperature of both distributions.
        form: form of the saliency.
        scale: ``own`` or ``teacher``.

    Returns:
        Scalar.
    """
    student = window_saliency(student_clean, student_perturbed, tau, form)
    teacher = window_saliency(teacher_clean, teacher_perturbed, tau, form)
    unit = saliency_scale(teacher, form)
    divisor = saliency_scale(student, form) if scale == "own" else unit
    return saliency_loss(student / divisor, teacher / unit)


class TemporalSaliency(LossTerm):
    """``tsd_loss`` of a batch; the windows come from the ``saliency`` settings.

    Args:
        tau: temperature.
        form: ``classwise`` (the released code's), ``summed`` (the divergence), ``root`` or ``logit``.
        scale: what saliency is divided by: each model's ``own`` scale (the paper's), or the ``teacher``'s.
    """

    needs = frozenset({"teacher_logits", "windows"})

    def __init__(self, tau: float = 8.0, form: Form = "classwise", scale: Scale = "own") -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f"scale={scale} is not one of {', '.join(SCALES)}")
        self.tau = temperature(tau)
        self.form = form
        self.scale = scale

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return tsd_loss(
            step.student.logits,
            step.student.perturbed,
            step.teacher.logits,
            step.teacher.perturbed,
            self.tau,
            self.form,
            self.scale,
        )
