"""Attribution-driven distillation by gradient times input (after AD-KD, Wu et al. 2023, arXiv 2305.10010)."""

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm
from tsdistill.methods.step import Step


def attributions(x: Tensor, logits: Tensor, gradients: Tensor) -> Tensor:
    """Norm over the channels of x d(-log p_k)/dx at each timestep, of unit norm over time.

    Args:
        x: series, (B, C, T).
        logits: a model's, (B, K).
        gradients: of its logits with respect to the series, (B, K, C, T); a part that all classes share does
            not count, since that of -log p_k is the mean of them all under p less that of class k.

    Returns:
        (B, K, T); zeros where a gradient is zero.
    """
    p = functional.softmax(logits, dim=1).to(gradients.dtype)
    mean = torch.einsum("bk,bkct->bct", p, gradients)
    products = x[:, None] * (mean[:, None] - gradients)
    return functional.normalize(torch.linalg.vector_norm(products, dim=2), dim=2)


def attribution_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of attributions over time, summed over the classes, mean over the batch.

    Args:
        student: (B, K, T), differentiable.
        teacher: (B, K, T).

    Returns:
        Scalar, between 0 and 2 K.
    """
    return (student - teacher.detach()).square().sum(dim=(1, 2)).mean()


class AttributionMatching(LossTerm):
    """``attribution_loss`` over all classes: the student is differentiated once for each but the first."""

    needs = frozenset({"teacher_logits", "teacher_gradients", "student_gradients"})

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        x, logits = step.x.detach(), step.student.logits
        gaps = [step.student.gradients_of(logits[:, k] - logits[:, 0]) for k in range(1, logits.shape[1])]
        student = attributions(x, logits, torch.stack([torch.zeros_like(x), *gaps], dim=1))
        return attribution_loss(student, attributions(x, step.teacher.logits, step.teacher.input_gradients))
