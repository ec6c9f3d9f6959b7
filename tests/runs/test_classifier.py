"""Distillation behind sktime's interface."""

import os

import numpy as np
import pytest
import torch
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


@pytest.mark.skipif(not os.environ.get("TSDISTILL_LONG"), reason="minutes; part of make test-all")
def test_it_passes_sktime_s_checks() -> None:
    check_estimator(DistilledClassifier, raise_exceptions=True, verbose=False)
