"""Convolutional networks on perturbed series: only the touched steps, against whole copies."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from tsdistill.data.tensors import TensorPart
from tsdistill.kernels import choice
from tsdistill.models.fcn import FCN
from tsdistill.models.inception import Inception
from tsdistill.models.recurrent import LSTM
from tsdistill.models.resnet import ResNet
from tsdistill.saliency import touched
from tsdistill.saliency.draws import References, draw_pool
from tsdistill.saliency.joint import stacked_logits
from tsdistill.saliency.pools import pool_logits
from tsdistill.saliency.windows import Windows

LONG = "TSDISTILL_LONG" in os.environ


class Branches(nn.Module):
    """Layers in a row, each maybe beside a shortcut or a second layer, as users write them."""

    def __init__(self, channels, layers):
        super().__init__()
        self.layers = nn.ModuleList()
        self.joins = []
        for kernel, stride, padding, dilation, kind, join in layers:
            same = join != "none"
            ends = "same" if same else padding
            conv = nn.Conv1d(
                channels, 4, kernel, stride=1 if same else stride, padding=ends, dilation=dilation, bias=same
            )
            norm = nn.BatchNorm1d(4)
            nn.init.normal_(norm.weight)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
            extra = {
                "relu": nn.ReLU(),
                "max": nn.MaxPool1d(3, 1, 1),
                "average": nn.AvgPool1d(2, 2),
                "gelu": nn.GELU(),
            }[kind if not (same and kind == "average") else "gelu"]
            shortcut = nn.Conv1d(channels, 4, 1) if same else nn.Identity()
            self.layers.append(nn.ModuleList([nn.Sequential(conv, norm, extra), shortcut]))
            self.joins.append(join)
            channels = 8 if join == "cat" else 4
        self.head = nn.Linear(channels, 3)

    def forward(self, x):
        for (body, shortcut), join in zip(self.layers, self.joins, strict=True):
            y = body(x)
            if join == "sum":
                y = functional.leaky_relu(y + shortcut(x), 0.1)
            elif join == "cat":
                y = torch.cat([y, shortcut(x)], dim=1)
            x = y
        return self.head(functional.dropout(x.mean(dim=-1), 0.5, self.training))


@st.composite
def cases(draw):
    B, M, C, T = (draw(st.integers(low, top)) for low, top in ((1, 3), (1, 5), (1, 3), (1, 60)))
    w = draw(st.integers(1, T))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    layer = st.tuples(
        st.integers(1, 6),
        st.integers(1, 3),
        st.integers(0, 4),
        st.integers(1, 3),
        st.sampled_from(["relu", "max", "average", "gelu"]),
        st.sampled_from(["none", "sum", "cat"]),
    )
    model = Branches(C, draw(st.lists(layer, min_size=1, max_size=4)))
    x = torch.randn(B, C, T, dtype=torch.double)
    starts = torch.randint(0, T - w + 1, (B, M))
    starts[:, 0] = draw(st.sampled_from([0, T - w]))
    channels = torch.randint(0, C, (B, M)) if draw(st.booleans()) else None
    segments = torch.randn(B, M, C, w, dtype=torch.double)
    return model.double().eval(), x, Windows(starts, segments, channels)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(max_examples=200 if LONG else 40, deadline=None)
@given(cases())
@torch.no_grad()
def test_equals_a_pass_over_whole_copies(case):
    model, x, windows = case
    try:
        expected = stacked_logits(model, x, windows)
    except RuntimeError:  # the network shrinks the series to nothing
        return
    graph = touched._traced(model)
    found = touched._pass(touched._Pass(model, graph), x, windows)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def learnt(model):
    """A model whose normalisation has statistics of its own, frozen."""
    with torch.no_grad():
        model.train()(torch.randn(8, 2, 90))
    return model.eval().requires_grad_(False)


def series(B, M, w, T=300):
    g = torch.Generator().manual_seed(1)
    starts = torch.randint(0, T - w + 1, (B, M), generator=g)
    starts[:, :2] = torch.tensor([0, T - w])
    return torch.randn(B, 2, T, generator=g), Windows(starts, torch.randn(B, M, 2, w, generator=g))


NETWORKS = {
    "fcn": lambda: FCN(2, 3, filters=(8, 16, 8)),
    "resnet": lambda: ResNet(2, 3, filters=(8, 8, 16)),
    "inception": lambda: Inception(2, 3, filters=4, depth=3, bottleneck=4, kernels=(10, 5, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_our_networks_are_computed_so(name):
    torch.manual_seed(0)
    model, (x, windows) = learnt(NETWORKS[name]()), series(3, 7, 10)
    found = touched.touched_logits(model, x, windows)
    torch.testing.assert_close(found, stacked_logits(model, x, windows), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_window_reaches_as_far_as_the_kernels():
    x, _ = series(1, 2, 10)
    fcn = learnt(FCN(2, 3, filters=(4, 4, 4), kernels=(8, 5, 3)))
    # The second convolution puts out 10 + 7 + 4 steps and reads 4 more.
    assert touched.touched_steps(fcn, x, 10) == 10 + 7 + 4 + 4
    assert touched.touched_steps(fcn, x, 200) == 300


@torch.no_grad()
def test_a_window_that_changes_nothing_leaves_the_logits_alone():
    torch.manual_seed(0)
    model, (x, windows) = learnt(NETWORKS["resnet"]()), series(3, 7, 10)
    steps = windows.starts[:, :, None, None] + torch.arange(10)
    own = x[:, None].expand(3, 7, 2, 300).gather(3, steps.expand(3, 7, 2, 10))
    clean, perturbed = touched.touched_logits(model, x, Windows(windows.starts, own))
    torch.testing.assert_close(perturbed, clean[:, None].expand(3, 7, 3), rtol=1e-6, atol=1e-6)


class Body(nn.Module):
    """A network that is traced, and one more step that decides."""

    def __init__(self, step):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.places = nn.Parameter(torch.randn(300))
        self.step = step

    def forward(self, x):
        return self.step(self, x)


def branching(model, x):
    return model.head(model.conv(x if x.sum() > 0 else -x).mean(-1))


REFUSED = {
    "data-dependent branch": branching,
    "value for each step": lambda model, x: model.head(model.conv(x + model.places).mean(-1)),
    "softmax over time": lambda model, x: model.head(model.conv(x).softmax(-1).mean(-1)),
    "gate from the mean": lambda model, x: model.head(
        (model.conv(x) * model.conv(x).mean(-1, keepdim=True).sigmoid()).mean(-1)
    ),
    "mean over channels": lambda model, x: model.head(model.conv(x).mean(1)[:, :4]),
    "mean over the batch": lambda model, x: model.head(model.conv(x).mean(-1) - model.conv(x).mean(0)[:, 0]),
    "largest over time": lambda model, x: model.head(model.conv(x).amax(-1)),
}


@pytest.mark.parametrize("name", REFUSED)
@torch.no_grad()
def test_whatever_has_no_rule_takes_the_general_way(name):
    model, (x, windows) = Body(REFUSED[name]).eval(), series(2, 3, 10)
    assert touched.touched_logits(model, x, windows) is None


@torch.no_grad()
def test_a_model_that_is_changed_is_looked_at_again():
    torch.manual_seed(0)
    model, (x, windows) = learnt(NETWORKS["fcn"]()), series(2, 3, 10)
    touched.touched_logits(model, x, windows)
    model.head = nn.Linear(8, 5)
    model.blocks[0].conv.weight.mul_(2.0)
    found = touched.touched_logits(model, x, windows)
    torch.testing.assert_close(found, stacked_logits(model, x, windows), rtol=1e-5, atol=1e-6)
    handle = model.blocks[1].register_forward_hook(lambda *_: None)
    assert touched.touched_logits(model, x, windows) is None
    handle.remove()
    assert touched.touched_logits(model, x, windows) is not None
    model.blocks[1].norm.train()
    assert touched.touched_logits(model, x, windows) is None


def test_gradients_half_precision_recurrence_and_the_setting_take_the_general_way():
    model, (x, windows) = learnt(NETWORKS["fcn"]()), series(2, 3, 10)
    assert touched.touched_logits(model, x, windows) is None
    with torch.no_grad():
        assert touched.touched_logits(LSTM(2, 3, hidden=4, layers=1).eval(), x, windows) is None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert touched.touched_logits(model, x, windows) is None
        with choice.by_torch():
            assert touched.touched_logits(model, x, windows) is None
        assert touched.touched_logits(model, x, windows) is not None


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pool_is_the_same_either_way(name, monkeypatch):
    torch.manual_seed(0)
    model, (x, _) = learnt(NETWORKS[name]()), series(6, 2, 10, T=120)
    y, references = torch.tensor([0, 1, 2] * 2), References(x, torch.tensor([0, 1, 2] * 2))
    draws = draw_pool(references, y, torch.full((6,), 111), 111, torch.Generator().manual_seed(0), channels=2)
    monkeypatch.setattr("tsdistill.saliency.pools.STEPS_AT_ONCE", 4000)
    found = pool_logits(model, TensorPart(x, y), draws, references, 10)
    with choice.by_torch():
        expected = pool_logits(model, TensorPart(x, y), draws, references, 10)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
