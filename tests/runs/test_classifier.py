"""Distillation behind sktime's interface."""

import os

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sktime.datasets import load_unit_test
from sktime.utils.estimator_checks import check_estimator

from tsdistill import DistilledClassifier


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


@pytest.mark.skipif(not os.environ.get("TSDISTILL_LONG"), reason="minutes; part of make test-all")
def test_it_passes_sktime_s_checks() -> None:
    check_estimator(DistilledClassifier, raise_exceptions=True, verbose=False)
