"""Cross-entropy with the labels: the plain student, and a part of most methods."""

from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import LossTerm, StepFacts


class CrossEntropy(LossTerm):
    """Mean cross-entropy of the student's logits with the labels."""

    def forward(self, facts: StepFacts) -> Tensor:
        """See ``LossTerm``."""
        assert facts.student_logits is not None
        return functional.cross_entropy(facts.student_logits, facts.y)
