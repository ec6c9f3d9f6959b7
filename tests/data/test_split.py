"""The seeded split."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdistill.data.split import stratified_split


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.floats(0, 0.95),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_it_is_a_partition_that_keeps_every_class(labels, fraction, seed):
    y = np.array(labels, dtype=np.int64)
    kept, held_out = stratified_split(y, fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(len(y)))
    assert set(y[kept]) == set(y)
    for k in set(labels):
        assert abs((y[held_out] == k).sum() - fraction * labels.count(k)) <= 1.0001
    again = stratified_split(y, fraction, seed)
    assert (again[0] == kept).all() and (again[1] == held_out).all()


def test_sizes_by_hand():
    y = np.array([0] * 10 + [1] * 5 + [2], dtype=np.int64)
    _, held_out = stratified_split(y, 0.2, 0)
    assert np.bincount(y[held_out], minlength=3).tolist() == [2, 1, 0]


def test_the_seed_matters_and_one_series_a_class_is_kept():
    y = np.repeat(np.arange(2), 50)
    assert (stratified_split(y, 0.2, 0)[1] != stratified_split(y, 0.2, 1)[1]).any()
    kept, held_out = stratified_split(np.arange(18), 0.2, 0)
    assert len(kept) == 18 and not len(held_out)
