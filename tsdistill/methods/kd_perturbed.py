"""A control of TSD: KD on the very same perturbed series, which tells saliency from more data."""

import torch
from torch import Tensor

from tsdistill.methods.base import StepFacts
from tsdistill.methods.kd import KnowledgeDistillation, kd_loss


class PerturbedKnowledgeDistillation(KnowledgeDistillation):
    """``kd_loss`` over the clean series and their M perturbed copies, each series weighing the same.

    Args:
        tau: temperature.
    """

    needs = frozenset({"teacher_logits", "windows"})

    def forward(self, facts: StepFacts) -> Tensor:
        """See ``LossTerm``."""
        assert facts.student_logits is not None and facts.student_perturbed is not None
        assert facts.teacher_logits is not None and facts.teacher_perturbed is not None
        student = torch.cat([facts.student_logits[:, None], facts.student_perturbed], dim=1)
        teacher = torch.cat([facts.teacher_logits[:, None], facts.teacher_perturbed], dim=1)
        return kd_loss(student.flatten(0, 1), teacher.flatten(0, 1), self.tau)
