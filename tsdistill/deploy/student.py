"""A trained student with all that it needs to answer: its preprocessing, its class names, its references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from tsdistill.data.prepare import Preparation
from tsdistill.data.raw import RawPart, trailing_lengths
from tsdistill.data.tensors import TensorPart
from tsdistill.data.types import FloatArray, IntArray, Part
from tsdistill.data.unlabelled import Columns
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.predict import predict
from tsdistill.saliency.draws import Draws, References, resolve_window
from tsdistill.saliency.maps import perturbation_map
from tsdistill.training.seeds import generator_of

REFERENCES = 8
"""Training series that a student keeps to explain its answers."""
WINDOW = 0.1
"""Width of the replaced windows, as a fraction of the series."""

Series = NDArray[Any] | Sequence[NDArray[Any]]
"""(N, C, T) or (N, T), or for each series a (C, T_n) array."""


@dataclass(frozen=True)
class Student:
    """A trained student.

    Attributes:
        model: the network, in eval mode.
        classes: the label of each class, as the dataset has it.
        preparation: the preprocessing that its series went through.
        references: some training series, prepared, that lend their windows to explanations.
        columns: how the tables of its dataset are laid out.
        model_conf: ``_target_`` and settings that build the network.
        about: where it comes from: ``run``, ``dataset``, ``method``, ``student``, ``teacher``, ``seed``.
    """

    model: nn.Module
    classes: tuple[str, ...]
    preparation: Preparation
    references: Part
    columns: Columns
    model_conf: Mapping[str, Any]
    about: Mapping[str, Any]

    def predict(self, x: Series) -> NDArray[np.str_]:
        """Labels of series as they are before any preprocessing.

        Args:
            x: (N, C, T) or (N, T), or a list of (C, T_n) arrays; NaN marks a gap.

        Returns:
            Labels by name, (N,).

        Raises:
            TsdistillError: another number of channels, or a length that the student doesn't know.
        """
        labels: NDArray[np.str_] = np.array(self.classes)[self.logits(self.prepared(x)).argmax(axis=1)]
        return labels

    def predict_proba(self, x: Series) -> FloatArray:
        """Probabilities of the classes, (N, K) float32, in the order of ``classes``; see ``predict``."""
        return probabilities(self.logits(self.prepared(x)))

    def explain(self, x: Series, window: float = WINDOW) -> FloatArray:
        """How much each timestep matters to the student's answer; see ``saliency``.

        Args:
            x: see ``predict``.
            window: width of the replaced windows, in steps or as a fraction below 1.

        Returns:
            (N, T) float32, T being the student's own length.
        """
        return self.saliency(self.prepared(x), window)

    def prepared(self, x: Series) -> Part:
        """Series as the network takes them."""
        return self.preparation(_as_raw(x), "x")[0]

    def logits(self, part: Part) -> FloatArray:
        """The network's logits on prepared series, (N, K)."""
        return predict(self.model, part.x, part.lengths)

    def saliency(self, part: Part, window: float = WINDOW) -> FloatArray:
        """Saliency by perturbation, as Temporal Saliency Distillation has it (arXiv 2601.04263).

        Every window of a series is replaced by that of every reference of another class than the student
        predicts. What counts is the divergence of its answer from the one on the series as it is.

        Args:
            part: N prepared series.
            window: width of the windows, in steps or as a fraction below 1 of the shortest series.

        Returns:
            For each timestep the mean divergence over the windows that cover it, (N, T) float32;
            0 in padding.
        """
        steps = _steps(part)
        width = resolve_window(window, int(min(steps.min(), _steps(self.references).min())), "window")
        answers = self.logits(part)
        predicted = answers.argmax(axis=1)
        found = np.zeros((len(part), part.x.shape[2]), dtype=np.float32)
        for label, length in sorted(set(zip(predicted.tolist(), steps.tolist(), strict=True))):
            rows = np.flatnonzero((predicted == label) & (steps == length))
            found[rows] = self._maps(
                part.rows(rows), answers[rows], int(label), int(length) - width + 1, width
            )
        return found

    def _maps(self, part: Part, answers: FloatArray, label: int, starts: int, width: int) -> FloatArray:
        """Maps of series of one length and one predicted class."""
        cpu = torch.device("cpu")
        references = TensorPart.of(self.references, cpu)
        donors = torch.from_numpy(np.flatnonzero(self.references.y != label))
        shape = (len(part), starts * len(donors))
        draws = Draws(
            torch.arange(starts).repeat_interleave(len(donors)).expand(shape),
            donors.repeat(starts).expand(shape),
        )
        lenders = References(references.x, references.y, references.lengths)
        maps = perturbation_map(
            self.model, TensorPart.of(part, cpu), torch.from_numpy(answers), draws, lenders, width
        )
        return maps.float().numpy()


def probabilities(logits: FloatArray) -> FloatArray:
    """Softmax over the classes, (N, K) float32."""
    found: FloatArray = softmax(logits.astype(np.float64), axis=1).astype(np.float32)
    return found


def choose_references(train: Part, count: int = REFERENCES, seed: int = 0) -> Part:
    """Draw training series for explanations: of each class in turn one that was not drawn yet.

    Args:
        train: the training part, prepared, of at least two classes.
        count: how many; at least two classes are drawn from.
        seed: of the draw.

    Returns:
        At most ``count`` series, by class.

    Raises:
        TsdistillError: fewer than two series are asked for.
    """
    if count < 2:
        raise TsdistillError(f"references={count} should be 2 or more, of different classes")
    generator = generator_of(seed, "references")
    order = torch.randperm(len(train), generator=generator).numpy()
    turns: dict[int, int] = {}
    ranked = []
    for row in order.tolist():
        label = int(train.y[row])
        turns[label] = turns.get(label, 0) + 1
        ranked.append((turns[label], label, row))
    rows = [row for _, _, row in sorted(ranked)[:count]]
    return train.rows(np.array(sorted(rows, key=lambda row: (train.y[row], row)), dtype=np.int64))


def _steps(part: Part) -> IntArray:
    """True lengths, (N,)."""
    return np.full(len(part), part.x.shape[2]) if part.lengths is None else part.lengths


def _as_raw(x: Series) -> RawPart:
    """Series as a reader would hand them over; gaps at the end mean that a series has ended."""
    if not len(x):
        raise TsdistillError("x has no series")
    if not isinstance(x, np.ndarray):
        series = [np.atleast_2d(np.asarray(one, dtype=np.float32)) for one in x]
        return RawPart.ragged(series, [""] * len(series))
    if x.ndim not in (2, 3) or x.dtype.kind not in "iufb":
        raise TsdistillError(f"x must be numbers of shape (N, C, T) or (N, T), not {x.dtype} {x.shape}")
    raw = RawPart.of(x, [""] * len(x))
    return RawPart(raw.values, trailing_lengths(raw.values), raw.labels)
