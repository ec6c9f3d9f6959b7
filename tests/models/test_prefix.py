"""The shared-prefix pass against windows.apply and the ordinary forward pass."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tsdistill.config.schema import Precision
from tsdistill.models import recurrent
from tsdistill.models.recurrent import GRU, LSTM
from tsdistill.saliency.windows import Windows
from tsdistill.training.loop import autocast

LONG = "TSDISTILL_LONG" in os.environ

TIGHT = {"rtol": 1e-10, "atol": 1e-13}


def plain(model: nn.Module, x: Tensor, windows: Windows, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    copies = windows.apply(x)
    perturbed = [model(copies[:, m], lengths) for m in range(copies.shape[1])]
    return model(x, lengths), torch.stack(perturbed, dim=1)


def gradients(model: nn.Module, x: Tensor, logits: tuple[Tensor, Tensor]) -> list[Tensor]:
    clean, perturbed = logits
    loss = clean.sin().sum() + (perturbed - clean[:, None]).exp().sum()
    inputs = [x] if x.requires_grad else []
    return list(torch.autograd.grad(loss, [*inputs, *model.parameters()]))


@st.composite
def cases(draw):
    B, M, C, T = (draw(st.integers(1, top)) for top in (4, 6, 3, 15))
    w = draw(st.integers(1, T))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    starts = torch.randint(0, T - w + 1, (B, M), generator=seed)
    starts[:, 0] = draw(st.sampled_from([0, T - w]))
    lengths = None
    if draw(st.booleans()):
        lengths = starts.max(dim=1).values + w
        lengths = lengths + (torch.rand(B, generator=seed) * (T - lengths + 1)).long()
    channels = torch.randint(0, C, (B, M), generator=seed) if draw(st.booleans()) else None
    segments = torch.randn(B, M, C, w, generator=seed, dtype=torch.double)
    x = torch.randn(B, C, T, generator=seed, dtype=torch.double)
    cell = draw(st.sampled_from([LSTM, GRU]))
    model = cell(C, 3, hidden=draw(st.integers(1, 5)), layers=draw(st.integers(1, 3))).double()
    x.requires_grad_(channels is None)  # windows.apply by channel has no gradient to the series
    return model, x, Windows(starts, segments, channels), lengths, draw(st.integers(1, T))


@settings(max_examples=150 if LONG else 40, deadline=None)
@given(cases())
def test_equals_the_plain_way_with_gradients(case):
    model, x, windows, lengths, chunk = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "_chunk_length", lambda *_: chunk)
        shared = model.forward_perturbed(x, windows, lengths)
    ordinary = plain(model, x, windows, lengths)
    torch.testing.assert_close(shared, ordinary, **TIGHT)
    torch.testing.assert_close(
        gradients(model, x, shared), gradients(model, x, ordinary), rtol=1e-10, atol=1e-12
    )


def draw_windows(B: int, M: int, C: int, T: int, w: int) -> Windows:
    starts = torch.stack([torch.randperm(T - w + 1)[:M] for _ in range(B)])
    return Windows(starts, torch.randn(B, M, C, w, dtype=torch.double))


@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_equals_the_plain_way_at_the_default_chunk(cell):
    torch.manual_seed(0)
    model = cell(1, 2, hidden=8, layers=2).double()
    x, windows = torch.randn(32, 1, 100, dtype=torch.double), draw_windows(32, 50, 1, 100, 10)
    with torch.no_grad():
        torch.testing.assert_close(
            model.forward_perturbed(x, windows), plain(model, x, windows, None), **TIGHT
        )


def test_a_window_beyond_the_last_step_changes_nothing():
    model = LSTM(1, 2, hidden=3, layers=1).double()
    x, windows = torch.randn(2, 1, 12, dtype=torch.double), draw_windows(2, 3, 1, 12, 4)
    windows.starts[:] = torch.tensor([8, 7, 6])
    clean, perturbed = model.forward_perturbed(x, windows, torch.tensor([5, 2]))
    torch.testing.assert_close(perturbed, clean[:, None].expand(2, 3, 2), **TIGHT)


@pytest.mark.parametrize("cell", [LSTM, GRU])
@pytest.mark.parametrize("chunk", [1, 4, 20])
def test_dropout_is_shared_within_a_series_and_only_there(cell, chunk, monkeypatch):
    monkeypatch.setattr(recurrent, "_chunk_length", lambda *_: chunk)
    torch.manual_seed(0)
    model = cell(1, 2, hidden=6, layers=3, dropout=0.5).double().train()
    x, windows = torch.randn(1, 1, 20, dtype=torch.double).repeat(4, 1, 1), draw_windows(4, 7, 1, 20, 5)
    steps = windows.starts[:, :, None, None] + torch.arange(5)
    identity = Windows(windows.starts, x[:, None].expand(4, 7, 1, 20).gather(3, steps))
    clean, perturbed = model.forward_perturbed(x, identity)
    torch.testing.assert_close(perturbed, clean[:, None].expand(4, 7, 2), **TIGHT)
    assert len(clean.detach().unique(dim=0)) == 4
    model.eval()
    torch.testing.assert_close(model.forward_perturbed(x, windows), plain(model, x, windows, None), **TIGHT)


def test_dropout_keeps_the_expectation():
    torch.manual_seed(0)
    model = LSTM(1, 2, hidden=50, layers=2, dropout=0.3)
    masks = model._dropout_masks(4, torch.zeros(9, 30, 1))
    assert [mask.shape for mask in masks] == [(4, 30, 50)]
    values, counts = masks[0].unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.7]))
    assert counts[0] / counts.sum() == pytest.approx(0.3, abs=0.03)


def test_runs_under_bfloat16_autocast():
    torch.manual_seed(0)
    for cell in (LSTM, GRU):
        model = cell(1, 2, hidden=8, layers=2, dropout=0.1)
        x, windows = torch.randn(3, 1, 40), draw_windows(3, 5, 1, 40, 4)
        windows = Windows(windows.starts, windows.segments.float())
        with autocast(torch.device("cpu"), Precision.bf16):
            clean, perturbed = model.forward_perturbed(x, windows)
        (clean.float().sum() + perturbed.float().sum()).backward()
        model.eval()
        torch.testing.assert_close(
            perturbed.float(), model.forward_perturbed(x, windows)[1], rtol=0.5, atol=0.2
        )


def test_hooks_see_only_ordinary_passes():
    model = LSTM(1, 2, hidden=3, layers=2)
    seen = []
    model.layers[1].register_forward_hook(lambda *_: seen.append(1))
    windows = draw_windows(2, 3, 1, 12, 4)
    model.forward_perturbed(torch.randn(2, 1, 12), Windows(windows.starts, windows.segments.float()))
    assert not seen


def test_one_chunk_where_sharing_does_not_pay():
    assert recurrent._chunk_length(copies=32 * 15, length=24, width=10, hidden=8) == 24
    assert recurrent._chunk_length(copies=32 * 4, length=96, width=10, hidden=8) == 96
    assert 10 <= recurrent._chunk_length(copies=32 * 50, length=100, width=10, hidden=8) <= 30
    assert 4 <= recurrent._chunk_length(copies=640, length=100, width=10, hidden=100) <= 12
