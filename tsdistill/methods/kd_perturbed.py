"""A control of TSD: KD on the very same perturbed series, which tells saliency from more data."""

import torch
from torch import Tensor

from tsdistill.methods.kd import KnowledgeDistillation, kd_loss
from tsdistill.methods.step import Step


class PerturbedKnowledgeDistillation(KnowledgeDistillation):
    """``kd_loss`` over the clean series and their M perturbed copies, each series weighing the same.

    Args:
        tau: temperature.
    """

    needs = frozenset({"teacher_logits", "windows"})

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        student = torch.cat([step.student.logits[:, None], step.student.perturbed], dim=1)
        teacher = torch.cat([step.teacher.logits[:, None], step.teacher.perturbed], dim=1)
        return kd_loss(student.flatten(0, 1), teacher.flatten(0, 1), self.tau)
