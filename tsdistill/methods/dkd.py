"""Decoupled knowledge distillation (Zhao et al. 2022, arXiv 2203.08679)."""

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm, temperature
from tsdistill.methods.kd import kd_loss
from tsdistill.methods.step import Step


def dkd_parts(student_logits: Tensor, teacher_logits: Tensor, y: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """The two parts of KD: target class against the rest, and among the others (equation 7).

    Both are computed from logarithms of probabilities, so that no probability of 0 or 1 makes them infinite.

    Args:
        student_logits: (B, K), with gradient.
        teacher_logits: (B, K).
        y: the target classes, (B,) int64.
        tau: temperature, positive; each part has the factor tau^2.

    Returns:
        TCKD and NCKD, scalars. With two classes, NCKD is 0.
    """
    parts = [_split(logits / tau, y) for logits in (student_logits, teacher_logits.detach())]
    (target, others), (target_t, others_t) = parts
    # kd_loss at tau 1 is the divergence alone; of logarithms of probabilities the softmax is the identity.
    return tau**2 * kd_loss(target, target_t, 1.0), tau**2 * kd_loss(others, others_t, 1.0)


def _split(scaled: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of target and rest, (B, 2), and logits of the other classes, (B, K - 1)."""
    B, K = scaled.shape
    target = torch.arange(K, device=y.device) == y[:, None]
    others = scaled[~target].view(B, K - 1)
    rest = torch.logsumexp(others, dim=1) - torch.logsumexp(scaled, dim=1)
    log_target = functional.log_softmax(scaled, dim=1)[target]
    return torch.stack([log_target, rest], dim=1), others


class DecoupledDistillation(LossTerm):
    """alpha TCKD + beta NCKD, warmed up.

    In the first epochs the gradient, not the value, has the factor epoch / warmup: a value that grew with it
    would make the first epochs look like those of lowest loss.

    Args:
        alpha: weight of the target part.
        beta: weight of the part among the other classes.
        tau: temperature.
        warmup: epochs over which the gradient grows to its full size.
    """

    needs = frozenset({"teacher_logits"})

    def __init__(self, alpha: float = 1.0, beta: float = 8.0, tau: float = 4.0, warmup: int = 20) -> None:
        super().__init__()
        if warmup < 1:
            raise ValueError(f"warmup={warmup} should be 1 or more epochs")
        self.alpha, self.beta, self.tau, self.warmup = alpha, beta, temperature(tau), warmup

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        tckd, nckd = dkd_parts(step.student.logits, step.teacher.logits, step.y, self.tau)
        loss = self.alpha * tckd + self.beta * nckd
        warmed = min(step.epoch / self.warmup, 1.0) * loss
        return warmed + (loss - warmed).detach()
