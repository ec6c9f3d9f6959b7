import math
from dataclasses import replace

import pytest
import torch

from tsdistill.store.teachers import (
    MapArtefact,
    PoolArtefact,
    TeacherArtefact,
    pool_folder,
    read_map,
    read_pool,
    read_teacher,
    teacher_folder,
    write_map,
    write_pool,
    write_teacher,
)

KEY = "0123456789abcdef"


@pytest.fixture
def teacher() -> TeacherArtefact:
    return TeacherArtefact(
        key=KEY,
        config={"teacher": {"_target_": "os.abort", "sizes": [128, 256]}, "lr": 1e-3},
        weights={"layer.weight": torch.randn(3, 2), "steps": torch.tensor(7)},
        logits={"train": torch.randn(5, 2), "test": torch.randn(4, 2)},
        metrics={
            "validation": None,
            "test": {"accuracy": 0.5, "roc_auc": math.nan},
            "training": {"best_epoch": None},
        },
    )


def test_teacher_round_trip_instantiates_nothing(tmp_path, teacher):
    folder = write_teacher(tmp_path, "GunPoint", teacher)
    assert folder == teacher_folder(tmp_path, "GunPoint", KEY)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "environment.json",
        "logits.safetensors",
        "manifest.json",
        "metrics.json",
        "weights.safetensors",
    ]
    found = read_teacher(tmp_path, "GunPoint", KEY)
    assert found is not None
    assert found.config == teacher.config
    assert found.environment == teacher.environment
    for name in ("weights", "logits"):
        assert {k: v.tolist() for k, v in getattr(found, name).items()} == {
            k: v.tolist() for k, v in getattr(teacher, name).items()
        }
    assert found.metrics["validation"] is None
    assert math.isnan(found.metrics["test"]["roc_auc"])
    assert found.metrics["training"] == {"best_epoch": None}
    assert read_teacher(tmp_path, "ECG200", KEY) is None


def test_broken_weights_are_set_aside_and_the_teacher_can_be_written_again(tmp_path, teacher, caplog):
    folder = write_teacher(tmp_path, "GunPoint", teacher)
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 128
    weights.write_bytes(content)
    assert read_teacher(tmp_path, "GunPoint", KEY) is None
    assert "weights.safetensors has changed since it was written" in caplog.text
    write_teacher(tmp_path, "GunPoint", teacher)
    assert read_teacher(tmp_path, "GunPoint", KEY) is not None


def test_hostile_dataset_name_stays_under_out(tmp_path, teacher):
    out = tmp_path / "out"
    write_teacher(out, "../../evil", teacher)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert read_teacher(out, "../../evil", KEY) is not None


def test_teacher_needs_logits(teacher):
    with pytest.raises(ValueError, match="logits"):
        replace(teacher, logits={"train": torch.zeros(5, 2)})


@pytest.mark.parametrize("channels", [None, torch.tensor([[0, 1], [1, 0], [1, 1]])])
def test_pool_round_trip(tmp_path, channels):
    drawn = torch.tensor([[0, 3], [1, 2], [2, 2]])
    pool = PoolArtefact(KEY, "teacherkey", 10, drawn, drawn + 1, channels, torch.randn(3, 2, 4), "touched")
    assert write_pool(tmp_path, "GunPoint", pool) == pool_folder(tmp_path, "GunPoint", KEY)
    found = read_pool(tmp_path, "GunPoint", KEY)
    assert found is not None
    assert (found.key, found.teacher, found.window, found.computed) == (KEY, "teacherkey", 10, "touched")
    for name in ("starts", "references", "logits"):
        assert torch.equal(getattr(found, name), getattr(pool, name))
        assert getattr(found, name).dtype == getattr(pool, name).dtype
    assert (found.channels is None) if channels is None else torch.equal(found.channels, channels)


def test_pool_of_unlike_shapes_is_refused():
    with pytest.raises(ValueError, match=r"\(N, P\)"):
        PoolArtefact(KEY, "t", 10, torch.zeros(3, 2), torch.zeros(3, 1), None, torch.zeros(3, 2, 4))


def test_map_round_trip(tmp_path):
    write_map(tmp_path, "GunPoint", MapArtefact(KEY, "teacherkey", {"test": torch.eye(3)}))
    found = read_map(tmp_path, "GunPoint", KEY)
    assert found is not None and found.teacher == "teacherkey"
    assert torch.equal(found.maps["test"], torch.eye(3))
