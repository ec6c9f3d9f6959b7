"""Performance metrics against values worked out by hand, and at their limits."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsdistill.evaluation.performance import METRICS, expected_calibration_error, performance, reliability


def log_of(p):
    return np.log(np.asarray(p, dtype=np.float64))


def test_two_classes_by_hand():
    # Column 1 ranks the series .9 (1), .8 (0), .6 (1), .2 (0): precision 1 at recall 1/2, 2/3 at recall 1.
    # Column 0 ranks them .8 (1), .4 (0), .2 (1), .1 (0): the same.
    p1 = np.array([0.9, 0.8, 0.6, 0.2])
    y = np.array([1, 0, 1, 0])
    got = performance(log_of(np.stack([1 - p1, p1], axis=1)), y)
    assert got["average_precision"] == pytest.approx(5 / 6)
    # (0, 1) (1/2, 1) (1/2, 1/2) (1, 2/3): 1/2 + 1/2 (1/2 + 2/3) / 2
    assert got["auc_prc"] == pytest.approx(0.5 + 0.5 * (1 / 2 + 2 / 3) / 2)
    assert got["roc_auc"] == pytest.approx(3 / 4)
    # All eight pairs: .9 + | .8 + .8 - | .6 + | .4 - | .2 + .2 - | .1 -; the pairs at .8 and .2 are ties.
    assert got["micro_average_precision"] == pytest.approx((1 / 4) * (1 + 2 / 3 + 3 / 4 + 4 / 7))
    assert got["accuracy"] == pytest.approx(3 / 4)
    # Class 1: precision 2/3, recall 1, F1 .8; class 0: precision 1, recall 1/2, F1 2/3.
    assert got["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert got["nll"] == pytest.approx(-(math.log(0.9) + math.log(0.2) + math.log(0.6) + math.log(0.8)) / 4)
    assert got["brier"] == pytest.approx(2 * (0.01 + 0.64 + 0.16 + 0.04) / 4)
    # Bins of 1/15: .9 alone (right), .8 twice in (11/15, 12/15] (one right), .6 in (8/15, 9/15] (right).
    assert got["ece"] == pytest.approx((0.1 + abs(1 - 1.6) + 0.4) / 4)
    assert got["classes_absent"] == 0
    assert set(got) == {*METRICS, "classes_absent"}


def test_constant_predictor_is_flattered_by_trapezoids_only():
    got = performance(np.zeros((10, 2)), np.array([0, 1] * 5))
    assert got["auc_prc"] == pytest.approx(0.75)
    assert got["average_precision"] == pytest.approx(0.5)
    assert got["micro_average_precision"] == pytest.approx(0.5)
    assert got["roc_auc"] == pytest.approx(0.5)
    assert got["accuracy"] == pytest.approx(0.5)
    assert got["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert got["nll"] == pytest.approx(math.log(2))
    assert got["brier"] == pytest.approx(0.5)
    assert got["ece"] == pytest.approx(0.0)


def test_perfect_and_certain():
    y = np.array([0, 1, 2, 2])
    got = performance(100 * np.eye(3)[y], y)
    for name in (
        "average_precision",
        "auc_prc",
        "roc_auc",
        "micro_average_precision",
        "accuracy",
        "macro_f1",
    ):
        assert got[name] == pytest.approx(1.0), name
    for name in ("nll", "brier", "ece"):
        assert got[name] == pytest.approx(0.0, abs=1e-12), name


def test_absent_class_is_left_out_and_counted_without_warnings():
    p1 = np.array([0.9, 0.8, 0.6, 0.2])
    y = np.array([1, 0, 1, 0])
    two = log_of(np.stack([1 - p1, p1], axis=1))
    three = np.concatenate([two, np.full((4, 1), -50.0)], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, want = performance(three, y), performance(two, y)
    assert got["classes_absent"] == 1
    for name in METRICS:
        assert got[name] == pytest.approx(want[name]), name


def test_a_class_that_is_present_but_never_predicted_counts_as_zero():
    got = performance(np.array([[5.0, 0, 0], [0, 5, 0], [5, 0, 0]]), np.array([0, 1, 2]))
    assert got["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_one_series():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = performance(np.array([[0.0, 1.0]]), np.array([1]))
    p = 1 / (1 + math.exp(-1))
    assert got["accuracy"] == got["average_precision"] == got["auc_prc"] == got["macro_f1"] == 1
    assert math.isnan(got["roc_auc"])
    assert got["classes_absent"] == 1
    assert got["nll"] == pytest.approx(-math.log(p))
    assert got["brier"] == pytest.approx(2 * (1 - p) ** 2)
    assert got["ece"] == pytest.approx(1 - p)


@pytest.mark.parametrize(
    ("logits", "y"), [(np.zeros((0, 3)), np.zeros(0, np.int64)), (np.array([[0.0, np.nan]]), np.array([0]))]
)
def test_undefined_is_nan(logits, y):
    got = performance(logits, y)
    assert all(math.isnan(got[name]) for name in METRICS)


def test_extreme_float32_logits_stay_finite():
    got = performance(np.array([[3e4, -3e4], [3e4, -3e4]], dtype=np.float32), np.array([0, 1]))
    assert got["nll"] == pytest.approx(3e4)
    assert all(math.isfinite(value) for value in got.values())


def test_ties_do_not_depend_on_the_order_of_the_series():
    logits = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    y = np.array([0, 1, 1, 0, 1, 1])
    got, back = performance(logits, y), performance(logits[::-1], y[::-1])
    # Column 1: one tie of three with two positives, then all six with four: 2/3 (1/2) + 4/6 (1/2).
    # Column 0: one of three, then two of six.
    assert got["average_precision"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert got == pytest.approx(back)


def test_calibration_bins():
    p = np.array([[1.0, 0.0], [0.55, 0.45], [0.45, 0.55]])
    count, confidence, correct = reliability(p, np.array([0, 0, 0]), bins=10)
    assert count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 1]
    assert confidence[[5, 9]] == pytest.approx([1.1, 1.0])
    assert correct[[5, 9]].tolist() == [1, 1]
    assert expected_calibration_error(p, np.array([0, 0, 0]), bins=10) == pytest.approx(0.1 / 3)


def test_rounding_breaks_no_ties():
    # Summed in the order of the classes, 1 / (1 + e^3 + 1) is not 1 / (e^3 + 1 + 1) to the last bit.
    logits = np.array([[4, 1, 1], [1, 4, 1], [1, 1, 1]], dtype=np.float32)
    y = np.array([0, 0, 0])
    want = performance(logits, y)["micro_average_precision"]
    assert performance(np.roll(logits, 1, axis=1), (y + 1) % 3)["micro_average_precision"] == want


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, (7, 3), elements=st.floats(-20, 20, width=32)),
    arrays(np.int64, 7, elements=st.integers(0, 2)),
)
def test_bounds_and_class_permutation(logits, y):
    got = performance(logits, y)
    for name in set(METRICS) - {"nll", "brier", "roc_auc"}:
        assert -1e-12 <= got[name] <= 1 + 1e-12, name
    assert 0 <= got["brier"] <= 2 + 1e-12
    swapped = performance(logits[:, [2, 0, 1]], np.array([1, 2, 0])[y])
    # The argmax of tied logits is the first class, which a permutation moves.
    for name in set(METRICS) - {"accuracy", "macro_f1", "ece"}:
        assert swapped[name] == pytest.approx(got[name], nan_ok=True, rel=1e-9, abs=1e-9), name
