"""MemKD: how a recurrent model's memory moves (arXiv 2601.04264)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.errors import TsdistillError
from tsdistill.methods.base import Models
from tsdistill.methods.pairs import FeaturePair
from tsdistill.methods.step import Step

_EPS = 1e-8


def memory_discrepancy(sequence: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """How far the hidden state moves between two steps, relative to where it starts.

    Args:
        sequence: hidden states, (B, D, T).
        starts: first step s of each pair, (P,) int64.
        ends: second step e of each pair, (P,) int64.

    Returns:
        ||h_e - h_s|| / (||h_s|| + 1e-8), (B, P).
    """
    first, second = sequence[..., starts], sequence[..., ends]
    moved: Tensor = torch.linalg.vector_norm(second - first, dim=1)
    size: Tensor = torch.linalg.vector_norm(first, dim=1)
    return moved / (size + _EPS)


def memory_loss(
    student: Tensor, teacher: Tensor, starts: Tensor, ends: Tensor, inside: Tensor | None = None
) -> Tensor:
    """Smooth L1 between the two models' discrepancies.

    Args:
        student: hidden states, (B, D, T), with gradient.
        teacher: hidden states, (B, E, T).
        starts: first step of each pair, (P,) int64.
        ends: second step of each pair, (P,) int64, after the first.
        inside: which timesteps are no padding, (B, T) bool; None where none is.

    Returns:
        Scalar, the mean over all pairs that lie inside their series; 0 where there is none.
    """
    gaps = functional.smooth_l1_loss(
        memory_discrepancy(student, starts, ends),
        memory_discrepancy(teacher.detach(), starts, ends),
        reduction="none",
    )
    counted = torch.ones_like(gaps) if inside is None else inside[:, ends].to(gaps)
    return (gaps * counted).sum() / counted.sum().clamp_min(1)


class MemoryTransfer(FeaturePair):
    """``memory_loss`` over all pairs of neighbouring steps, and over random pairs.

    The same random pairs serve both models and the whole batch. In validation they are always the same.

    Args:
        teacher_layer: path of a recurrent layer of the teacher; None takes its ``hint_layer``.
        student_layer: path of a recurrent layer of the student; None takes its ``hint_layer``.
        pairs: number of random pairs.
    """

    def __init__(
        self, teacher_layer: str | None = None, student_layer: str | None = None, pairs: int = 100
    ) -> None:
        super().__init__(teacher_layer, student_layer)
        if pairs < 1:
            raise ValueError(f"pairs={pairs} should be 1 or more")
        self.pairs = pairs

    def bind(self, models: Models) -> None:
        """See ``LossTerm``.

        Raises:
            TsdistillError: one of the layers is not recurrent.
        """
        super().bind(models)
        assert models.teacher is not None
        for side, model, layer in (
            ("teacher", models.teacher, self._hint),
            ("student", models.student, self._guided),
        ):
            if not isinstance(model.get_submodule(layer.path), nn.RNNBase):
                raise TsdistillError(
                    f"method memkd compares the memory of recurrent layers; layer {layer.path} of the {side} "
                    f"({type(model).__name__}) is not one; choose an LSTM or a GRU on both sides"
                )

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        ours, theirs, inside = self.sequences(step)
        length, device = ours.shape[-1], ours.device
        if length < 2:
            raise TsdistillError("method memkd needs series of at least 2 timesteps")
        steps = torch.arange(length, device=device)
        starts, ends = (chosen.to(device) for chosen in self._drawn(length))
        return memory_loss(ours, theirs, steps[:-1], steps[1:], inside) + memory_loss(
            ours, theirs, starts, ends, inside
        )

    def _drawn(self, length: int) -> tuple[Tensor, Tensor]:
        """Random pairs s < e, each equally likely: (P,) and (P,)."""
        generator = None if self.training else torch.Generator().manual_seed(0)
        first = torch.randint(length, (self.pairs,), generator=generator)
        second = torch.randint(length - 1, (self.pairs,), generator=generator)
        second = second + (second >= first)  # uniform over the other steps
        return torch.minimum(first, second), torch.maximum(first, second)
