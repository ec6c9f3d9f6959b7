import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsdistill
from tsdistill.errors import TsdistillError
from tsdistill.store.keys import code_fingerprint, key_of

FACTS = {
    "data": "abc",
    "lr": 0.001,
    "layers": [128, 256],
    "split": {"seed": 0, "validation": 0.2},
    "clip": None,
}


def test_key_is_16_hex_digits_and_stays_the_same_over_releases(monkeypatch):
    monkeypatch.setattr(tsdistill, "RESULTS_VERSION", 1)
    assert key_of("teacher", {"a": 1, "b": 0.1}) == "58861c7932153a26"


@pytest.mark.parametrize(
    "changed",
    [
        {"data": "abd"},
        {"lr": 0.0010000000000000002},
        {"layers": [256, 128]},
        {"layers": [128, 256.0]},
        {"split": {"seed": 1, "validation": 0.2}},
        {"clip": False},
        {"new": None},
    ],
)
def test_key_changes_with_any_fact(changed):
    assert key_of("teacher", {**FACTS, **changed}) != key_of("teacher", FACTS)


def test_key_changes_with_kind_and_results_version(monkeypatch):
    before = key_of("teacher", FACTS)
    assert key_of("pool", FACTS) != before
    monkeypatch.setattr(tsdistill, "RESULTS_VERSION", tsdistill.RESULTS_VERSION + 1)
    assert key_of("teacher", FACTS) != before


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


def test_own_and_torch_targets_have_no_fingerprint():
    assert code_fingerprint("tsdistill.models.lstm.LSTM") is None
    assert code_fingerprint("torch.nn.Linear") is None


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "users_base.py").write_text("class Base:\n    size = 1\n")
    (tmp_path / "users_model.py").write_text("from users_base import Base\nclass Net(Base):\n    pass\n")

    def fingerprint() -> str | None:
        for name in ("users_model", "users_base"):
            sys.modules.pop(name, None)
        return code_fingerprint("users_model.Net")

    yield tmp_path, fingerprint
    for name in ("users_model", "users_base"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("file", ["users_model.py", "users_base.py"])
def test_an_edited_model_or_base_class_is_another_model(users_module, file):
    folder, fingerprint = users_module
    before = fingerprint()
    assert before is not None and fingerprint() == before
    with (folder / file).open("a") as source:
        source.write("# edited\n")
    assert fingerprint() != before


def test_unknown_target_is_refused_in_one_line():
    with pytest.raises(TsdistillError, match=r"^_target_: no_such_module.Net is not found"):
        code_fingerprint("no_such_module.Net")
