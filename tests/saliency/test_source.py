"""Where a step's windows come from: the pool and the teacher in the loop say the same of the same draws."""

import pytest
import torch

from tsdistill.data.tensors import TensorPart
from tsdistill.models.fcn import FCN
from tsdistill.models.recurrent import LSTM
from tsdistill.saliency import pools
from tsdistill.saliency.draws import Draws, References, cut_windows, draw_pool
from tsdistill.saliency.source import CachedWindows, OnlineWindows, perturbed_logits

N, C, T, W = 9, 2, 12, 4
LENGTHS = torch.tensor([12, 9, 10, 12, 8, 11, 12, 7, 9])


def train_part(padded=False):
    x = torch.randn(N, C, T, generator=torch.Generator().manual_seed(0))
    lengths = LENGTHS if padded else None
    if padded:
        x = x * (torch.arange(T) < LENGTHS[:, None])[:, None]
    return TensorPart(x, torch.tensor([0, 1, 2] * 3), lengths)


def teacher(kind):
    torch.manual_seed(0)
    model = LSTM(C, 3, hidden=5, layers=2) if kind == "lstm" else FCN(C, 3, filters=(4,), kernels=(3,))
    return model.eval().requires_grad_(False)


def drawn(part, P=9, channels=None):
    lengths = torch.full((N,), T) if part.lengths is None else part.lengths
    references = References(part.x, part.y, part.lengths)
    limits = lengths - W + 1
    return references, draw_pool(references, part.y, limits, P, torch.Generator().manual_seed(1), channels)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "fcn"])
def test_pool_logits_do_not_depend_on_how_they_are_chunked(kind, padded, monkeypatch):
    part, model = train_part(padded), teacher(kind)
    references, draws = drawn(part)
    plain = torch.stack(
        [
            model(
                cut_windows(draws.take(torch.arange(N), torch.full((N, 1), p)), references, W).apply(part.x)[
                    :, 0
                ],
                part.lengths,
            )
            for p in range(9)
        ],
        dim=1,
    )
    for steps in (1, T, 4 * T, 9 * T, 40 * T, 10**6):
        monkeypatch.setattr(pools, "STEPS_AT_ONCE", steps)
        found = pools.pool_logits(model, part, draws, references, W)
        torch.testing.assert_close(found, plain, rtol=0, atol=1e-6)
        assert torch.equal(found, pools.pool_logits(model, part, draws, references, W))


def test_cached_windows_are_the_pool_s_own_with_its_logits():
    part, model = train_part(), teacher("lstm")
    references, pool = drawn(part, channels=C)
    logits = pools.pool_logits(model, part, pool, references, W)
    source = CachedWindows(pool, logits, references, W, 4, "uniform", torch.Generator().manual_seed(3))
    rows = torch.tensor([7, 0, 4])
    windows, answers = source.draw(rows, part.x[rows])
    assert windows.starts.shape == (3, 4) and answers.shape == (3, 4, 3)
    torch.testing.assert_close(answers, perturbed_logits(model, part.x[rows], windows), rtol=0, atol=1e-6)
    for b, row in enumerate(rows.tolist()):
        for m in range(4):
            [p] = [
                p
                for p in range(9)
                if pool.starts[row, p] == windows.starts[b, m] and torch.equal(answers[b, m], logits[row, p])
            ]
            donor = part.x[pool.references[row, p]]
            start = int(pool.starts[row, p])
            assert torch.equal(windows.segments[b, m], donor[:, start : start + W])
            assert windows.channels[b, m] == pool.channels[row, p]


@pytest.mark.parametrize("padded", [False, True])
def test_cached_and_online_give_the_same_logits_for_the_same_draws(padded, monkeypatch):
    part, model = train_part(padded), teacher("fcn")
    references, pool = drawn(part)
    logits = pools.pool_logits(model, part, pool, references, W)
    limits = (LENGTHS if padded else torch.full((N,), T)) - W + 1
    online = OnlineWindows(model, references, limits, W, 9, None, torch.Generator())
    cached = CachedWindows(pool, logits, references, W, 9, "uniform", torch.Generator())
    rows = torch.tensor([5, 2, 8, 0])
    taken = pool.take(rows, torch.arange(9).expand(4, 9))
    monkeypatch.setattr("tsdistill.saliency.source.draw_pool", lambda *_: taken)
    windows, answers = online.draw(rows, part.x[rows])
    same_windows, same_answers = cached.draw(rows, part.x[rows])
    assert torch.equal(windows.starts, same_windows.starts)
    assert torch.equal(windows.segments, same_windows.segments)
    torch.testing.assert_close(answers, same_answers, rtol=0, atol=1e-6)


def test_online_windows_oppose_and_stay_before_the_padding():
    part, model = train_part(padded=True), teacher("fcn")
    references = References(part.x, part.y, part.lengths)
    online = OnlineWindows(model, references, LENGTHS - W + 1, W, 6, C, torch.Generator().manual_seed(0))
    rows = torch.tensor([7, 4, 0])
    windows, answers = online.draw(rows, part.x[rows])
    assert (windows.starts + W <= LENGTHS[rows][:, None]).all()
    assert windows.channels is not None and windows.channels.max() < C
    assert answers.shape == (3, 6, 3) and not answers.requires_grad
    again, _ = online.draw(rows, part.x[rows])
    assert not torch.equal(again.segments, windows.segments)


def test_online_draws_no_more_windows_than_there_are():
    part, model = train_part(), teacher("fcn")
    online = OnlineWindows(
        model, References(part.x, part.y), torch.full((N,), 3), 10, 50, None, torch.Generator()
    )
    windows, _ = online.draw(torch.tensor([1]), part.x[:1])
    assert windows.starts.tolist() == [[0, 1, 2]]


def test_logits_under_autocast_are_float32():
    part = train_part()
    windows = cut_windows(
        Draws(torch.zeros(N, 1, dtype=torch.int64), torch.zeros(N, 1, dtype=torch.int64)),
        References(part.x, part.y),
        W,
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert perturbed_logits(teacher("fcn"), part.x, windows).dtype == torch.float32
