"""Attributions against linear models, where they are known, and on recurrent ones in eval mode."""

import importlib.util
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tsdistill.errors import TsdistillError
from tsdistill.evaluation.attribution import (
    CentredLogits,
    integrated_gradients,
    occlusion,
    over_channels,
)
from tsdistill.evaluation.predict import predict
from tsdistill.evaluation.reasoning import map_agreement
from tsdistill.models.fcn import FCN
from tsdistill.models.recurrent import GRU, LSTM

needs_captum = pytest.mark.skipif(
    importlib.util.find_spec("captum") is None,
    reason="captum is not installed: pip install tsdistill[attribution]",
)


class Linear(nn.Module):
    """Logits linear in every step of every channel."""

    def __init__(self, channels, length, classes):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(channels * length, classes)

    def forward(self, x):
        return self.head(x.flatten(1))


def series(n=5, c=2, t=8, seed=0):
    return np.random.default_rng(seed).normal(1, 1, (n, c, t)).astype(np.float32)


def centred_weights(model, explained, shape):
    weight = model.head.weight.detach().numpy()
    return (weight - weight.mean(axis=0))[explained].reshape(shape)


@needs_captum
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_integrated_gradients_of_a_linear_model(baseline):
    x, explained = series(), np.array([0, 1, 2, 1, 0])
    model = Linear(2, 8, 3)
    got = integrated_gradients(model, x, explained, baseline=baseline, batch_size=2)
    blank = x.mean(axis=2, keepdims=True) if baseline == "mean" else 0
    np.testing.assert_allclose(got, centred_weights(model, explained, x.shape) * (x - blank), atol=1e-5)


def test_occlusion_of_a_linear_model():
    x, explained = series(), np.array([0, 1, 2, 1, 0])
    model = Linear(2, 8, 3)
    each = centred_weights(model, explained, x.shape) * (x - x.mean(axis=2, keepdims=True))
    single = occlusion(model, x, explained, window=1, by_channel=True)
    np.testing.assert_allclose(single, each, atol=1e-5)
    both = occlusion(model, x, explained, window=3)
    drops = np.stack([each[:, :, s : s + 3].sum(axis=(1, 2)) for s in range(6)], axis=1)
    for t in range(8):
        want = drops[:, max(0, t - 2) : t + 1].mean(axis=1)
        np.testing.assert_allclose(both[:, 0, t], want, atol=1e-5)
    np.testing.assert_array_equal(both[:, 0], both[:, 1])


def small(model: Callable[..., nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    settings = {} if model is FCN else {"hidden": 8, "layers": 2}
    return model(2, 3, **settings).eval().requires_grad_(False)


def captums_occlusion(net, x, explained, window, by_channel, lengths=None):
    """What captum finds on whole series; where a window reaches into padding, that stays as it is."""
    from captum.attr import Occlusion

    true = np.full(len(x), x.shape[2]) if lengths is None else lengths
    inside = np.arange(x.shape[2]) < true[:, None, None]
    means = x.sum(axis=2, keepdims=True) / true[:, None, None]
    found = Occlusion(CentredLogits(net)).attribute(
        torch.from_numpy(x),
        (1 if by_channel else x.shape[1], window),
        (1, 1),
        torch.from_numpy(np.where(inside, means, x).astype(np.float32)),
        torch.from_numpy(explained),
        None if lengths is None else torch.from_numpy(lengths),
    )
    return np.where(inside, found.numpy(), 0)


@needs_captum
@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("model", [LSTM, FCN])
def test_occlusion_is_captums(model, by_channel):
    net, x, explained = small(model), series(t=20), np.array([0, 1, 2, 1, 0])
    got = occlusion(net, x, explained, window=6, by_channel=by_channel)
    want = captums_occlusion(net, x, explained, 6, by_channel)
    np.testing.assert_allclose(got, want, atol=1e-5)


@needs_captum
@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("model", [LSTM, GRU])
def test_occlusion_of_padded_series_is_captums_and_that_of_the_cut_ones(model, by_channel):
    net, x, window = small(model), series(t=20), 6
    lengths, explained = np.array([20, 13, 7, 18, 6]), np.array([0, 1, 2, 1, 0])
    padded = np.where(np.arange(20) < lengths[:, None, None], x, 0).astype(np.float32)
    got = occlusion(net, padded, explained, lengths, window=window, by_channel=by_channel)
    want = captums_occlusion(net, padded, explained, window, by_channel, lengths)
    np.testing.assert_allclose(got, want, atol=1e-5)
    for row, length in enumerate(lengths):
        one, whole = slice(row, row + 1), length - window + 1  # no window on these steps reaches the padding
        alone = captums_occlusion(net, x[one, :, :length], explained[one], window, by_channel)
        np.testing.assert_allclose(got[one, :, :whole], alone[:, :, :whole], atol=1e-5)


@needs_captum
@pytest.mark.parametrize("model", [LSTM, GRU, FCN])
def test_completeness_on_real_models_in_eval_mode(model):
    torch.manual_seed(0)
    settings = {} if model is FCN else {"hidden": 8, "layers": 2, "dropout": 0.5}
    net = model(2, 3, **settings).train()
    for p in net.parameters():
        p.requires_grad_(False)
    x, explained = series(t=20), np.array([0, 1, 2, 1, 0])
    got = integrated_gradients(net, x, explained, steps=100, baseline="zero")
    assert net.training
    logits = predict(net, x) - predict(net, np.zeros_like(x))
    centred = (logits - logits.mean(axis=1, keepdims=True))[np.arange(5), explained]
    np.testing.assert_allclose(got.sum(axis=(1, 2)), centred, atol=2e-3)


@pytest.mark.parametrize("model", [LSTM, GRU, FCN])
def test_occlusion_leaves_a_model_in_its_mode(model):
    net, x = small(model).train(), series(t=20)
    assert occlusion(net, x, np.array([0, 1, 2, 1, 0]), window=5).any()
    assert net.training


ATTRIBUTIONS = [pytest.param(integrated_gradients, marks=needs_captum), partial(occlusion, window=4)]


@pytest.mark.parametrize("attribute", ATTRIBUTIONS)
def test_padding_gets_nothing(attribute):
    net, x, explained = small(LSTM), series(t=10), np.zeros(5, np.int64)
    lengths = np.array([10, 6, 3, 8, 10])
    padded = np.where(np.arange(10) < lengths[:, None, None], x, 0).astype(np.float32)
    got = attribute(net, padded, explained, lengths)
    outside = np.broadcast_to(np.arange(10) >= lengths[:, None, None], got.shape)
    assert got.any() and not got[outside].any()


@needs_captum
def test_integrated_gradients_of_a_padded_series_are_those_of_the_cut_one():
    net, x, explained = small(LSTM), series(t=10), np.zeros(5, np.int64)
    lengths = np.array([10, 6, 3, 8, 10])
    padded = np.where(np.arange(10) < lengths[:, None, None], x, 0).astype(np.float32)
    got = integrated_gradients(net, padded, explained, lengths)
    alone = integrated_gradients(net, x[1:2, :, :6], explained[:1])
    np.testing.assert_allclose(got[1:2, :, :6], alone, atol=1e-5)


@pytest.mark.parametrize("attribute", ATTRIBUTIONS)
def test_a_copy_agrees_and_a_stranger_does_not(attribute):
    x, explained = series(n=20, t=40), np.zeros(20, np.int64)
    torch.manual_seed(1)
    net, stranger = LSTM(2, 3, hidden=8, layers=1), FCN(2, 3, filters=(8, 8, 8))
    maps, others = (over_channels(attribute(model, x, explained)) for model in (net, stranger))
    got = map_agreement(maps, maps)
    assert got["spearman"] == pytest.approx(1) and got["top10"] == pytest.approx(1)
    # An untrained LSTM looks at the end of every series: only the chance level gives that away.
    assert got["spearman_chance"] > 0.9 and got["undefined"] == 0
    assert map_agreement(maps, others)["spearman"] < 0.9


def test_magnitude_over_channels():
    assert over_channels(np.array([[[1.0, -2.0], [-3.0, 0.0]]])).tolist() == [[2.0, 1.0]]


def test_a_window_that_does_not_fit():
    with pytest.raises(TsdistillError, match=r"window of 9 .* series of 8"):
        occlusion(Linear(2, 8, 3), series(), np.zeros(5, np.int64), window=9)


def test_without_captum(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(TsdistillError, match=r"pip install tsdistill\[attribution\]"):
        integrated_gradients(Linear(2, 8, 3), series(), np.zeros(5, np.int64))
