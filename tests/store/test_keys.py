import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdistill.errors import TsdistillError
from tsdistill.store.keys import key_of

FACTS = {
    "data": "abc",
    "lr": 0.001,
    "layers": [128, 256],
    "split": {"seed": 0, "validation": 0.2},
    "clip": None,
}


def test_key_is_16_hex_digits_and_stays_the_same_over_releases():
    assert key_of("teacher", {"a": 1, "b": 0.1}) == "f3f5e088e207df48"


@pytest.mark.parametrize("spelled", [8, 8.0, 8e0])
def test_a_number_is_one_however_it_is_spelled(spelled):
    assert key_of("run", {"tau": spelled, "layers": [spelled]}) == key_of("run", {"layers": [8], "tau": 8})


@pytest.mark.parametrize(
    "changed",
    [
        {"data": "abd"},
        {"lr": 0.0010000000000000002},
        {"layers": [256, 128]},
        {"layers": [128, 256.5]},
        {"split": {"seed": 1, "validation": 0.2}},
        {"clip": False},
        {"new": None},
    ],
)
def test_key_changes_with_any_fact(changed):
    assert key_of("teacher", {**FACTS, **changed}) != key_of("teacher", FACTS)


def test_key_changes_with_kind():
    assert key_of("pool", FACTS) != key_of("teacher", FACTS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), json_values), st.randoms(use_true_random=False))
def test_key_does_not_depend_on_the_order_of_entries(facts, shuffler: random.Random):
    names = list(facts)
    shuffler.shuffle(names)
    assert key_of("run", {name: facts[name] for name in names}) == key_of("run", facts)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x", {1: 2}, [[{"a": 1j}]]])
def test_key_refuses_what_is_not_json(value):
    with pytest.raises(TsdistillError, match=r"run\.inner"):
        key_of("run", {"inner": value})
