"""Knowledge distillation of softened predictions (Hinton, Vinyals and Dean 2015, arXiv 1503.02531)."""

from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm, temperature
from tsdistill.methods.step import Step


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, tau: float) -> Tensor:
    """Tau^2 KL(p(z_t; tau) || p(z_s; tau)), summed over the classes, mean over the batch.

    Args:
        student_logits: (B, K), with gradient.
        teacher_logits: (B, K).
        tau: temperature, positive. The factor tau^2 keeps the gradient's size (Hinton 2015, section 2).

    Returns:
        Scalar.
    """
    return tau**2 * functional.kl_div(
        functional.log_softmax(student_logits / tau, dim=-1),
        functional.log_softmax(teacher_logits.detach() / tau, dim=-1),
        reduction="batchmean",
        log_target=True,
    )


class KnowledgeDistillation(LossTerm):
    """``kd_loss`` on the clean series.

    Args:
        tau: temperature.
    """

    needs = frozenset({"teacher_logits"})

    def __init__(self, tau: float = 4.0) -> None:
        super().__init__()
        self.tau = temperature(tau)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return kd_loss(step.student.logits, step.teacher.logits, self.tau)
