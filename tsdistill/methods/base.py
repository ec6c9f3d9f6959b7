"""What a loss term is: what it needs, what it binds to, and the step that it maps to a scalar."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from tsdistill.errors import TsdistillError

if TYPE_CHECKING:
    from tsdistill.methods.step import Step

Need = Literal[
    "teacher_logits",
    "teacher_answers",
    "teacher_features",
    "teacher_gradients",
    "windows",
    "student_gradients",
]
"""What a step can be asked for, beyond the student's own logits and features.

``teacher_logits``: on the batch. ``teacher_answers``: on any series that the term makes.
``teacher_features``: hidden sequences. ``teacher_gradients``, ``student_gradients``: of the logits with
respect to the input.
``windows``: perturbed copies of the batch, with both models' logits on them.
"""


@dataclass(frozen=True)
class Layer:
    """A layer whose output a term compares.

    Attributes:
        path: of the submodule.
        shape: (D, T) of its hidden sequence.
    """

    path: str
    shape: tuple[int, int]


@dataclass
class Models:
    """What a term binds to before the first step: the training part's classes, and layers of both models.

    Attributes:
        y: classes of the training part, (N,) int64.
        student: the student.
        teacher: the teacher's network, or None where no term declares ``teacher_features``.
        x: one training series, (1, C, T), for shapes.
        lengths: its true length, (1,) int64, or None.
        student_layers: paths asked for so far; each is captured once, however many terms ask.
        teacher_layers: likewise.
    """

    y: Tensor
    student: nn.Module
    teacher: nn.Module | None
    x: Tensor
    lengths: Tensor | None = None
    student_layers: dict[str, Layer] = field(default_factory=dict)
    teacher_layers: dict[str, Layer] = field(default_factory=dict)

    def student_layer(self, named: str | None = None) -> Layer:
        """Ask for a layer of the student; None takes its ``hint_layer``.

        Raises:
            TsdistillError: there is no such layer.
        """
        return self._layer(self.student, named, self.student_layers, "student")

    def teacher_layer(self, named: str | None = None) -> Layer:
        """Ask for a layer of the teacher; None takes its ``hint_layer``.

        Raises:
            TsdistillError: there is no such layer, or no term declares that it needs ``teacher_features``.
        """
        if self.teacher is None:
            raise TsdistillError(
                "a loss term asks for the teacher's layers; add 'teacher_features' to its needs"
            )
        return self._layer(self.teacher, named, self.teacher_layers, "teacher")

    def _layer(self, model: nn.Module, named: str | None, known: dict[str, Layer], side: str) -> Layer:
        from tsdistill.methods.features import feature_shape, hint_layer

        path = hint_layer(model, named, f"the {side}'s layer ({side}_layer)")
        if path not in known:
            known[path] = Layer(path, feature_shape(model, path, self.x, self.lengths))
        return known[path]


class LossTerm(nn.Module):
    """One summand of a stage's loss.

    A subclass declares what it needs, so that a method is refused before training under a teacher that lacks
    it, and maps a step to a scalar. It may hold parameters, which are trained with the student, and state
    between steps (a memory bank, a momentum copy) in buffers, which are stored with the run. A
    ``torch.Generator`` of its own is an attribute. All three are part of a checkpoint.

    Attributes:
        needs: see ``Need``.
        needs_logits: whether the student's logits are read. A stage none of whose terms reads them ends its
            forward pass at the last layer that is asked for.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    needs_logits: ClassVar[bool] = True

    def bind(self, models: Models) -> None:
        """Ask for layers and build what depends on the two models' shapes; called once, before training."""

    def forward(self, step: "Step") -> Tensor:
        """Loss of one step, a scalar."""
        raise TypeError(f"{type(self).__name__} does not define forward(step)")


def temperature(tau: float) -> float:
    """Return a temperature that is one.

    Raises:
        ValueError: it is not above 0.
    """
    if not tau > 0:
        raise ValueError(f"tau={tau:g} should be above 0")
    return tau


def as_rows(rows: Tensor | slice, like: Tensor) -> Tensor | slice:
    """Move row indices to the device of what they index."""
    return rows.to(like.device) if isinstance(rows, torch.Tensor) else rows
