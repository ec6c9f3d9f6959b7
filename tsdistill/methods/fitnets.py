"""FitNets: the student's guided layer regresses the teacher's hint (Romero et al. 2015, arXiv 1412.6550)."""

from torch import Tensor, nn
from torch.nn import functional

from tsdistill.methods.base import LossTerm, Models
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


class Hint(LossTerm):
    """``hint_loss`` under a learned 1x1 convolution from the student's width to the teacher's.

    Where the two sequences differ in length, the regressed one is resampled linearly to the hint's.

    Args:
        teacher_layer: path of the teacher's hint layer; None takes its ``hint_layer``.
        student_layer: path of the student's guided layer; None takes its ``hint_layer``.
    """

    needs = frozenset({"teacher_features"})
    needs_logits = False

    def __init__(self, teacher_layer: str | None = None, student_layer: str | None = None) -> None:
        super().__init__()
        self.teacher_layer = teacher_layer
        self.student_layer = student_layer
        self.regressor: nn.Module = nn.Identity()

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        self._hint = models.teacher_layer(self.teacher_layer)
        self._guided = models.student_layer(self.student_layer)
        self.regressor = nn.Conv1d(self._guided.shape[0], self._hint.shape[0], kernel_size=1)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        hint = step.teacher.features(self._hint)
        regressed: Tensor = self.regressor(step.student.features(self._guided))
        if regressed.shape[-1] != hint.shape[-1]:
            regressed = functional.interpolate(
                regressed, size=hint.shape[-1], mode="linear", align_corners=True
            )
        inside = step.inside
        if inside is not None and inside.shape[-1] != hint.shape[-1]:
            inside = functional.interpolate(inside[:, None].float(), size=hint.shape[-1])[:, 0].bool()
        return hint_loss(regressed, hint, inside)
