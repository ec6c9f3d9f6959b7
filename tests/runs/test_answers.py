"""A teacher that is a file of answers, after its students are trained: what still can be measured."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from sktime.datasets import load_unit_test

from tsdistill.cli import run
from tsdistill.store.listing import iter_results
from tsdistill.store.records import read_run

DATA = ("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "saliency.window=5")
CPU = "hardware=cpu"
QUICK = ("data_root=null", CPU, "series=6", "snrs=[10,0]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``q``: questions and answers; ``out``: students of this teacher."""
    folder, argv = tmp_path_factory.mktemp("answers"), sys.argv
    questions, out = folder / "q", folder / "out"
    try:
        assert run("ask", [*DATA, CPU, f"to={questions}", f"out={out}"]) == 0
        with np.load(questions / "questions.npz", allow_pickle=False) as found:
            x, ids = found["x"], found["id"]
        series, labels = load_unit_test("train", return_type="numpy2D")
        p = GaussianNB().fit(series, labels).predict_proba(x[:, 0])
        np.savez(questions / "answers.npz", id=ids, classes=np.array(["1", "2"]), probabilities=p)
        teacher = ("teacher=answers", f"teacher.path={questions / 'answers.npz'}")
        short = ("training.epochs=2", "saliency.perturbations=4")
        assert run("distill", ["-m", *DATA, CPU, *teacher, *short, "method=none,tsd_kd", f"out={out}"]) == 0
    finally:
        sys.argv = argv
    return folder


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.delenv("TSDISTILL_DATA", raising=False)
    yield
    torch.use_deterministic_algorithms(False)


def results(out: Path) -> dict[str, dict[str, Any]]:
    return {result["method"]: result for result in iter_results(out)}


def test_what_stored_answers_tell_is_evaluated_and_the_rest_left_out_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out"
    assert run("evaluate", [*QUICK, f"out={out}"]) == 0
    told = capsys.readouterr().out
    assert told.count("answers no new series, so these are left out: agreement and KL under noise; ") == 1
    found = results(out)["tsd_kd"]
    assert found["test"]["agreement"] == pytest.approx(_agreement(out, found))
    assert {"accuracy_snr10", "accuracy_snr0"} <= set(found["noise"])
    assert not any(name.startswith(("agreement", "kl", "teacher")) for name in found["noise"])
    assert 0 < found["reasoning"]["saliency_insertion"] < 1
    assert not any("spearman" in name or name.startswith("teacher") for name in found["reasoning"])
    assert found["cost"]["macs"] > 0 and found["timing"]["latency_ms"] > 0
    assert math.isnan(found["timing"]["teacher_latency_ms"])
    assert run("evaluate", [*QUICK, f"out={out}"]) == 0
    assert "2 of 2 runs have it all, with these settings" in capsys.readouterr().out
    assert run("report", [f"out={out}"]) == 0
    assert "UnitTest" in capsys.readouterr().out


def _agreement(out: Path, result: dict[str, Any]) -> float:
    record = read_run(out, result["dataset"], result["id"])
    assert record is not None
    student, teacher = (record.logits[part].argmax(1) for part in ("test", "teacher_test"))
    return float((student == teacher).float().mean())


def test_only_what_was_asked_for_is_said_to_be_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*QUICK, f"out={folder / 'out'}", "series=5", "snrs=[3]"]
    assert run("evaluate", [*words, "groups=[performance,reasoning]"]) == 0
    told = capsys.readouterr().out
    assert "left out: the teacher's maps and the agreement with them\n" in told


@pytest.fixture
def ensemble(folder: Path, tmp_path: Path) -> tuple[str, ...]:
    """The words for this teacher beside a forest."""
    own = tmp_path / "conf" / "teacher"
    own.mkdir(parents=True)
    (own / "told.yaml").write_text(f"defaults: [answers]\npath: {folder / 'q' / 'answers.npz'}\n")
    members = "teacher.members=[told,random_forest]"
    return (f"--config-dir={own.parent}", "teacher=ensemble", "teacher.kind.size=1", members)


def test_an_ensemble_with_it_answers_no_new_series_either(
    ensemble: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("training.epochs=1", "saliency.perturbations=4", "method=tsd_kd")
    assert run("distill", [*DATA, CPU, *ensemble, *short, f"out={tmp_path}"]) == 0
    assert run("evaluate", [*QUICK, f"out={tmp_path}"]) == 0
    assert "teacher ensemble answers no new series, so these are left out" in capsys.readouterr().out
    assert run("explain", ["data_root=null", CPU, f"out={tmp_path}"]) == 2
    assert "teacher ensemble of UnitTest answers no new series" in capsys.readouterr().err


def test_what_asks_new_series_in_training_is_refused_before_a_member_is_trained(
    ensemble: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*DATA, CPU, *ensemble, f"out={tmp_path}"]
    assert run("distill", [*words, "method=tsd_kd", "saliency.mode=online"]) == 2
    assert capsys.readouterr().err.endswith(
        "teacher ensemble answers no new series; use saliency.mode=cached\n"
    )
    assert not (tmp_path / "teachers").exists()


def test_its_own_maps_are_refused_in_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", ["data_root=null", CPU, f"out={folder / 'out'}"]) == 2
    assert capsys.readouterr().err == (
        "tsdistill: teacher answers of UnitTest answers no new series, so it has no maps; "
        "`tsdistill predict explain=true` gives those of a student\n"
    )
