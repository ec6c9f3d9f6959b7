"""Distillation behind sktime's interface of a classifier."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sktime.classification.base import BaseClassifier

from tsdistill.console import silenced
from tsdistill.data.raw import RawPart
from tsdistill.deploy.student import Student
from tsdistill.runs.load import load
from tsdistill.teachers.described import described


class DistilledClassifier(BaseClassifier):  # type: ignore[misc]
    """A small network that a large classifier has taught.

    ``fit`` trains the teacher on the series, distils the student and keeps the student alone. Series may
    differ in length, in ``fit`` and after it: they are resampled to the longest that was fitted, unless
    ``overrides`` has ``dataset.lengths=pad``, which pads shorter ones and refuses longer ones, or
    ``truncate``, which cuts all to the shortest and refuses shorter ones.

    Args:
        teacher: a choice of ``teacher=``, such as ``fcn``; or a classifier object of scikit-learn or sktime,
            of which a copy with the same settings is fitted.
        student: a choice of ``student=``, such as ``lstm_8``.
        method: a choice of ``method=``, such as ``tsd``.
        overrides: further settings as on the command line, such as ``("training.epochs=100",)``.
        seed: of the teacher, the student and the draws.

    Attributes:
        student_: what was learnt: ``predict``, ``predict_proba`` and ``explain``.

    Examples:
        >>> from sktime.datasets import load_unit_test
        >>> from tsdistill import DistilledClassifier
        >>> x, y = load_unit_test(split="train", return_type="numpy3D")
        >>> short = ("training.epochs=2", "teacher.training.epochs=2", "saliency.window=5")
        >>> classifier = DistilledClassifier("fcn_8", "lstm_8", "tsd", overrides=short).fit(x, y)
        >>> classifier.predict(x).shape
        (20,)
    """

    _tags: Mapping[str, Any] = {
        "X_inner_mtype": "df-list",
        "y_inner_mtype": "numpy1D",
        "capability:multivariate": True,
        "capability:predict_proba": True,
        "capability:missing_values": True,
        "capability:unequal_length": True,
    }

    def __init__(
        self,
        teacher: Any = "fcn",
        student: str = "lstm_8",
        method: str = "tsd",
        overrides: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.teacher = teacher
        self.student = student
        self.method = method
        self.overrides = overrides
        self.seed = seed
        super().__init__()

    def _fit(self, X: Sequence[pd.DataFrame], y: NDArray[Any]) -> "DistilledClassifier":
        """Train the teacher and distil the student."""
        index = np.searchsorted(self.classes_, y)
        series = RawPart.ragged(_arrays(X), index.tolist())
        with tempfile.TemporaryDirectory() as name, silenced(), _torch_as_it_was():
            folder = Path(name)
            arrays = {"x": series.values, "lengths": series.lengths, "y": index}
            # The test part is not looked at here; the training series stand in for it.
            test = {f"{key}_test": values for key, values in arrays.items()}
            np.savez(folder / "series.npz", allow_pickle=False, **arrays, **test)
            named = isinstance(self.teacher, str)
            result = _distil(
                None if named else described(self.teacher),
                f"teacher={self.teacher if named else 'estimator'}",
                f"student={self.student}",
                f"method={self.method}",
                f"seed={self.seed}",
                f"teacher.seeds=[{self.seed}]",
                *("dataset=npz", "dataset.name=series", f"dataset.train='{folder / 'series.npz'}'"),
                *("hardware=cpu", "data_root=null", f"out='{folder / 'out'}'"),
                *self.overrides,
            )
            self.student_: Student = load(result["id"], out=folder / "out")
        return self

    def _predict(self, X: Sequence[pd.DataFrame]) -> NDArray[Any]:
        """Labels, (N,)."""
        labels: NDArray[Any] = self.classes_[self._predict_proba(X).argmax(axis=1)]
        return labels

    def _predict_proba(self, X: Sequence[pd.DataFrame]) -> NDArray[Any]:
        """Probabilities of ``classes_``, (N, K)."""
        found = self.student_.predict_proba(_arrays(X)).astype(np.float64)
        shares: NDArray[Any] = found / found.sum(axis=1, keepdims=True)
        return shares

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's checks, which fit many times."""
        short = ("training.epochs=2", "teacher.training.epochs=2", "saliency.window=0.2")
        return [
            {"teacher": "fcn_8", "overrides": (*short, "saliency.perturbations=4")},
            {"teacher": "fcn_8", "student": "gru_8", "method": "kd", "overrides": short[:2]},
        ]


def _arrays(tables: Sequence[pd.DataFrame]) -> list[NDArray[Any]]:
    """Tables of a row for each step as (C, T_n) arrays."""
    return [table.to_numpy().T for table in tables]


def _distil(estimator: Mapping[str, Any] | None, *overrides: str) -> dict[str, Any]:
    """Compose the settings of ``tsdistill distill`` and run it; Hydra's own state is put back.

    Args:
        estimator: that of ``teacher=estimator``, if that is the teacher.
        overrides: settings as on the command line.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import open_dict

    from tsdistill.config.groups import config_folders
    from tsdistill.config.resolve import conf_folder
    from tsdistill.config.schema import register
    from tsdistill.runs.story import distill

    register(config_folders(()))
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = compose("distill", overrides=list(overrides))
    if estimator is not None:
        with open_dict(composed):
            composed.teacher.kind.estimator = dict(estimator)
    return distill(composed)


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Put PyTorch's global switches back, which a run sets for itself."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.set_rng_state(state)
