"""Cross-entropy with the labels: the plain student, and a part of most methods."""

from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm
from tsdistill.methods.step import Step


class CrossEntropy(LossTerm):
    """Mean cross-entropy of the student's logits with the labels."""

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        return functional.cross_entropy(step.student.logits, step.y)
