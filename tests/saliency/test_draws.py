"""Which windows are drawn: starts, donors, the columns of a step, and what is cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdistill.errors import TsdistillError
from tsdistill.saliency.draws import (
    Draws,
    References,
    cut_windows,
    draw_pool,
    noise_like,
    resolve_window,
    sample_columns,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def references(y, T=12, C=1, lengths=None):
    return References(torch.randn(len(y), C, T, generator=generator()), torch.tensor(y), lengths)


@settings(max_examples=60, deadline=None)
@given(
    limits=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    size=st.integers(1, 20),
    seed=st.integers(0, 2**31),
)
def test_starts_are_distinct_ascending_and_go_round_only_when_they_must(limits, size, seed):
    y = torch.tensor([i % 2 for i in range(len(limits))])
    draws = draw_pool(
        References(torch.zeros(len(y), 1, 9), y), y, torch.tensor(limits), size, generator(seed)
    )
    for limit, row in zip(limits, draws.starts.tolist(), strict=True):
        assert row == sorted(row)
        counts = [row.count(start) for start in range(limit)]
        assert sum(counts) == size  # so none lies outside 0..limit-1
        assert max(counts) - min(counts) <= 1


def test_every_start_up_to_the_last_window_is_drawn():
    """The released code draws from 0..T-w-1 and so never replaces the last w steps as a whole."""
    T, w = 12, 5
    y = torch.tensor([0, 1])
    whole = draw_pool(references([0, 1]), y, torch.full((2,), T - w + 1), T - w + 1, generator())
    assert whole.starts.tolist() == [list(range(T - w + 1))] * 2
    few = [draw_pool(references([0, 1]), y, torch.full((2,), T - w + 1), 1, generator(s)) for s in range(200)]
    starts = torch.stack([draws.starts for draws in few])
    assert set(starts.flatten().tolist()) == set(range(T - w + 1))


def test_starts_are_uniform():
    y = torch.tensor([0, 1] * 500)
    draws = draw_pool(References(torch.zeros(1000, 1, 9), y), y, torch.full((1000,), 6), 2, generator())
    counts = torch.bincount(draws.starts.flatten(), minlength=6)
    expected = 2000 / 6
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert chi_squared < 20.5  # the 0.999 quantile at 5 degrees of freedom


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_donors_oppose_and_are_distinct_where_there_are_enough(size):
    pool = torch.tensor([0, 0, 1, 1, 2, 2])
    y = torch.tensor([0, 1, 2, 2, 1])
    draws = draw_pool(references(pool.tolist()), y, torch.full((5,), 4), size, generator())
    assert draws.references.shape == (5, size)
    assert (pool[draws.references] != y[:, None]).all()
    for row in draws.references.tolist():
        assert len(set(row)) == size or size > 4


def test_donors_are_every_opposing_series_in_the_end():
    pool = [0, 0, 1, 1, 1]
    draws = draw_pool(references(pool), torch.tensor([0]), torch.tensor([4]), 200, generator())
    assert set(draws.references.flatten().tolist()) == {2, 3, 4}


def test_one_class_alone_has_no_donors():
    with pytest.raises(TsdistillError, match="at least two classes, and only one is left"):
        draw_pool(references([1, 1]), torch.tensor([1, 1]), torch.tensor([4, 4]), 2, generator())


def test_channels_are_drawn_only_where_asked():
    y = torch.tensor([0, 1])
    limits = torch.tensor([4, 4])
    assert draw_pool(references([0, 1]), y, limits, 50, generator()).channels is None
    chosen = draw_pool(references([0, 1], C=3), y, limits, 50, generator(), channels=3).channels
    assert chosen is not None and set(chosen.flatten().tolist()) == {0, 1, 2}


def test_the_same_seed_draws_the_same_and_another_another():
    def draw(seed):
        return draw_pool(
            references([0, 1] * 5), torch.tensor([0, 1]), torch.tensor([8, 8]), 4, generator(seed)
        )

    assert torch.equal(draw(1).starts, draw(1).starts) and torch.equal(draw(1).references, draw(1).references)
    assert not torch.equal(draw(1).references, draw(2).references)


def test_take_picks_rows_and_columns():
    grid = torch.arange(12).view(3, 4)
    taken = Draws(grid, grid + 100, grid + 200).take(torch.tensor([2, 0]), torch.tensor([[0, 3], [1, 1]]))
    assert taken.starts.tolist() == [[8, 11], [1, 1]]
    assert taken.references.tolist() == [[108, 111], [101, 101]]
    assert taken.channels is not None and taken.channels.tolist() == [[208, 211], [201, 201]]


@pytest.mark.parametrize(
    ("window", "length", "steps"),
    [(10, 100, 10), (10.0, 10, 10), (1, 5, 1), (0.1, 100, 10), (0.1, 24, 2), (0.999, 24, 24), (0.001, 24, 1)],
)
def test_a_window_is_steps_or_a_fraction(window, length, steps):
    assert resolve_window(window, length) == steps


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (
            25,
            "saliency.window=25 is longer than the shortest series (24 steps); give at most 24, or",
        ),
        (
            2.5,
            "saliency.window=2.5 is neither a number of steps nor a fraction of the length; give 1..24, or",
        ),
        (0, "saliency.window=0 is neither"),
        (-0.1, "saliency.window=-0.1 is neither"),
        (-3, "saliency.window=-3 is neither"),
    ],
)
def test_a_window_that_does_not_fit_is_refused(window, told):
    with pytest.raises(TsdistillError) as error:
        resolve_window(window, 24)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize("sampling", ["uniform", "stratified", "antithetic"])
@pytest.mark.parametrize(("P", "M"), [(15, 4), (15, 5), (16, 7), (9, 8), (2, 1), (100, 16)])
def test_columns_are_distinct_and_ascending(sampling, P, M):
    columns = sample_columns(50, P, M, sampling, generator())
    assert columns.shape == (50, M) and columns.dtype == torch.int64
    assert (columns.diff(dim=1) > 0).all()
    assert columns.min() >= 0 and columns.max() < P
    # In pairs alone, the middle column of an odd pool has no partner.
    reached = set(range(P)) - ({P // 2} if sampling == "antithetic" and P % 2 and M % 2 == 0 else set())
    assert set(sample_columns(3000, P, M, sampling, generator()).flatten().tolist()) == reached


@pytest.mark.parametrize("sampling", ["uniform", "stratified", "antithetic"])
@pytest.mark.parametrize("size", [5, 8])
def test_a_small_pool_is_taken_whole(sampling, size):
    assert sample_columns(2, 5, size, sampling, generator()).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_stratified_columns_have_one_of_each_stratum():
    columns = sample_columns(200, 17, 5, "stratified", generator())
    edges = [0, 3, 6, 10, 13, 17]
    for m in range(5):
        assert set(columns[:, m].tolist()) == set(range(edges[m], edges[m + 1]))


@pytest.mark.parametrize(("P", "M"), [(16, 6), (17, 6), (16, 7), (9, 7)])
def test_antithetic_columns_mirror_each_other(P, M):
    for row in sample_columns(50, P, M, "antithetic", generator()).tolist():
        mirrored = sum(P - 1 - column in row for column in row)
        assert mirrored >= M - M % 2  # an odd M has one column more


def test_windows_are_cut_where_the_donor_has_them():
    x = torch.arange(24.0).view(2, 2, 6)
    draws = Draws(torch.tensor([[0, 4]]), torch.tensor([[1, 0]]), torch.tensor([[1, 0]]))
    windows = cut_windows(draws, References(x, torch.tensor([0, 1])), 2)
    assert windows.segments.tolist() == [[[[12, 13], [18, 19]], [[4, 5], [10, 11]]]]
    assert windows.starts is draws.starts and windows.channels is draws.channels


def test_a_short_donor_lends_its_last_whole_window_and_never_padding():
    lengths = torch.tensor([6, 3])
    x = torch.full((2, 1, 6), torch.nan)
    x[0, 0] = torch.arange(6.0)
    x[1, 0, :3] = torch.tensor([10.0, 11.0, 12.0])
    draws = Draws(torch.tensor([[0, 1, 4]]), torch.tensor([[1, 1, 1]]))
    windows = cut_windows(draws, References(x, torch.tensor([0, 1]), lengths), 2)
    assert windows.segments[0, :, 0].tolist() == [[10, 11], [11, 12], [11, 12]]


def test_windows_of_padded_series_lie_before_the_padding():
    lengths = torch.tensor([6, 3, 4])
    draws = draw_pool(
        references([0, 1, 1], T=6, lengths=lengths), torch.tensor([0, 1, 1]), lengths - 1, 5, generator()
    )
    assert (draws.starts + 2 <= lengths[:, None]).all()
    assert draws.starts[0].tolist() == [0, 1, 2, 3, 4]


def test_one_very_short_series_among_long_ones_costs_no_memory():
    """Rounds are as many as each series needs, not as the shortest does: that would be 2000 x 3000 x 3000."""
    limits = torch.cat([torch.tensor([1]), torch.full((2000,), 3000)])
    y = torch.arange(len(limits)) % 2
    pool = draw_pool(
        References(torch.zeros(4, 1, 8), torch.tensor([0, 1, 0, 1])), y, limits, 3000, torch.Generator()
    )
    assert pool.starts[0].eq(0).all()
    assert torch.equal(pool.starts[1:], torch.arange(3000).expand(2000, 3000))


def test_noise_has_each_channels_mean_and_deviation_over_true_steps():
    x = torch.randn(200, 2, 30, generator=generator()) * torch.tensor([[1.0], [5.0]]) + 7.0
    lengths = torch.arange(200) % 20 + 11
    x = x.masked_fill(torch.arange(30) >= lengths[:, None, None], 0.0)
    series = References(x, torch.arange(200) % 2, lengths)
    noise = noise_like(series, generator(1))
    assert torch.allclose(noise.x.mean(dim=(0, 2)), torch.tensor([7.0, 7.0]), atol=0.3)
    assert torch.allclose(noise.x.std(dim=(0, 2)), torch.tensor([1.0, 5.0]), rtol=0.05)
    assert noise.y is series.y and noise.lengths is lengths
    assert torch.equal(noise.x, noise_like(series, generator(1)).x)
