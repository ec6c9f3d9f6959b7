"""Answers to logits, against values worked out by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from tsdistill.teachers.reading import Reading, are_votes, fitted_temperature, two_columns, voters_of


def test_votes_are_smoothed_by_half_a_vote_for_each_class():
    logits, raised = Reading("votes", voters=4).logits(np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert np.exp(logits) == pytest.approx(np.array([[4.5 / 5, 0.5 / 5], [0.5, 0.5]]))
    assert raised == 0


def test_probabilities_are_clipped_and_the_rows_counted():
    logits, raised = Reading("probabilities").logits(np.array([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]]))
    assert raised == 1
    assert np.exp(logits) == pytest.approx(np.array([[1, 1e-6, 1e-6], [0.5, 0.25, 0.25]]))


def test_the_temperature_of_scores_that_are_calibrated_but_for_a_factor_is_that_factor():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    y = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    assert fitted_temperature(7 * logits, y) == pytest.approx(7, rel=0.05)
    read, _ = Reading("scores", temperature=7).logits(7 * logits)
    assert read == pytest.approx(logits)


def test_scores_that_are_all_right_do_not_end_in_certainty():
    y = np.repeat([0, 1], 8)
    scores = two_columns(np.where(y == 1, 1.0, -1.0))
    temperature = fitted_temperature(scores, y)
    # Each series then has the probability (8 + 1) / (8 + 2) of its class: 2 / temperature = log 9.
    assert 2 / temperature == pytest.approx(np.log(9), rel=1e-3)


def test_without_unseen_series_the_temperature_is_one():
    assert fitted_temperature(np.empty((0, 2)), np.empty(0, dtype=int)) == 1.0


def test_one_score_for_two_classes_becomes_two_columns():
    assert two_columns(np.array([2.0, -1.0])).tolist() == [[-2.0, 2.0], [1.0, -1.0]]


class Forest:
    estimators_ = (1, 2, 3)


class Neighbours:
    n_neighbors = 5


@pytest.mark.parametrize(("model", "voters"), [(Forest(), 3), (Neighbours(), 5), (object(), 0)])
def test_who_votes(model, voters):
    assert voters_of(model) == voters


def test_shares_of_votes_are_told_from_probabilities():
    assert are_votes(np.array([[0.25, 0.75]]), 4) and are_votes(np.array([[0.0, 1.0], [0.3, 0.7]]), 4)
    assert not are_votes(np.array([[0.3, 0.7]]), 4)
