"""A checkpoint gives back what was written, of the same types, or nothing."""

import math
from collections import Counter

import pytest
import torch

from tsdistill.store.checkpoints import (
    UnstorableError,
    checkpoint_folder,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)

STATE = {
    "optimizer": {0: {"step": torch.tensor(3.0)}, 1: {}},
    "betas": (0.9, 0.999),
    "milestones": Counter({25: 1, 30: 2}),
    "best": math.inf,
    "undefined": math.nan,
    "small": 5e-324,
    "names": ["a", "b"],
    "$tuple": [1],
    "none": None,
    "flag": True,
    "states": {"torch": torch.arange(5, dtype=torch.uint8), "empty": torch.empty(0, 3)},
}


def anything(state):
    """Accepts every checkpoint."""


def test_a_state_comes_back_with_its_types(tmp_path):
    folder = checkpoint_folder(tmp_path / "runs" / "GunPoint" / "ab")
    assert folder == tmp_path / "checkpoints" / "GunPoint" / "runs-ab"
    write_checkpoint(folder, STATE)
    found = read_checkpoint(folder, anything)
    assert found.keys() == STATE.keys()
    assert math.isnan(found.pop("undefined"))
    for name in ("betas", "milestones", "best", "small", "names", "$tuple", "none", "flag"):
        assert found[name] == STATE[name] and type(found[name]) is type(STATE[name])
    assert found["optimizer"][0]["step"].equal(torch.tensor(3.0)) and found["optimizer"][1] == {}
    for name, tensor in STATE["states"].items():
        assert found["states"][name].equal(tensor) and found["states"][name].dtype == tensor.dtype
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "state.json",
        "state.safetensors",
    ]
    remove_checkpoint(folder)
    remove_checkpoint(folder)
    assert read_checkpoint(folder, anything) is None and list(folder.parent.iterdir()) == []


def test_what_is_no_plain_value_is_named(tmp_path):
    with pytest.raises(UnstorableError, match="scheduler/schedule is a function"):
        write_checkpoint(tmp_path / "c", {"scheduler": {"schedule": anything}})
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_killed_between_its_two_renames_loses_nothing(tmp_path):
    write_checkpoint(tmp_path / "c", {"epoch": 1})
    temporary = tmp_path / f".c.tmp-{'0' * 32}"
    (tmp_path / "c").rename(f"{temporary}-old")
    temporary.mkdir()
    assert read_checkpoint(tmp_path / "c", anything) == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_one_of_a_newer_form_is_set_aside(tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr("tsdistill.store.checkpoints.SCHEMA", 2)
        write_checkpoint(tmp_path / "c", {})
    assert read_checkpoint(tmp_path / "c", anything) is None
    assert "state.json has schema 2, not 1" in caplog.text
