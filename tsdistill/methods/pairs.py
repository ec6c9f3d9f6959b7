"""What methods that compare features share: one layer of each model, aligned in time, and pooling."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.methods.base import Layer, LossTerm, Models
from tsdistill.methods.step import Step

Pool = Literal["mean", "last", "flat"]


class FeaturePair(LossTerm):
    """A term that compares the hidden sequences of one layer of each model.

    Args:
        teacher_layer: path of the teacher's layer; None takes its ``hint_layer``.
        student_layer: path of the student's layer; None takes its ``hint_layer``.
    """

    needs = frozenset({"teacher_features"})
    needs_logits = False

    _hint: Layer
    _guided: Layer

    def __init__(self, teacher_layer: str | None = None, student_layer: str | None = None) -> None:
        super().__init__()
        self.teacher_layer = teacher_layer
        self.student_layer = student_layer

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        self._hint = models.teacher_layer(self.teacher_layer)
        self._guided = models.student_layer(self.student_layer)

    @property
    def widths(self) -> tuple[int, int]:
        """Widths D of the student's layer and of the teacher's."""
        return self._guided.shape[0], self._hint.shape[0]

    def sequences(self, step: Step) -> tuple[Tensor, Tensor, Tensor | None]:
        """Hidden sequences over the same timesteps.

        Where the layers differ in length, the student's is resampled linearly to the teacher's.

        Returns:
            The student's (B, D, T) with gradient, the teacher's (B, E, T), and which timesteps are no
            padding, (B, T) bool, or None where none is.
        """
        theirs = step.teacher.features(self._hint)
        ours = step.student.features(self._guided)
        length, inside = theirs.shape[-1], step.inside
        if ours.shape[-1] != length:
            ours = functional.interpolate(ours, size=length, mode="linear", align_corners=True)
        if inside is not None and inside.shape[-1] != length:
            inside = functional.interpolate(inside[:, None].float(), size=length)[:, 0].bool()
        return ours.to(theirs.dtype), theirs, inside


class PooledPair(FeaturePair):
    """A term that compares one vector of each model per series.

    Args:
        teacher_layer: see ``FeaturePair``.
        student_layer: see ``FeaturePair``.
        pool: see ``pooled``.
    """

    def __init__(
        self, teacher_layer: str | None = None, student_layer: str | None = None, pool: Pool = "mean"
    ) -> None:
        super().__init__(teacher_layer, student_layer)
        self.pool = pool

    def vectors(self, step: Step) -> tuple[Tensor, Tensor]:
        """The student's (B, F) with gradient, and the teacher's (B, G)."""
        ours, theirs, inside = self.sequences(step)
        return pooled(ours, inside, self.pool), pooled(theirs, inside, self.pool)


def pooled(sequence: Tensor, inside: Tensor | None, how: Pool) -> Tensor:
    """One vector per series.

    Args:
        sequence: features, (B, D, T).
        inside: which timesteps are no padding, (B, T) bool; None where none is.
        how: ``mean`` over the true steps, the ``last`` true step, or all of them ``flat``, padding as zeros.

    Returns:
        (B, D), or (B, D T) for ``flat``.

    Raises:
        ValueError: ``how`` is none of these.
    """
    if how not in ("mean", "last", "flat"):
        raise ValueError(f"pool={how} is not one of mean, last, flat")
    if inside is not None:
        sequence = sequence.masked_fill(~inside[:, None], 0.0)
    if how == "flat":
        return sequence.flatten(1)
    counts = None if inside is None else inside.sum(dim=1).clamp_min(1)
    if how == "mean":
        return sequence.mean(dim=-1) if counts is None else sequence.sum(dim=-1) / counts[:, None]
    if counts is None:
        return sequence[..., -1]
    return sequence[torch.arange(len(sequence), device=sequence.device), :, counts - 1]


def unit(rows: Tensor) -> Tensor:
    """Rows (B, ...) flattened to (B, F) and divided by their L2 norm; a row of zeros stays one."""
    return functional.normalize(rows.flatten(1), dim=1)
