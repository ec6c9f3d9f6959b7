"""Agreement and faithfulness of maps, by hand and at their limits."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from tsdistill.evaluation.reasoning import (
    baseline_of,
    deletion_insertion,
    faithfulness,
    is_flat,
    map_agreement,
    shuffled_pairs,
)


def random_maps(n, t, seed=0):
    return np.random.default_rng(seed).random((n, t))


def test_a_copy_agrees_wholly_and_its_chance_is_nothing():
    maps = random_maps(60, 100)
    got = map_agreement(maps, maps)
    assert got["spearman"] == pytest.approx(1)
    assert got["top10"] == pytest.approx(1)
    assert got["spearman_chance"] == pytest.approx(0, abs=0.03)
    assert got["top10_chance"] == pytest.approx(0.1, abs=0.03)
    assert got["pairs"] == 60 and got["undefined"] == 0


def test_maps_that_always_look_at_the_same_place_agree_by_chance_alone():
    maps = np.linspace(0, 1, 50) + 1e-3 * random_maps(20, 50)
    got = map_agreement(maps, maps)
    assert got["spearman_chance"] == pytest.approx(1, abs=0.01)
    assert got["top10_chance"] == pytest.approx(1, abs=0.01)


def test_opposite_maps():
    maps = random_maps(8, 40)
    got = map_agreement(maps, -maps)
    assert got["spearman"] == pytest.approx(-1)
    assert got["top10"] == 0


def test_against_scipy_with_ties():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, (6, 30)).astype(float), rng.integers(0, 4, (6, 30)).astype(float)
    want = np.mean([spearmanr(p, q).statistic for p, q in zip(a, b, strict=True)])
    assert map_agreement(a, b)["spearman"] == pytest.approx(want)


def test_top_overlap_shares_ties_at_the_border():
    # The top 10 % of 20 steps are two. Map a: step 0 surely, steps 1 and 2 by half; map b: steps 0 and 1.
    a, b = np.zeros((1, 20)), np.zeros((1, 20))
    a[0, :3] = [5, 1, 1]
    b[0, :2] = [9, 8]
    assert map_agreement(a, b)["top10"] == pytest.approx((1 + 0.5) / 2)
    assert map_agreement(a, a)["top10"] == pytest.approx(1)


def test_flat_and_broken_maps_are_counted_and_left_out():
    a = random_maps(4, 20)
    b = a.copy()
    b[0] = 0.3
    a[1, 5] = np.nan
    got = map_agreement(a, b)
    assert got["undefined"] == 2 and got["pairs"] == 4
    assert got["spearman"] == pytest.approx(1)
    nothing = map_agreement(np.ones((3, 9)), np.ones((3, 9)))
    assert nothing["undefined"] == 3
    assert math.isnan(nothing["spearman"]) and math.isnan(nothing["top10_chance"])


def test_one_series_has_no_chance_level():
    got = map_agreement(random_maps(1, 9), random_maps(1, 9))
    assert got["pairs"] == 1 and math.isfinite(got["spearman"]) and math.isnan(got["spearman_chance"])


def test_padding_is_not_looked_at():
    a, b = random_maps(3, 30), random_maps(3, 30)
    a[:, 20:], b[:, 20:] = 7, -7
    lengths = np.array([20, 20, 20])
    assert map_agreement(a, b, lengths) == pytest.approx(map_agreement(a[:, :20], b[:, :20]))


def test_flat_maps():
    maps = np.array([[0, 0, 0], [1, 1, 1 + 1e-9], [1, 1, 1.1], [0, np.inf, 0], [1e-9, 0, 0]])
    assert is_flat(maps).tolist() == [True, True, False, True, False]


@pytest.mark.parametrize(("n", "shuffles", "count"), [(0, 3, 0), (1, 3, 0), (2, 3, 2), (5, 3, 15)])
def test_shuffled_pairs(n, shuffles, count):
    pairs = shuffled_pairs(n, shuffles, seed=3)
    assert len(set(pairs)) == len(pairs) == count
    assert all(i != j for i, j in pairs)
    assert pairs == shuffled_pairs(n, shuffles, seed=3)


def sum_of_first_two(x):
    """Logit of class 1 is the sum of the first two steps."""
    score = x[:, 0, :2].sum(axis=1)
    return np.stack([np.zeros_like(score), score], axis=1)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_deletion_and_insertion_by_hand():
    x = np.array([[[2.0, 1.0, 0.0, 0.0]]], dtype=np.float32)
    maps = np.array([[4.0, 3.0, 2.0, 1.0]])
    curves = deletion_insertion(sum_of_first_two, x, maps, np.array([1]), baseline="zero", steps=4)
    np.testing.assert_allclose(curves.fractions, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curves.deletion[0], sigmoid(np.array([3, 1, 0, 0, 0])))
    np.testing.assert_allclose(curves.insertion[0], sigmoid(np.array([0, 2, 3, 3, 3])))
    p = sigmoid(np.array([3.0, 1, 0]))
    want = (p[0] / 2 + p[1] + p[2] + p[2] + p[2] / 2) / 4
    assert curves.areas()[0] == pytest.approx(want)


def test_a_faithful_map_deletes_sooner_and_inserts_sooner_than_its_opposite():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 1, (12, 1, 20)).astype(np.float32)
    explained = np.ones(12, np.int64)
    maps = np.zeros((12, 20))
    maps[:, :2] = 1
    good = faithfulness(sum_of_first_two, x, maps, explained, baseline="zero")
    bad = faithfulness(sum_of_first_two, x, -maps, explained, baseline="zero")
    assert good["deletion"] < bad["deletion"] and good["insertion"] > bad["insertion"]
    # Every series has the same map, so another's serves as well, but for the order of ties.
    assert good["deletion_chance"] == pytest.approx(good["deletion"], abs=1e-6)
    assert good["flat"] == 0


def test_faithfulness_of_one_series_and_flat_maps():
    x = np.ones((1, 1, 5), np.float32)
    got = faithfulness(sum_of_first_two, x, np.zeros((1, 5)), np.array([1]))
    assert math.isnan(got["deletion_chance"]) and got["flat"] == 1


def test_padding_is_neither_deleted_nor_counted():
    x = np.array([[[2.0, 1.0, 0.0, 0.0]]], dtype=np.float32)
    maps = np.array([[1.0, 2.0, 9.0, 9.0]])
    seen = []

    def spy(series):
        seen.append(series[0, 0].tolist())
        return sum_of_first_two(series)

    deletion_insertion(spy, x, maps, np.array([1]), np.array([2]), baseline="mean", steps=2)
    assert seen[::2] == [[2, 1, 0, 0], [2, 1.5, 0, 0], [1.5, 1.5, 0, 0]]


def test_mean_baseline_ignores_padding():
    x = np.array([[[2.0, 4.0, 0.0]], [[1.0, 2.0, 3.0]]], dtype=np.float32)
    assert baseline_of(x, np.array([2, 3]), "mean")[:, 0].tolist() == [[3, 3, 3], [2, 2, 2]]
    assert not baseline_of(x, None, "zero").any()
