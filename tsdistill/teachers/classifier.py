"""A classifier of scikit-learn's or sktime's manner: built from settings, fitted to series, asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor

from tsdistill.config.targets import check_target
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.teachers.reading import Answers, is_one_hot, two_columns
from tsdistill.training.device import same_threads

PLACE = "teacher.kind.estimator"
EXTRAS = {"numba": "rocket", "onnxruntime": "export"}
"""The extra of ours that installs a package."""


@dataclass(frozen=True)
class Manner:
    """How a classifier takes series and which of its methods answers.

    Attributes:
        flat: it takes (N, C T) instead of (N, C, T).
        method: ``predict_proba`` or ``decision_function``.
    """

    flat: bool
    method: Literal["predict_proba", "decision_function"]


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        model: the object.
        manner: how it is asked.
        classes: number of classes K.
    """

    model: Any
    manner: Manner
    classes: int

    @classmethod
    @same_threads()
    def fitted(
        cls,
        node: Mapping[str, Any],
        part: TensorPart,
        classes: int,
        seed: int,
        flat: bool | None = None,
        manner: Manner | None = None,
    ) -> "Classifier":
        """Build and fit one.

        Args:
            node: its ``_target_`` and settings.
            part: the series to learn from.
            classes: K.
            seed: for every ``random_state`` that the node leaves unset.
            flat: how it is given series; None tries (N, C, T) first.
            manner: that of another of its kind, to be taken over.

        Raises:
            TsdistillError: it cannot be built or fitted, or knows other classes.
        """
        if manner is not None:
            flat = manner.flat
        problems = []
        for way in [False, True] if flat is None else [flat]:
            model = built(node, seed)
            try:
                model.fit(series(part.x, part.lengths, way), part.y.cpu().numpy())
            except TsdistillError:
                raise
            except Exception as error:  # whatever a classifier may raise
                problems.append(f"{'flat' if way else '(N, C, T)'}: {told(error)}")
                continue
            _check_classes(model, classes)
            return cls(model, manner or _manner_of(model, way, part), classes)
        raise TsdistillError(f"{_name(node)} cannot be fitted to series; {'; '.join(problems)}")

    @property
    def name(self) -> str:
        """Its class."""
        return type(self.model).__name__

    @property
    def scored(self) -> bool:
        """Whether it answers with decision scores."""
        return self.manner.method == "decision_function"

    @same_threads()
    def answers(self, x: Tensor, lengths: Tensor | None = None) -> Answers:
        """Ask it.

        Args:
            x: (N, C, T).
            lengths: true lengths, (N,), or None.

        Returns:
            Probabilities or scores (N, K), columns in the order of the classes 0 to K-1. A class that it has
            never seen has probability 0, or the lowest score of all.

        Raises:
            TsdistillError: it raises, or gives another shape, or values that are not finite.
        """
        method = self.manner.method
        found = _asked(self.model, method, series(x, lengths, self.manner.flat))
        classes = getattr(self.model, "classes_", None)
        known = np.arange(self.classes) if classes is None else np.asarray(classes).astype(np.int64)
        if found.shape != (len(x), len(known)):
            raise TsdistillError(
                f"{self.name}.{method} gave shape {found.shape} for {len(x)} series and {len(known)} classes"
            )
        unsound = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(unsound):
            raise TsdistillError(
                f"{self.name}.{method} gave {len(unsound)} of {len(x)} answers that are not finite; "
                f"the first is row {unsound[0]}: {found[unsound[0]].tolist()}"
            )
        ordered = np.full((len(x), self.classes), float(found.min(initial=0.0)) if self.scored else 0.0)
        ordered[:, known] = found
        return ordered


def check_nodes(node: Any, path: str = PLACE) -> None:
    """Check every ``_target_`` of a node against its signature.

    Raises:
        TsdistillError: a target that is not there, or takes no such setting.
    """
    if isinstance(node, Mapping):
        if "_target_" in node or path == PLACE:
            check_target(node, path)
        for key, value in node.items():
            check_nodes(value, f"{path}.{key}")
    elif isinstance(node, list | tuple):
        for at, value in enumerate(node):
            check_nodes(value, f"{path}[{at}]")


def built(node: Mapping[str, Any], seed: int) -> Any:
    """Build a classifier; every ``random_state`` that the node leaves unset becomes the seed.

    Raises:
        TsdistillError: its constructor refuses.
    """
    try:
        model = instantiate(dict(node), _convert_="all")
        settings = model.get_params()
        unset = [
            name
            for name, value in settings.items()
            if name.rpartition("__")[2] == "random_state" and value is None
        ]
        return model.set_params(**dict.fromkeys(unset, seed)) if unset else model
    except Exception as error:  # whatever a constructor may raise
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        raise TsdistillError(f"{PLACE}: {_name(node)}: {told(cause)}") from error


def series(x: Tensor, lengths: Tensor | None, flat: bool) -> Any:
    """Series as a classifier takes them.

    Args:
        x: (N, C, T).
        lengths: true lengths, (N,), or None.
        flat: whether it takes rows.

    Returns:
        (N, C T) or (N, C, T) float64, or, for unequal lengths, a list of N tables of C columns.
    """
    values = x.cpu().numpy().astype(np.float64)
    if lengths is None:
        return values.reshape(len(values), -1) if flat else values
    if flat:
        raise TsdistillError(
            "a classifier of flat series needs one length; use dataset.lengths=resample or truncate"
        )
    return [pd.DataFrame(one[:, :length].T) for one, length in zip(values, lengths.tolist(), strict=True)]


def told(error: BaseException) -> str:
    """An error of foreign code in one line; a missing package with the command that installs it."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if not isinstance(error, ImportError):
        return text
    missing = next((name for name in EXTRAS if name in str(error)), None)
    package = f"tsdistill[{EXTRAS[missing]}]" if missing else error.name
    return f"{text}; pip install '{package}'" if package else text


def _manner_of(model: Any, flat: bool, part: TensorPart) -> Manner:
    """Find the method that says most: its tags may lie, and some ``predict_proba`` answer one-hot."""
    probable, scored = (hasattr(model, name) for name in ("predict_proba", "decision_function"))
    if not (probable or scored):
        raise TsdistillError(
            f"{type(model).__name__} has neither predict_proba nor decision_function; "
            "a teacher must answer with more than a label"
        )
    if probable and scored:
        found = _asked(model, "predict_proba", series(part.x, part.lengths, flat))
        probable = not is_one_hot(found)
    return Manner(flat, "predict_proba" if probable else "decision_function")


def _asked(model: Any, method: str, given: Any) -> Answers:
    try:
        return two_columns(getattr(model, method)(given))
    except Exception as error:  # whatever a classifier may raise
        raise TsdistillError(
            f"{type(model).__name__}.{method} failed on {len(given)} series: {told(error)}"
        ) from error


def _check_classes(model: Any, classes: int) -> None:
    """Refuse a classifier that knows other classes than those it was given."""
    known = getattr(model, "classes_", None)
    if known is not None and not set(np.asarray(known).tolist()) <= set(range(classes)):
        raise TsdistillError(
            f"{type(model).__name__}.classes_ is {np.asarray(known).tolist()}; "
            f"it was fitted to the classes 0 to {classes - 1}"
        )


def _name(node: Mapping[str, Any]) -> str:
    return str(node.get("_target_")).rpartition(".")[2]
