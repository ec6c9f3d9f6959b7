"""Substitution metrics against values worked out by hand, and at their limits."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from tsdistill.evaluation.substitution import METRICS, divergence, is_collapsed, jensen_shannon, substitution


def test_by_hand():
    teacher = np.log([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
    student = np.log([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75], [0.75, 0.25]])
    y = np.array([0, 0, 0, 0])
    got = substitution(student, teacher, y)
    # A tie goes to the first class, so series 0 and 2 agree.
    assert got["agreement"] == 0.5
    assert got["negative_flips"] == 1 / 4
    assert got["error_agreement"] == 1 / 2
    half = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    flipped = 0.5 * math.log(3)
    assert got["kl"] == pytest.approx((half + flipped + 0 + flipped) / 4)


def test_against_scipy():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(4), 5), rng.dirichlet(np.ones(4), 5)
    assert divergence(np.log(p) + 3, np.log(q)) == pytest.approx(entropy(p, q, axis=1))
    assert jensen_shannon(np.log(p), np.log(q) - 7) == pytest.approx(jensenshannon(p, q, axis=1) ** 2)


def test_perfect_copy():
    logits = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    got = substitution(logits, logits, np.arange(20) % 3)
    want = {"agreement": 1, "kl": 0, "js": 0, "negative_flips": 0, "error_agreement": 1}
    assert got == pytest.approx(want, abs=1e-15)


def test_teacher_without_errors():
    y = np.array([0, 1, 1])
    got = substitution(np.zeros((3, 2)), np.eye(2)[y], y)
    assert math.isnan(got["error_agreement"])
    assert got["agreement"] == pytest.approx(1 / 3)
    assert got["negative_flips"] == pytest.approx(2 / 3)


def test_opposites_stay_finite():
    got = substitution(np.array([[1e4, -1e4]]), np.array([[-1e4, 1e4]]), np.array([0]))
    assert got["kl"] == pytest.approx(2e4)
    assert got["js"] == pytest.approx(math.log(2))


def test_undefined_is_nan():
    empty = substitution(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.int64))
    diverged = substitution(np.full((2, 2), np.nan), np.zeros((2, 2)), np.array([0, 1]))
    assert all(math.isnan(got[name]) for got in (empty, diverged) for name in METRICS)


@pytest.mark.parametrize(
    ("logits", "collapsed"),
    [
        ([[1, 0], [2, 0]], True),
        ([[0, 0], [0, 0]], True),
        ([[1, 0], [0, 1]], False),
        ([[1, 0]], False),
        ([[np.nan, 0], [0, 1]], True),
    ],
)
def test_collapsed(logits, collapsed):
    assert is_collapsed(np.array(logits, dtype=np.float32)) is collapsed
