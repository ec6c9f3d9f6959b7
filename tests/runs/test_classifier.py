"""Distillation behind sktime's interface."""

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sktime.datasets import load_unit_test
from sktime.datatypes import convert_to
from sktime.utils.estimator_checks import check_estimator

from tsdistill import DistilledClassifier
from tsdistill.errors import TsdistillError


def test_it_fits_answers_and_is_the_same_again() -> None:
    x, y = load_unit_test(split="train", return_type="numpy3D")
    before = torch.get_num_threads(), torch.get_rng_state()
    made = DistilledClassifier(**DistilledClassifier.get_test_params()[0])
    again = made.clone().fit(x, y)
    found = made.fit(x, y).predict_proba(x)
    assert found.shape == (20, 2) and np.array_equal(found, again.predict_proba(x))
    assert np.array_equal(made.predict(x), made.classes_[found.argmax(axis=1)])
    assert set(made.predict(x)) <= {"1", "2"} and made.student_.explain(x).shape == (20, 24)
    assert torch.get_num_threads() == before[0] and torch.equal(torch.get_rng_state(), before[1])


def test_a_classifier_object_teaches_and_stays_as_it_was() -> None:
    x, y = load_unit_test(split="train", return_type="numpy3D")
    forest = RandomForestClassifier(10)
    short = ("training.epochs=2", "saliency.window=5")
    made = DistilledClassifier(forest, "lstm_8", "tsd", overrides=short)
    made.clone().set_params(teacher__n_estimators=3).fit(x, y)
    assert set(made.fit(x, y).predict(x)) <= {"1", "2"}
    assert not hasattr(forest, "estimators_") and made.teacher is forest


SHORT = ("training.epochs=2", "teacher.training.epochs=2", "saliency.window=5", "saliency.perturbations=4")


def ragged(rows: slice = slice(None)) -> tuple[list[pd.DataFrame], np.ndarray]:
    """Series of 15 to 24 steps as a list of tables, and their labels."""
    x, y = load_unit_test(split="train", return_type="numpy3D")
    return [pd.DataFrame(one[:, : 24 - n % 10].T) for n, one in enumerate(x)][rows], y[rows]


def test_series_of_unequal_lengths_are_resampled_to_the_longest_that_was_fitted() -> None:
    tables, y = ragged(slice(1, None))
    made = DistilledClassifier("fcn_8", "lstm_8", "tsd", overrides=SHORT).fit(tables, y)
    preparation = made.student_.preparation
    assert (preparation.length, preparation.how.lengths, preparation.padded) == (24, "resample", False)
    found = made.predict_proba(tables)
    assert set(made.predict(tables)) <= {"1", "2"}
    for mtype in ("nested_univ", "pd-multiindex"):
        assert np.array_equal(made.predict_proba(convert_to(tables, mtype, "Panel")), found)
    longer = np.stack([np.interp(np.linspace(0, len(t) - 1, 24), range(len(t)), t[0]) for t in tables])
    np.testing.assert_allclose(made.predict_proba(longer[:, None]), found, atol=1e-5)
    assert made.predict_proba([pd.DataFrame(np.arange(40.0))]).shape == (1, 2)


def test_series_of_unequal_lengths_are_padded_where_that_is_asked_for() -> None:
    tables, y = ragged()
    made = DistilledClassifier("fcn_8", "lstm_8", "tsd", overrides=(*SHORT, "dataset.lengths=pad"))
    assert made.fit(tables, y).student_.preparation.padded
    found = made.predict_proba(tables)
    for n in (0, 9):  # the padding of its neighbours is nothing to a series
        np.testing.assert_allclose(made.predict_proba(tables[n : n + 1]), found[n : n + 1], atol=1e-5)
    with pytest.raises(TsdistillError, match=r"series 1 has 25 steps; .* the student takes at most 24"):
        made.predict([pd.DataFrame(np.zeros(25))])


def test_a_gap_at_the_end_is_a_gap_and_no_end() -> None:
    x, y = load_unit_test(split="train", return_type="numpy3D")
    x[3, 0, 20:] = np.nan
    made = DistilledClassifier("fcn_8", "lstm_8", "kd", overrides=SHORT[:2]).fit(x, y)
    filled = np.where(np.isnan(x), x[3, 0, 19], x)
    assert np.array_equal(made.predict_proba(x), made.predict_proba(filled))


@pytest.mark.parametrize("lengths", ["resample", "pad"])
def test_a_classifier_object_is_given_series_of_unequal_lengths(lengths: str) -> None:
    tables, y = ragged()
    made = DistilledClassifier(Longest(), "lstm_8", "kd", (*SHORT[:1], f"dataset.lengths={lengths}"))
    assert set(made.fit(tables, y).predict(tables)) <= {"1", "2"}


class Longest(ClassifierMixin, BaseEstimator):
    """Tells classes by the last value, whatever the series' lengths."""

    def fit(self, x: Any, y: np.ndarray) -> "Longest":
        self.classes_, last = np.unique(y), self._last(x)
        self.means_ = np.array([last[y == k].mean() for k in self.classes_])
        return self

    def predict_proba(self, x: Any) -> np.ndarray:
        weights = np.exp(-((self._last(x)[:, None] - self.means_) ** 2)) + 0.1
        return weights / weights.sum(axis=1, keepdims=True)

    @staticmethod
    def _last(x: Any) -> np.ndarray:
        tables = [one if isinstance(one, pd.DataFrame) else one.T for one in x]
        return np.array([np.asarray(table)[-1, 0] for table in tables])


def test_its_tags_say_what_it_can_do() -> None:
    made = DistilledClassifier()
    for name in ("unequal_length", "multivariate", "missing_values", "predict_proba"):
        assert made.get_tag(f"capability:{name}")


@pytest.mark.skipif(not os.environ.get("TSDISTILL_LONG"), reason="minutes; part of make test-all")
def test_it_passes_sktime_s_checks() -> None:
    check_estimator(DistilledClassifier, raise_exceptions=True, verbose=False)
