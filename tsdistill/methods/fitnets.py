"""FitNets: the student's guided layer regresses the teacher's hint (Romero et al. 2015, arXiv 1412.6550)."""

from torch import Tensor, nn
from torch.nn import functional

from tsdistill.methods.base import Models
from tsdistill.methods.pairs import FeaturePair
from tsdistill.methods.step import Step


def hint_loss(regressed: Tensor, hint: Tensor, inside: Tensor | None = None) -> Tensor:
    """Half the mean squared difference between hint and regressed guided features (equation 3).

    Args:
        regressed: (B, D, T), with gradient.
        hint: the teacher's features, (B, D, T).
        inside: which timesteps are no padding, (B, T) bool; None where none is.

    Returns:
        Scalar, the mean over all elements that are no padding.
    """
    if inside is None:
        return 0.5 * functional.mse_loss(regressed, hint.detach())
    squared = (regressed - hint.detach()).square().mean(dim=1)
    return 0.5 * (squared * inside).sum() / inside.sum().clamp_min(1)


class Hint(FeaturePair):
    """``hint_loss`` under a learned 1x1 convolution from the student's width to the teacher's.

    Args:
        teacher_layer: path of the teacher's hint layer; None takes its ``hint_layer``.
        student_layer: path of the student's guided layer; None takes its ``hint_layer``.
    """

    def __init__(self, teacher_layer: str | None = None, student_layer: str | None = None) -> None:
        super().__init__(teacher_layer, student_layer)
        self.regressor: nn.Module = nn.Identity()

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        super().bind(models)
        self.regressor = nn.Conv1d(*self.widths, kernel_size=1)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        guided, hint, inside = self.sequences(step)
        return hint_loss(self.regressor(guided), hint, inside)
