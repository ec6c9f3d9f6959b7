"""Preprocessing against values worked out by hand and against plain forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdistill.data.preprocess import Preprocessing, preprocess, resample
from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.errors import TsdistillError

NAN = float("nan")


def raw(train, test=None, labels=("1", "2"), test_labels=None):
    """Two-part dataset of ragged one-channel series."""
    part = RawPart.ragged([[one] for one in train], labels)
    other = part if test is None else RawPart.ragged([[one] for one in test], test_labels or labels)
    return RawDataset("toy", part, other, "memory")


def series(dataset, part="train"):
    return getattr(dataset, part).x[:, 0].tolist()


def test_resampling_keeps_both_ends():
    assert resample(np.array([[0.0, 1, 2, 3]]), 3).tolist() == [[0, 1.5, 3]]
    assert resample(np.array([[0.0, 10]]), 5).tolist() == [[0, 2.5, 5, 7.5, 10]]
    assert resample(np.array([[7.0]]), 3).tolist() == [[7, 7, 7]]


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=30),
    st.integers(2, 40),
)
@settings(max_examples=60, deadline=None)
def test_resampling_is_linear_interpolation_with_aligned_corners(values, length):
    x = np.array(values)
    ours = resample(x[None], length)[0]
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(x)[None, None], size=length, mode="linear", align_corners=True
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=1e-9 * max(1, np.abs(x).max()))


def test_long_series_are_cut_to_the_limit_and_short_ones_kept():
    data = raw([[0, 1, 2, 3, 4], [0, 0, 0, 0, 0]])
    assert series(preprocess(data, Preprocessing(max_length=3))) == [[0, 2, 4], [0, 0, 0]]
    assert preprocess(data, Preprocessing(max_length=9)).length == 5


def test_resample_brings_all_to_the_longest_training_series():
    data = raw([[0, 3], [0, 1, 2, 3]], [[0, 1, 2, 3, 4, 5, 6], [1, 1]])
    done = preprocess(data, Preprocessing(lengths="resample"))
    assert series(done) == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert series(done, "test") == [[0, 2, 4, 6], [1, 1, 1, 1]]
    assert done.train.lengths is None and done.test.lengths is None


def test_pad_keeps_values_and_true_lengths():
    data = raw([[1, 3], [1, 2, 3, 4]], [[5, 6, 7, 8, 9], [1]])
    done = preprocess(data, Preprocessing(lengths="pad"))
    assert series(done) == [[1, 3, 0, 0, 0], [1, 2, 3, 4, 0]]
    assert done.train.lengths.tolist() == [2, 4] and done.test.lengths.tolist() == [5, 1]
    capped = preprocess(data, Preprocessing(lengths="pad", max_length=3))
    assert series(capped) == [[1, 3, 0], [1, 2.5, 4]]
    assert series(capped, "test") == [[5, 7, 9], [1, 0, 0]]
    assert capped.train.lengths.tolist() == [2, 3]


def test_truncate_cuts_to_the_shortest_of_both_parts():
    data = raw([[1, 2, 3], [1, 2, 3, 4]], [[5, 6], [1, 2, 3]])
    done = preprocess(data, Preprocessing(lengths="truncate"))
    assert series(done) == [[1, 2], [1, 2]] and done.train.lengths is None


@pytest.mark.parametrize("lengths", ["resample", "pad", "truncate"])
def test_one_length_knows_no_policy(lengths):
    data = raw([[1, 2, 3], [4, 5, 6]])
    done = preprocess(data, Preprocessing(lengths=lengths))
    assert series(done) == [[1, 2, 3], [4, 5, 6]] and done.train.lengths is None and not done.notes


def test_channels_of_unequal_length():
    part = RawPart.ragged([[[0, 2], [0, 1, 2, 3]], [[1, 1, 1], [2, 2, 2]]], "ab")
    data = RawDataset("toy", part, part, "memory")
    resampled = preprocess(data, Preprocessing(lengths="resample")).train
    np.testing.assert_allclose(resampled.x[0], [[0, 2 / 3, 4 / 3, 2], [0, 1, 2, 3]], rtol=1e-6)
    padded = preprocess(data, Preprocessing(lengths="pad")).train
    assert padded.x[0].tolist() == [[0, 2, 0, 0], [0, 1, 2, 3]] and padded.lengths.tolist() == [4, 3]
    cut = preprocess(data, Preprocessing(lengths="truncate")).train
    assert cut.x[0].tolist() == [[0, 2], [0, 1]]


def test_one_long_series_cannot_make_short_ones_take_any_memory(monkeypatch):
    monkeypatch.setattr("tsdistill.data.raw.PADDED_VALUES", 1000)
    short, long = [[0.0, 1.0]] * 50, [[float(n) for n in range(30)]]
    with pytest.raises(
        TsdistillError,
        match=r"x.ts: 51 series of 1 x 30 values would take 0.0 GiB, though they hold 130 values in all; "
        "shorten series 1 or leave it out",
    ):
        RawPart.ragged([[one] for one in long + short], "ab" * 25 + "a", "x.ts")
    test = RawPart.ragged([[one] for one in short], "ab" * 25)
    train = RawPart.ragged([[one] for one in long * 2], "ab")
    data = RawDataset("toy", train, test, "memory")
    for lengths in ("pad", "resample"):
        with pytest.raises(TsdistillError, match=r"^toy, test part: .*set dataset.max_length$"):
            preprocess(data, Preprocessing(lengths=lengths))
        assert preprocess(data, Preprocessing(lengths=lengths, max_length=8)).test.x.shape == (50, 1, 8)


def test_padding_in_proportion_to_the_values_is_not_refused(monkeypatch):
    monkeypatch.setattr("tsdistill.data.raw.PADDED_VALUES", 100)
    part = RawPart.ragged([[[0.0] * 10], [[1.0] * 100]] * 10, "ab" * 10)
    assert part.values.shape == (20, 1, 100)


def test_gaps_are_filled_as_asked():
    data = raw([[NAN, 1, NAN, NAN, 4, NAN], [0, 0, 0, 0, 0, 0]])
    assert series(preprocess(data, Preprocessing()))[0] == [1, 1, 2, 3, 4, 4]
    assert series(preprocess(data, Preprocessing(gaps="zero")))[0] == [0, 1, 0, 0, 4, 0]
    with pytest.raises(TsdistillError, match="train series 1 has missing values"):
        preprocess(data, Preprocessing(gaps="refuse"))
    assert np.isnan(data.train.values[0, 0, 0]), "the raw series are left as they are"


def test_a_channel_without_values_cannot_be_interpolated():
    part = RawPart.ragged([[[1, 2], [NAN, NAN]], [[1, 2], [3, 4]]], "ab")
    data = RawDataset("toy", part, part, "memory")
    with pytest.raises(TsdistillError, match="train series 1, channel 2: no value to interpolate from"):
        preprocess(data, Preprocessing())
    assert preprocess(data, Preprocessing(gaps="zero")).train.x[0, 1].tolist() == [0, 0]


def test_scaling_of_each_series():
    data = raw([[1, 2, 3], [5, 5, 5]])
    done = preprocess(data, Preprocessing(scaling="per_series"))
    root = np.sqrt(1.5)
    np.testing.assert_allclose(series(done), [[-root, 0, root], [0, 0, 0]], rtol=1e-6)


def test_a_constant_series_stays_zero_after_resampling_and_scaling():
    value = 0.1
    data = raw([[value] * 7, list(range(7))])
    done = preprocess(data, Preprocessing(max_length=4, scaling="per_series"))
    assert series(done)[0] == [0, 0, 0, 0]


def test_scaling_by_the_training_part():
    data = raw([[0, 2], [4, 6]], [[3, 3], [13, 3]])
    done = preprocess(data, Preprocessing(scaling="per_channel_train"))
    deviation = np.sqrt(5)
    np.testing.assert_allclose(series(done, "test"), [[0, 0], [10 / deviation, 0]], rtol=1e-6)


def test_scaling_by_the_training_part_is_that_of_all_its_steps():
    random = np.random.default_rng(0)
    x = random.normal(5, 3, size=(700, 2, 600)) * np.array([1, 40])[:, None]
    part = RawPart.of(x, [str(n % 2) for n in range(700)])
    done = preprocess(RawDataset("toy", part, part, "memory"), Preprocessing(scaling="per_channel_train"))
    expected = (x - x.mean(axis=(0, 2), keepdims=True)) / x.std(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(done.train.x, expected, atol=1e-5)
    each = preprocess(RawDataset("toy", part, part, "memory"), Preprocessing(scaling="per_series"))
    expected = (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
    np.testing.assert_allclose(each.train.x, expected, atol=1e-5)


def test_a_constant_training_part_is_scaled_to_zero():
    data = raw([[0.1, 0.1], [0.1, 0.1]], [[0.3, 0.1], [5, 6]])
    done = preprocess(data, Preprocessing(scaling="per_channel_train"))
    assert not done.train.x.any() and not done.test.x.any()


@pytest.mark.parametrize("scaling", ["per_series", "per_channel_train"])
def test_padding_counts_for_no_statistic_and_stays_zero(scaling):
    padded = preprocess(raw([[1, 3], [2, 4, 6, 8]]), Preprocessing(lengths="pad", scaling=scaling)).train
    assert padded.x[0, 0, 2:].tolist() == [0, 0]
    true = [padded.x[0, 0, :2], padded.x[1, 0]]
    for values in true if scaling == "per_series" else [np.concatenate(true)]:
        np.testing.assert_allclose([values.mean(), values.std()], [0, 1], atol=1e-6)


def test_numeric_labels_stand_in_numeric_order():
    data = raw([[1, 2]] * 4, [[1, 2]] * 2, labels=["10", "2", "-1", "2.0"], test_labels=["1e1", "-1.0"])
    done = preprocess(data, Preprocessing())
    assert done.classes == ("-1", "2", "10")
    assert done.train.y.tolist() == [2, 1, 0, 1] and done.test.y.tolist() == [2, 0]


def test_words_stand_in_the_order_of_their_characters():
    data = raw([[1, 2]] * 3, labels=["walk", "Run", "2"])
    done = preprocess(data, Preprocessing())
    assert done.classes == ("2", "Run", "walk") and done.train.y.tolist() == [2, 1, 0]


def test_a_class_of_one_series_is_fine():
    assert preprocess(raw([[1, 2], [3, 4]]), Preprocessing()).classes == ("1", "2")


def test_the_fingerprint_follows_the_content():
    base = raw([[1, 2, 3], [4, 5, 6]])
    same = preprocess(base, Preprocessing()).fingerprint
    assert preprocess(raw([[1, 2, 3], [4, 5, 6]]), Preprocessing(max_length=9)).fingerprint == same
    others = [
        preprocess(raw([[1, 2, 3], [4, 5, 7]]), Preprocessing()),
        preprocess(raw([[1, 2, 3], [4, 5, 6]], labels=("1", "3")), Preprocessing()),
        preprocess(base, Preprocessing(max_length=2)),
        preprocess(base, Preprocessing(scaling="per_series")),
        preprocess(raw([[1, 2, 3], [4, 5, 6]], [[1, 2, 3]], test_labels=["1"]), Preprocessing()),
    ]
    assert len({one.fingerprint for one in others} | {same}) == len(others) + 1


def test_arrays_are_what_the_contract_says():
    done = preprocess(raw([[1, 2, 3], [4, 5]]), Preprocessing(lengths="pad"))
    assert done.train.x.dtype == np.float32 and done.train.x.flags.c_contiguous
    assert done.train.y.dtype == np.int64 and done.train.lengths.dtype == np.int64
    assert (done.channels, done.length) == (1, 3)


def test_values_beyond_float32_are_refused():
    part = RawPart.of(np.array([[1e39, 0.0], [1.0, 2.0]]), ["a", "b"])
    with pytest.raises(TsdistillError, match="too large for float32"):
        preprocess(RawDataset("toy", part, part, "memory"), Preprocessing())


def test_labels_that_are_too_few_are_refused():
    part = RawPart.of(np.zeros((3, 4)), ["a", "b"])
    with pytest.raises(TsdistillError, match="the train part has 3 series, 3 lengths and 2 labels"):
        preprocess(RawDataset("toy", part, part, "memory"), Preprocessing())
