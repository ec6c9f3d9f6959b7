"""What a loss term is: what it needs, what it is told of the two models, and what it sees of a step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

Need = Literal["teacher_logits", "features", "windows"]


@dataclass(frozen=True)
class Features:
    """The layers at which two models' hidden sequences are compared, and their shapes.

    Attributes:
        teacher_shape: (D, T) of the teacher's hidden sequence.
        student_shape: (D, T) of the student's.
    """

    teacher_shape: tuple[int, int]
    student_shape: tuple[int, int]


@dataclass(frozen=True)
class StepFacts:
    """Everything that a loss term may look at in one step.

    Attributes:
        y: classes, (B,) int64.
        epoch: counted from 1 within the stage.
        student_logits: (B, K), float32, with gradient.
        teacher_logits: (B, K), float32, constant.
        student_features: the guided layer's hidden sequence of the clean series, (B, D, T), with gradient.
        teacher_features: the hint layer's, likewise, constant.
        inside: which timesteps are no padding, (B, T) bool; None where none is.
        student_perturbed: student's logits on the perturbed copies, (B, M, K), with gradient.
        teacher_perturbed: the teacher's on the same, constant.
        rows: the series' rows in the training part, (B,) int64, on the CPU.
        teacher_elsewhere: the teacher's logits on any other training rows (B,), clean (B, K) and perturbed at
            the very same windows' places (B, M, K); constant.
    """

    y: Tensor
    epoch: int
    student_logits: Tensor | None = None
    teacher_logits: Tensor | None = None
    student_features: Tensor | None = None
    teacher_features: Tensor | None = None
    inside: Tensor | None = None
    student_perturbed: Tensor | None = None
    teacher_perturbed: Tensor | None = None
    rows: Tensor | None = None
    teacher_elsewhere: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None


class LossTerm(nn.Module):
    """One summand of a stage's loss. A subclass says what it needs and maps a step's facts to a scalar.

    Attributes:
        needs: which facts the step must bring. A term that needs ``features`` may name the layers by
            ``teacher_layer`` and ``student_layer`` (submodule paths); None takes each model's ``hint_layer``.
        needs_logits: whether the student's own logits are read; a stage none of whose terms does stops its
            forward pass at the guided layer.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    needs_logits: ClassVar[bool] = True
    teacher_layer: str | None = None
    student_layer: str | None = None

    def bind(self, features: Features) -> None:
        """Build what depends on the two models' shapes (a regressor, a projection); called once if needed."""

    def meet(self, y: Tensor) -> None:
        """See the classes of the training part, (N,) int64; called once, before the first step."""

    def forward(self, facts: StepFacts) -> Tensor:
        """Loss of one step, a scalar."""
        raise TypeError(f"{type(self).__name__} does not say how its loss is computed")


def temperature(tau: float) -> float:
    """Give a term's temperature back if it is one.

    Raises:
        ValueError: it is not above 0.
    """
    if not tau > 0:
        raise ValueError(f"tau={tau:g} should be above 0")
    return tau
