"""``tsdistill export``: each form answers as the stored student, or nothing is written."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import tsdistill
from tsdistill.cli import run
from tsdistill.runs import export as module

pytestmark = pytest.mark.usefixtures("surroundings")

COMMON = (
    *("data_root=null", "hardware=cpu", "teacher=fcn_8", "method=none", "dataset=planted"),
    *("dataset.n_train=20", "dataset.n_test=16", "dataset.length=24", "dataset.window=6"),
    *("teacher.training.epochs=2", "training.epochs=2"),
)
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CC", "cc")) is None, reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def out(make: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent and a convolutional student."""
    out = tmp_path_factory.mktemp("stored")
    make("distill", "-m", *COMMON, "student=gru_8,fcn_8", f"out={out}")
    return out


def test_a_folder_is_a_student_by_itself(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tsdistill.load(next((out / "runs" / "Planted_shapelet").iterdir()))
    for _ in range(2):  # the second takes the first one's place
        assert run("export", [f"out={out}", f"run={stored.about['run']}", "to=kept"]) == 0
    assert "agreement 1.0000 with the stored student" in capsys.readouterr().out
    found = tsdistill.load("kept")
    x = np.random.default_rng(0).normal(size=(3, 24))
    assert np.array_equal(found.predict_proba(x), stored.predict_proba(x))
    assert np.array_equal(found.explain(x), stored.explain(x)) and found.about == stored.about
    Path("new.csv").write_text("".join(",".join(f"{v:.6f}" for v in row) + "\n" for row in x))
    assert run("predict", ["run=kept", "input=new.csv", "format=jsonl", "to=a"]) == 0
    labels = [json.loads(line)["label"] for line in Path("a").read_text().splitlines()]
    assert labels == found.predict(x).tolist()
    (tmp_path / "kept" / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(tsdistill.errors.TsdistillError, match="kept is not a sound student"):
        tsdistill.load("kept")


@needs_compiler
def test_headers(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", [f"out={out}", "student=gru_8", "format=c", "to=gru.h"]) == 0
    assert run("export", [f"out={out}", "student=fcn_8", "format=c", "weights=int8", "to=fcn.h"]) == 0
    assert "agreement 1.0000" in capsys.readouterr().out
    assert "tsd_step(" in Path("gru.h").read_text() and "signed char" in Path("fcn.h").read_text()


def test_graphs(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    words = [f"out={out}", "format=onnx"]
    assert run("export", [*words, "student=fcn_8", "to=fcn.onnx"]) == 0
    assert run("export", [*words, "student=gru_8", "stream=true", "to=step.onnx"]) == 0
    assert capsys.readouterr().out.count("agreement 1.0000") == 2
    assert run("export", [*words, "student=fcn_8", "stream=true", "to=no.onnx"]) == 2
    assert "FCN has no state" in capsys.readouterr().err and not Path("no.onnx").exists()


def test_weights_that_a_form_does_not_have_are_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", [f"out={out}", "student=gru_8", "format=torch", "weights=int8"]) == 2
    assert capsys.readouterr().err == "tsdistill: weights=int8: only format=c has such weights\n"


def test_other_answers_are_refused_and_nothing_is_written(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def other(folder: Path) -> tsdistill.deploy.student.Student:
        student = read(folder)
        student.model.head.bias += torch.tensor([100.0, 0.0])
        return student

    read = module.read_bundle
    monkeypatch.setattr(module, "read_bundle", other)
    assert run("export", [f"out={out}", "student=gru_8", "to=kept"]) == 2
    assert "gives another answer than the stored student on" in capsys.readouterr().err
    assert not list(Path().iterdir())
    Path("there").mkdir()
    assert run("export", [f"out={out}", "student=gru_8", "to=there"]) == 2
    assert "something else is there" in capsys.readouterr().err


@needs_compiler
def test_a_missing_compiler_is_told(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "no-such-cc -m32")
    assert run("export", [f"out={out}", "student=gru_8", "format=c"]) == 2
    assert "there is no 'no-such-cc'" in capsys.readouterr().err
