"""Any classifier of scikit-learn's or sktime's manner as a teacher."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.teachers.base import AnswerModule, FitTask, Teacher
from tsdistill.teachers.classifier import Classifier, check_nodes
from tsdistill.teachers.folds import DEFAULT_FOLDS, Rows, folds_asked, held_out, is_worth_it
from tsdistill.teachers.labels import hold_against_labels
from tsdistill.teachers.reading import (
    FORMS,
    LEAST,
    Answers,
    Reading,
    are_votes,
    fitted_temperature,
    is_one_hot,
    voters_of,
)


class EstimatorTeacher(Teacher):
    """A classifier with ``fit`` and ``predict_proba`` or ``decision_function``.

    It is never pickled: where new answers are needed, it is fitted again from its seed.

    Args:
        estimator: ``_target_`` and settings of the classifier; nodes inside it may have a ``_target_`` too.
            Every ``random_state`` that is not set becomes the teacher's seed.
        series: ``panel`` gives it (N, C, T), ``flat`` (N, C T); ``auto`` tries the first, then the second.
        cross_fit: the setting ``teacher.cross_fit``: whether the training series and their perturbed copies
            are answered by the model of a fold that has not seen them.
    """

    def __init__(
        self,
        estimator: Mapping[str, Any],
        series: Literal["auto", "panel", "flat"] = "auto",
        cross_fit: int | str = "auto",
    ) -> None:
        self._node = {str(key): value for key, value in estimator.items()}
        check_nodes(self._node)
        self._flat = {"auto": None, "panel": False, "flat": True}[series]
        self._cross_fit = cross_fit
        self._folds_asked = folds_asked(cross_fit)
        self._reading = Reading("probabilities")
        self._held: list[Rows] = []
        self._folds: list[Classifier] = []
        self._asked = self._raised = 0
        self._told: list[str] = []

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Fit on the training part and on the rest of each fold.

        Without cross-fitting, folds are fitted only where a temperature has to be.
        """
        train, y = self._begin(task), _labels(task)
        folds = self._folds_asked or (DEFAULT_FOLDS if self._whole.scored else 0)
        self._held = held_out(y, folds, task.seeds[0]) if folds else []
        self._fit_folds()
        inside = self._whole.answers(train.x, train.lengths)
        hold_against_labels(inside, y, task.classes)
        seen = np.concatenate([*self._held, np.empty(0, dtype=np.int64)])
        parts = [train.rows(torch.from_numpy(rows)) for rows in self._held]
        outside = np.concatenate(
            [model.answers(part.x, part.lengths) for model, part in zip(self._folds, parts, strict=True)]
            or [inside[:0]]
        )
        self._reading = self._read(np.concatenate([inside, outside]), outside, y[seen])
        return self._settle(inside, _accuracy(inside, y), _accuracy(outside, y[seen]))

    def _begin(self, task: FitTask) -> TensorPart:
        self._task, train = task, task.parts["train"]
        self._whole = Classifier.fitted(self._node, train, task.classes, task.seeds[0], self._flat)
        return train

    def _fit_folds(self) -> None:
        task, train = self._task, self._task.parts["train"]
        self._folds = [
            Classifier.fitted(
                self._node,
                train.rows(_others(rows, len(train))),
                task.classes,
                task.seeds[0],
                manner=self._whole.manner,
            )
            for rows in self._held
        ]

    def _read(self, answers: Answers, outside: Answers, y: NDArray[np.int64]) -> Reading:
        """Find what the answers are; a temperature is fitted on those to unseen series, of classes y."""
        if self._whole.scored:
            return Reading("scores", temperature=fitted_temperature(outside, y))
        voters = voters_of(self._whole.model)
        if voters and are_votes(answers, voters):
            return Reading("votes", voters)
        if is_one_hot(answers):
            self._told.append("it answers with one class and no doubt, which tells students little")
        return Reading("probabilities")

    def _settle(self, answers: Answers, inside: float, outside: float) -> dict[str, Any]:
        """Decide who answers the training series, and say how it went."""
        folds = len(self._held)
        if not is_worth_it(self._cross_fit, answers, outside, self._held):
            self._held, self._folds = [], []
        apart = f", {outside:.3f} out of fold ({folds} folds)" if folds else ""
        who = "the folds that have not seen them" if self._held else "the whole model"
        self._told += [
            f"accuracy {inside:.3f} in sample{apart}; training series are answered by {who}",
            f"its answers are {self._reading.told}",
        ]
        return {
            "answers": self._reading.form,
            "voters": self._reading.voters,
            "temperature": self._reading.temperature,
            "in_sample_accuracy": inside,
            "out_of_fold_accuracy": outside if folds else None,
            "cross_fitted": len(self._held),
        }

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Teacher``; the classifier fitted on the whole training part answers."""
        return self._logits(self._whole, x, lengths)

    def _logits(self, model: Classifier, x: Tensor, lengths: Tensor | None) -> Tensor:
        found, raised = self._reading.logits(model.answers(x, lengths))
        self._asked, self._raised = self._asked + len(x), self._raised + raised
        return torch.from_numpy(found).float().to(x.device)

    def training_modules(self, rows: int) -> Sequence[tuple[Tensor, nn.Module]]:
        """See ``Teacher``: if cross-fitted, each fold's model for the series that it has not seen."""
        if not self._held:
            return super().training_modules(rows)
        if not self._folds:
            self._fit_folds()
        found: list[tuple[Tensor, nn.Module]] = [
            (torch.from_numpy(held), AnswerModule(partial(self._logits, model)))
            for held, model in zip(self._held, self._folds, strict=True)
        ]
        left = _others(np.concatenate(self._held), rows)
        return [*found, (left, self.as_module())] if len(left) else found

    def notes(self) -> list[str]:
        """See ``Teacher``; among them how many answers had to be clipped."""
        told, self._told = self._told, []
        if self._raised:
            told.append(
                f"{self._raised:,} of {self._asked:,} answers held a probability below {LEAST:g}, "
                "which was raised to it"
            )
        self._asked = self._raised = 0
        return told

    def state(self) -> Mapping[str, Tensor]:
        """How its answers are read, and how many folds answer the training series."""
        reading = self._reading
        return {
            "form": torch.tensor(FORMS.index(reading.form)),
            "voters": torch.tensor(reading.voters),
            "temperature": torch.tensor(reading.temperature, dtype=torch.float64),
            "folds": torch.tensor(len(self._held)),
        }

    def restore(self, state: Mapping[str, Tensor], task: FitTask) -> None:
        """Fit the classifier again; folds only once their answers are needed."""
        self._begin(task)
        form = FORMS[int(state["form"])]
        self._reading = Reading(form, int(state["voters"]), float(state["temperature"]))
        folds = int(state["folds"])
        self._held = held_out(_labels(task), folds, task.seeds[0]) if folds else []
        self._folds = []


def _labels(task: FitTask) -> NDArray[np.int64]:
    return task.parts["train"].y.cpu().numpy()


def _others(rows: Rows, n: int) -> Tensor:
    """Rows of 0..n-1 that are not among some."""
    return torch.from_numpy(np.setdiff1d(np.arange(n), rows))


def _accuracy(answers: Answers, y: NDArray[np.int64]) -> float:
    return float((answers.argmax(axis=1) == y).mean()) if len(y) else float("nan")
