"""Planted series: the evidence is where the masks say, and nowhere else."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from omegaconf import OmegaConf

from tsdistill.data.load import load_dataset
from tsdistill.data.planted import Evidence, PlantedReader, planted_masks
from tsdistill.errors import TsdistillError

CONF = Path(__file__).parents[2] / "conf" / "dataset" / "planted.yaml"
SHAPES = get_args(Evidence)


def values(reader):
    raw = reader.read()
    return raw.train.values, np.array([int(label) for label in raw.train.labels])


@pytest.mark.parametrize("shape", SHAPES)
def test_without_noise_and_distractor_the_evidence_is_all_there_is(shape):
    reader = PlantedReader(n_train=30, classes=3, channels=4, shape=shape, noise=0, distractor=False)
    x, y = values(reader)
    masks, _ = reader.masks()
    assert x.shape == masks.shape == (30, 4, 100)
    assert not x[~masks].any() and (x[masks] != 0).mean() > 0.95
    assert (masks.sum(axis=(1, 2)) == 20).all()
    assert np.bincount(y).tolist() == [10, 10, 10]


@pytest.mark.parametrize("shape", SHAPES)
def test_outside_the_masks_the_class_cannot_be_told(shape):
    reader = PlantedReader(n_train=4000, classes=2, channels=2, shape=shape)
    x, y = values(reader)
    outside = ~reader.masks()[0]
    if shape in ("position", "channel"):
        # Here the place of the mask is itself the evidence; the distractor yields to it.
        outside &= np.abs(x) < 1
    means, powers = (np.array([(x[y == k] ** p)[outside[y == k]].mean() for k in (0, 1)]) for p in (1, 2))
    assert means[0] == pytest.approx(means[1], abs=0.01)
    assert powers[0] == pytest.approx(powers[1], abs=0.03)


def test_the_evidence_tells_the_class():
    reader = PlantedReader(n_train=200, classes=3, noise=0.5)
    x, y = values(reader)
    cut = x[reader.masks()[0]].reshape(200, 20)
    templates = np.stack([cut[:100][y[:100] == k].mean(axis=0) for k in range(3)])
    nearest = ((cut[100:, None] - templates) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == y[100:]).mean() > 0.97


def test_by_position_and_by_channel():
    masks = PlantedReader(n_train=60, classes=3, shape="position").masks()[0]
    _, y = values(PlantedReader(n_train=60, classes=3, shape="position"))
    starts = masks[:, 0].argmax(axis=1)
    assert (starts // 27 == y).all()
    reader = PlantedReader(n_train=60, classes=3, channels=5, shape="channel")
    _, y = values(reader)
    assert (reader.masks()[0].any(axis=2).argmax(axis=1) == y).all()


def test_evidence_in_several_channels():
    masks = PlantedReader(channels=4, informative=3).masks()[0]
    assert masks.any(axis=2).all(axis=0).tolist() == [True, True, True, False]


def test_noise_moves_no_mask_and_the_seed_moves_all():
    quiet, loud = PlantedReader(noise=0.1), PlantedReader(noise=2)
    for one, other in zip(quiet.masks(), loud.masks(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(values(quiet)[0], values(PlantedReader(noise=0.1))[0])
    assert not np.array_equal(quiet.masks()[0], PlantedReader(noise=0.1, seed=1).masks()[0])
    assert not np.array_equal(quiet.masks()[0], quiet.masks()[1][:100])
    np.testing.assert_array_equal(PlantedReader(n_train=50).masks()[1], quiet.masks()[1])


def test_the_distractor_is_clear_of_the_evidence():
    reader = PlantedReader(length=59, window=20, noise=0, n_train=300)
    x, _ = values(reader)
    masks = reader.masks()[0]
    sawtooth = np.where(masks, 0, x)
    assert ((sawtooth != 0).sum(axis=(1, 2)) == 20).all()


def test_config_loads_and_its_masks_fit(tmp_path):
    conf = OmegaConf.load(CONF)
    conf.max_length = 50
    dataset = load_dataset(conf, None, tmp_path)
    assert dataset.name == "Planted_shapelet"
    assert dataset.train.x.shape == (100, 1, 50)
    assert dataset.test.x.shape == (200, 1, 50)
    train, test = planted_masks(conf)
    assert train.shape == dataset.train.x.shape and test.shape == dataset.test.x.shape
    assert set(train.sum(axis=(1, 2))) <= {9, 10, 11}
    del conf["max_length"]
    assert planted_masks(conf)[0].shape == (100, 1, 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": "shapelt"}, "did you mean 'shapelet'"),
        ({"classes": 1}, "dataset.classes=1: must be at least 2"),
        ({"noise": -1.0}, "dataset.noise"),
        ({"window": 40}, "dataset.length of at least 119"),
        ({"shape": "channel"}, "as many channels"),
        ({"shape": "frequency", "classes": 9}, "dataset.window of at least 27"),
        ({"informative": 2}, "only 1 channels"),
        ({"classes": 5, "n_train": 4}, "as many training series"),
        ({"shape": "position", "window": 90, "distractor": False, "classes": 12}, "no 12 zones"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(TsdistillError, match=message):
        PlantedReader(**settings)
