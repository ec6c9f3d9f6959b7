"""A dataset's preprocessing by itself: what it does to the test part is what the dataset's own did."""

import itertools

import numpy as np
import pytest

from tsdistill.data.prepare import Preparation
from tsdistill.data.preprocess import Preprocessing, preprocess
from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.errors import TsdistillError


def part(rng: np.random.Generator, n: int, lengths: tuple[int, int], gaps: bool = True) -> RawPart:
    series = [rng.normal(3, 2, (2, rng.integers(*lengths, endpoint=True))) for _ in range(n)]
    if gaps:
        series[1][0, 2:4] = np.nan
    raw = RawPart.ragged(series, [str(i % 2) for i in range(n)])
    return RawPart(raw.values, raw.lengths, raw.labels, ("air", "oil"))


@pytest.mark.parametrize("lengths", [(12, 12), (9, 15)])
@pytest.mark.parametrize("limit", [None, 7, 12])
def test_it_does_what_the_dataset_went_through(lengths: tuple[int, int], limit: int | None) -> None:
    rng = np.random.default_rng(0)
    raw = RawDataset("A", part(rng, 8, lengths), part(rng, 6, lengths), "here")
    policies = (
        ("resample", "pad", "truncate"),
        ("interpolate", "zero"),
        ("none", "per_series", "per_channel_train"),
    )
    for policy, gaps, scaling in itertools.product(*policies):
        how = Preprocessing(limit, policy, gaps, scaling)  # type: ignore[arg-type]
        dataset, preparation = preprocess(raw, how), Preparation.of(raw, how)
        found, _ = preparation(raw.test, "new")
        np.testing.assert_array_equal(found.x, dataset.test.x)
        wanted = dataset.test.lengths
        assert (found.lengths is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_array_equal(found.lengths, wanted)
        assert Preparation.from_dict(preparation.as_dict()) == preparation


def prepared_by(lengths: str, new: int, known: tuple[int, int] = (10, 10), limit: int | None = None) -> str:
    rng = np.random.default_rng(0)
    raw = RawDataset("A", part(rng, 4, known, False), part(rng, 4, known, False), "here")
    how = Preprocessing(limit, lengths)  # type: ignore[arg-type]
    found, notes = Preparation.of(raw, how)(part(rng, 2, (new, new), False), "new.csv")
    return f"{found.x.shape} {notes}"


def test_other_lengths_are_resampled_or_refused_as_the_student_was_trained() -> None:
    told = "['Series have 14 steps and are resampled to 10.']"
    assert prepared_by("resample", 14) == f"(2, 2, 10) {told}"
    assert prepared_by("truncate", 14) == "(2, 2, 10) []"
    with pytest.raises(
        TsdistillError, match=r"new.csv: series 1 has 8 steps; .*truncate .* takes at least 10"
    ):
        prepared_by("truncate", 8)
    with pytest.raises(TsdistillError, match=r"series 1 has 14 steps; .*pad the student takes 10$"):
        prepared_by("pad", 14)
    with pytest.raises(TsdistillError, match=r"takes at least 10"):
        prepared_by("pad", 8, (12, 12), 10)


def test_other_channels_are_refused() -> None:
    rng = np.random.default_rng(0)
    raw = RawDataset("A", part(rng, 4, (10, 10)), part(rng, 4, (10, 10)), "here")
    preparation = Preparation.of(raw, Preprocessing())
    with pytest.raises(
        TsdistillError, match="its series have 1 channel; the student was trained on 2 channels"
    ):
        preparation(RawPart.of(np.zeros((2, 10)), ["", ""]), "new.csv")
    other = RawPart(raw.test.values, raw.test.lengths, raw.test.labels, ("air", "water"))
    with pytest.raises(
        TsdistillError, match="its channels are air, water; the student was trained on air, oil"
    ):
        preparation(other, "new.csv")


def test_what_can_be_prepared_step_by_step() -> None:
    rng = np.random.default_rng(0)
    even = RawDataset("A", part(rng, 4, (10, 10), False), part(rng, 4, (10, 10), False), "here")
    uneven = RawDataset("A", part(rng, 4, (8, 12), False), part(rng, 4, (8, 12), False), "here")

    def reason(raw: RawDataset, *how: object) -> str | None:
        return Preparation.of(raw, Preprocessing(*how)).needs_whole_series()  # type: ignore[arg-type]

    assert reason(even) is None and reason(uneven, None, "pad") is None
    assert reason(even, None, "resample", "interpolate", "per_channel_train") is None
    assert "resampled to 6 steps" in str(reason(even, 6))
    assert "resampled" in str(reason(uneven)) and "per_series" in str(
        reason(even, None, "pad", "zero", "per_series")
    )
