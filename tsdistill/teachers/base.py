"""What a teacher is: something that learns from labels and gives logits on any series."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.methods.base import Need
from tsdistill.training.state import FitResult

Optimise = Callable[[nn.Module, int, bool], FitResult]
"""Trains a network under ``teacher.training``: (network, seed, whether to give up on a plateau)."""

ANSWERS: frozenset[Need] = frozenset({"teacher_logits", "teacher_answers", "windows"})
"""What follows from logits on any series; every teacher provides it."""


@dataclass(frozen=True)
class FitTask:
    """What a teacher learns from. The test part is not in it.

    Attributes:
        parts: ``train`` and, if there is one, ``validation``.
        classes: number of classes K.
        device: where series lie.
        seeds: the teacher's seed, then those for networks that begin anew (``teacher.training.restarts``).
        optimise: for teachers whose constructor takes ``network``; their key covers ``teacher.training``.
    """

    parts: Mapping[str, TensorPart]
    classes: int
    device: torch.device
    seeds: tuple[int, ...]
    optimise: Optimise


class Teacher(ABC):
    """A classifier that teaches.

    A subclass needs ``fit`` and ``logits``. What it provides beyond them it declares in ``provides``, so that
    a method which needs more is refused before anything is trained. It is built from the config node
    ``teacher.kind``; an argument named ``network`` is given a function that builds the network of
    ``teacher.model``.

    Attributes:
        provides: what a loss term may ask of it, see ``tsdistill.methods.base.Need``.
    """

    provides: ClassVar[frozenset[Need]] = ANSWERS

    @abstractmethod
    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Learn. The same task gives the same teacher.

        Returns:
            How it went, plain values, stored with the teacher.
        """

    @abstractmethod
    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Answer.

        Args:
            x: series, (B, C, T) float32.
            lengths: true lengths of padded series, (B,) int64, or None.

        Returns:
            Logits, (B, K) float32, on the device of ``x``; the logarithms of probabilities will do.
        """

    @property
    def network(self) -> nn.Module:
        """The network, frozen and in eval mode; for a teacher that provides ``teacher_features``."""
        raise TsdistillError(f"{type(self).__name__} is no network")

    def input_gradients(self, part: TensorPart) -> Tensor:
        """Gradients of the logits with respect to the input, (N, K, C, T); see ``teacher_gradients``."""
        raise TsdistillError(f"{type(self).__name__} has no input gradients")

    def parameters(self) -> int | None:
        """Number of parameters; None for a teacher that has none to count."""
        return None

    def state(self) -> Mapping[str, Tensor]:
        """What ``restore`` starts from; empty for a teacher that is fitted again from its seed."""
        return {}

    def restore(self, state: Mapping[str, Tensor], task: FitTask) -> None:
        """Become the teacher that was stored: here, by being fitted again."""
        self.fit(task)

    def as_module(self) -> nn.Module:
        """A module from series to logits, in eval mode, for pools, maps and metrics."""
        return AnswerModule(self.logits)

    def training_modules(self, rows: int) -> Sequence[tuple[Tensor, nn.Module]]:
        """Who answers the training series and their perturbed copies.

        Args:
            rows: number of training series N.

        Returns:
            Rows of the training part, int64 on the CPU, and the module that answers them; every row once.
            Here the teacher itself answers them all; a cross-fitted one has a module for each fold.
        """
        return [(torch.arange(rows), self.as_module())]

    def notes(self) -> list[str]:
        """What is worth telling of its answers since this was last asked, a line each."""
        return []


class AnswerModule(nn.Module):
    """Answers of what is no network, behind the interface of one: no parameters, no gradients.

    Args:
        answers: (x (B, C, T), lengths (B,) or None) to logits (B, K).
    """

    def __init__(self, answers: Callable[[Tensor, Tensor | None], Tensor]) -> None:
        super().__init__()
        self._answers = answers
        self.eval()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K) of series (B, C, T), without gradients."""
        return self._answers(x.detach(), lengths)
