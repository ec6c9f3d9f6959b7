"""``tsdistill runs`` and what the other reading commands share with it: filters, text words, the frame."""

import json
import os
from pathlib import Path

import pytest
import torch

import tsdistill
from tsdistill import cli
from tsdistill.errors import TsdistillError
from tsdistill.store.records import write_failure, write_run


def add(out: Path, run_id: str, method: str, seed: int, accuracy: float) -> None:
    identity = {"dataset": "GunPoint", "method": method, "teacher": "fcn", "student": "lstm_8", "seed": seed}
    block = {"average_precision": accuracy, "accuracy": accuracy, "agreement": 0.5}
    settings = {"method.lam": seed / 10, "saliency.window": 10, "training.epochs": 400}
    result = {"id": run_id, **identity, "trial": 0, "settings": settings, "grid_keys": [], "flags": []}
    result |= {"validation": None, "test": block, "teacher_id": "t", "teacher_test": block}
    result |= {"teacher_validation": None, "cost": {"parameters": 370}, "training": {"epochs": 2}}
    write_run(
        out,
        "GunPoint",
        run_id,
        result=result,
        config_yaml="",
        curve=[{"stage": "train", "epoch": 2, "name": "train/loss", "value": 0.25}],
        logits={"test": torch.zeros(1, 2)},
        weights={"w": torch.zeros(1)},
        timing={"train_seconds": 1.0},
        environment={"torch": f"2.{seed}"},
        facts={"seed": seed, "code": {"tsdistill.methods.kd": str(seed)}},
        terms={},
    )


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my runs"
    monkeypatch.chdir(tmp_path)
    add(folder, "12e5678", "kd", 1, 0.5)
    add(folder, "ab12", "tsd", 1, 0.75)
    add(folder, "ab34", "tsd", 2, 0.25)
    write_failure(folder, "GunPoint", "ff", {"method": "kd", "seed": 9, "settings": {}, "error": "boom"})
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert cli.run("runs", words) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def test_runs_are_listed_filtered_and_sorted(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = told(capsys, f"out={out}")
    assert "3 runs, 1 failed" in listed and listed.index("12e5678") < listed.index("ab12")
    listed = told(capsys, f"out={out}", "where=seed=1 and method.lam=0.1", "sort=-test.accuracy")
    assert "2 runs" in listed and listed.index("ab12") < listed.index("12e5678")
    assert "1 runs" in told(capsys, f"out={out}", "method=kd")


def test_for_programs_runs_are_json_or_csv(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, f"out={out}", "format=json", "where=method=tsd"))
    assert [run["id"] for run in found] == ["ab12", "ab34"]
    lines = told(capsys, f"out={out}", "format=csv", "where=method=tsd").splitlines()
    lines = told(capsys, f"out={out}", "format=csv", "where=method=tsd", "sort=test.accuracy").splitlines()
    assert [line.split(",")[lines[0].split(",").index("id")] for line in lines[1:]] == ["ab34", "ab12"]
    assert lines[0].startswith("error,schema,status,id,")


def test_one_run_is_shown_whole_and_two_are_compared(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, f"out={out}", "id=12e5678")  # no number, whatever Hydra's grammar says
    assert "method kd" in shown and "train train/loss: 0.25 (epoch 2)" in shown and "result.json" in shown
    compared = told(capsys, f"out={out}", "id=ab12,ab34")
    for name in ("seed", "method.lam", "test.accuracy", "environment.torch", "code.tsdistill.methods.kd"):
        assert name in compared
    assert "saliency.window" not in compared


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("id=ab", "id=ab: 2 stored runs begin so: ab12 (GunPoint tsd seed 1), ab34"),
        ("id=zz", "id=zz: no stored run begins so; `tsdistill runs` lists them"),
        ("id=ab12,ab34,12", "name one run, or two to compare"),
        ("sort=accuracy", "no stored run has 'accuracy'"),
        ("where=sede=1", "did you mean 'seed'?"),
        ("out=", "out is empty; name a folder"),
        ("+wher=x", "wher: there is no such setting; did you mean 'where'?"),
    ],
)
def test_wrong_words_get_one_line(
    out: Path, capsys: pytest.CaptureFixture[str], word: str, line: str
) -> None:
    words = [word] if word.startswith("out") else [f"out={out}", word]
    error = told(capsys, *words, status=2)
    assert line in error and error.count("\n") == 1


def test_a_home_folder_is_found(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HOME", str(out.parent))
    assert "3 runs" in told(capsys, "out=~/my runs")
    out.rename(out.with_name("a\\b's"))
    assert "3 runs" in told(capsys, "out=a\\b's")


def test_results_come_as_one_frame(out: Path) -> None:
    frame = tsdistill.load_results(out).set_index("id")
    assert len(frame) == 4 and frame.loc["ab34", "test.accuracy"] == 0.25
    assert frame.loc["ab12", "environment.torch"] == "2.1" and frame.loc["ab12", "method.lam"] == 0.1
    assert frame.loc["ab12", "trained.epochs"] == 2 and frame.loc["ab12", "training.epochs"] == 400
    assert "validation" not in frame and frame.loc["ff", "flags"] == [] and frame.loc["ab12", "error"] == ""
    assert frame.loc["ff", "status"] == "failed" and frame.loc["ff", "error"] == "boom"
    with pytest.raises(TsdistillError, match="no run records under"):
        tsdistill.load_results(out / "none")
