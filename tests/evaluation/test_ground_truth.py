"""Maps against planted masks, by hand and at their limits."""

import math

import numpy as np
import pytest

from tsdistill.evaluation.ground_truth import saliency_auprc


def windows(n=30, t=50, width=5, seed=0):
    masks = np.zeros((n, t), dtype=bool)
    for mask, start in zip(masks, np.random.default_rng(seed).integers(0, t - width, n), strict=True):
        mask[start : start + width] = True
    return masks


def test_by_hand():
    masks = np.array([[True, False, True, False]])
    got = saliency_auprc(np.array([[0.9, 0.8, 0.7, 0.1]]), masks)
    assert got["auprc"] == pytest.approx((1 + 2 / 3) / 2)
    assert got["planted_share"] == 0.5
    assert math.isnan(got["auprc_shuffled"])


def test_the_truth_itself_and_a_flat_map():
    masks = windows()
    got = saliency_auprc(masks.astype(float), masks)
    assert got["auprc"] == 1
    assert got["auprc_shuffled"] < 0.4
    flat = saliency_auprc(np.full(masks.shape, 0.2), masks)
    assert [flat["auprc"], flat["auprc_shuffled"]] == pytest.approx([0.1, 0.1])
    assert flat["flat"] == flat["series"] == 30 and flat["undefined"] == 0


def test_knowing_only_the_usual_place_is_no_better_than_shuffled():
    masks = np.zeros((10, 40), dtype=bool)
    masks[:, 7:12] = True
    got = saliency_auprc(masks + np.random.default_rng(0).random(masks.shape) * 0.1, masks)
    assert got["auprc"] == got["auprc_shuffled"] == 1


def test_undefined_values_are_counted():
    masks = windows(n=4)
    masks[0] = True
    masks[1] = False
    maps = masks.astype(float)
    maps[2, 3] = np.nan
    got = saliency_auprc(maps, masks)
    assert got["undefined"] == 3 and got["series"] == 4 and got["auprc"] == 1


def test_channels_are_part_of_the_map():
    masks = np.zeros((2, 2, 6), dtype=bool)
    masks[:, 0, :2] = True
    wrong_channel = np.zeros((2, 2, 6))
    wrong_channel[:, 1, :2] = 1
    assert saliency_auprc(masks.astype(float), masks)["auprc"] == 1
    assert saliency_auprc(wrong_channel, masks)["auprc"] == pytest.approx(2 / 12)
