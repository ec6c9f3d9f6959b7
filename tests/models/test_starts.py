import math

import pytest
import torch
from torch import nn

from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.models.starts import STARTS, start_recurrent


def test_torch_leaves_the_layer_as_it_is():
    torch.manual_seed(0)
    layer = nn.LSTM(2, 8)
    before = {name: value.clone() for name, value in layer.named_parameters()}
    start_recurrent(layer, "torch", 100)
    assert all(torch.equal(before[name], value) for name, value in layer.named_parameters())


@pytest.mark.parametrize("start", ["forget", "keras"])
def test_the_forget_gate_starts_open(start):
    layer = nn.LSTM(2, 8)
    start_recurrent(layer, start, 100)
    kept = (layer.bias_ih_l0 + layer.bias_hh_l0)[8:16]
    assert (kept == 1).all()


def test_chrono_spreads_the_spans_up_to_the_length():
    torch.manual_seed(0)
    layer = nn.LSTM(1, 1000)
    start_recurrent(layer, "chrono", 101)
    inputs, forget, rest = layer.bias_ih_l0[:1000], layer.bias_ih_l0[1000:2000], layer.bias_ih_l0[2000:]
    assert torch.equal(inputs, -forget)
    assert (layer.bias_hh_l0 == 0).all() and (rest == 0).all()
    assert forget.min() >= 0 and forget.max() <= math.log(100)
    assert forget.exp().mean().item() == pytest.approx(50.5, abs=3)  # spans are uniform within 1 and T - 1


def test_chrono_opens_a_gru_update_gate():
    layer = nn.GRU(1, 8)
    start_recurrent(layer, "chrono", 101)
    assert (layer.bias_ih_l0[8:16] >= 0).all() and layer.bias_ih_l0[8:16].max() > 0
    assert (layer.bias_ih_l0[:8] == 0).all() and (layer.bias_ih_l0[16:] == 0).all()


def test_recurrent_weights_start_orthogonal():
    layer = nn.GRU(3, 8)
    start_recurrent(layer, "keras", 10)
    torch.testing.assert_close(layer.weight_hh_l0.T @ layer.weight_hh_l0, torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", [LSTM, GRU])
@pytest.mark.parametrize("start", STARTS)
def test_every_layer_of_a_model_starts_so(family, start):
    torch.manual_seed(0)
    model = family(1, 2, hidden=8, layers=2, init=start, series_length=2)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    if start in ("keras", "chrono"):
        assert all((layer.bias_hh_l0 == 0).all() for layer in model.layers)


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match="init=chrno is not one of torch, forget, keras, chrono"):
        LSTM(1, 2, init="chrno")
