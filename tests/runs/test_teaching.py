"""Teachers that are no network, from the command to what is stored, and what is left of those that fail."""

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
from tsdistill.runs import teaching
from tsdistill.store.formats import load_tensors, read_json

FAULTY = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Faulty(ClassifierMixin, BaseEstimator):
    def __init__(self, fault="raises"):
        self.fault = fault
    def fit(self, x, y):
        self.classes_ = np.arange(3) if self.fault == "classes" else np.unique(y)
        self.asked_ = 0
        return self
    def predict_proba(self, x):
        self.asked_ += len(x)
        found = np.full((len(x), 3 if self.fault == "columns" else 2), 0.5)
        if self.fault == "nan":
            found[3, 1] = np.nan
        if self.asked_ > 100:  # beyond the clean series: in the middle of the pool
            if self.fault == "raises":
                raise RuntimeError("the service is gone")
            found[3, 1] = np.nan
        return found

class Labels(BaseEstimator):
    def fit(self, x, y):
        return self
    def predict(self, x):
        return np.zeros(len(x))
"""
TINY = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "method=tsd_kd"),
    *("training.epochs=1", "saliency.window=5", "saliency.perturbations=4", "hardware=cpu"),
)


@pytest.fixture(autouse=True)
def faulty(surroundings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "faulty_of_mine.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("faulty_of_mine", None)


def folders(kind: str) -> list[Path]:
    return list(Path("tsdistill-out", kind).glob("*/*"))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raises", "Faulty.predict_proba failed on 336 series: RuntimeError: the service is gone"),
        (
            "unsound",
            "Faulty.predict_proba gave 1 of 336 answers that are not finite; the first is row 3: [0.5, nan]",
        ),
    ],
)
def test_a_classifier_that_fails_in_its_pool_leaves_nothing_half_written(
    fault: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "teacher=estimator",
        "teacher.kind.estimator._target_=faulty_of_mine.Faulty",
        f"+teacher.kind.estimator.fault={fault}",
        "teacher.cross_fit=0",
    )
    assert run("distill", [*TINY, *words]) == 2
    assert capsys.readouterr().err == f"tsdistill: {told}\n"
    assert folders("pools") == folders("runs") == [] and len(folders("teachers")) == 1


ESTIMATOR = ("teacher=estimator", "teacher.kind.estimator._target_=faulty_of_mine.Faulty")
ANSWERS = ("teacher=answers", "teacher.path=q/answers.csv")
MALFORMED = {
    "labels": (
        (ESTIMATOR[0], "teacher.kind.estimator._target_=faulty_of_mine.Labels"),
        "Labels has neither predict_proba nor decision_function; a teacher must answer with more than",
    ),
    "classes": (
        (*ESTIMATOR, "+teacher.kind.estimator.fault=classes"),
        "Faulty.classes_ is [0, 1, 2]; it was fitted to the classes 0 to 1",
    ),
    "columns": (
        (*ESTIMATOR, "+teacher.kind.estimator.fault=columns"),
        "Faulty.predict_proba gave shape (16, 3) for 16 series and 2 classes",
    ),
    "not finite": (
        (*ESTIMATOR, "+teacher.kind.estimator.fault='nan'"),
        "Faulty.predict_proba gave 1 of 16 answers that are not finite; the first is row 3: [0.5, nan]",
    ),
    "an answer missing": (ANSWERS, "q/answers.csv: row 6 answers question 6, and should answer question 5"),
    "another order": (
        (ANSWERS[0], "teacher.path=q/turned.csv"),
        "q/turned.csv: its classes are ['2', '1'], and should be ['1', '2'], in this order",
    ),
    "cut short": (
        ("teacher=checkpoint", "teacher.path=cut.onnx"),
        "teacher.path=cut.onnx is no whole ONNX model: ",
    ),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_malformed_teacher_is_refused_in_a_line_with_nothing_written(
    fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = MALFORMED[fault]
    if fault == "cut short":
        pytest.importorskip("onnxruntime")
        Path("cut.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    if "answers" in words[0]:
        assert run("ask", [*(word for word in TINY if word[:6] not in ("method", "traini")), "to=q"]) == 0
        rows = [f"{row},0.5,0.5" for row in range(361)]
        Path("q/answers.csv").write_text("\n".join(["id,1,2", *rows[:5], *rows[6:]]))
        Path("q/turned.csv").write_text("\n".join(["id,2,1", *rows]))
        capsys.readouterr()
    assert run("distill", [*TINY, *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tsdistill: {told}") and said.count("\n") == 1
    assert folders("teachers") == folders("pools") == folders("runs") == []


def test_the_pool_of_a_cross_fitted_classifier_is_answered_by_its_folds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = ("teacher.kind.estimator._target_=sklearn.naive_bayes.GaussianNB", "teacher.name=bayes")
    words = ["teacher=estimator", *node, "teacher.cross_fit=4"]
    assert run("distill", [*TINY, *words]) == 0
    told = capsys.readouterr().out
    assert "out of fold (4 folds); training series are answered by the folds that have not seen them" in told
    [pool] = folders("pools")
    first = load_tensors(pool / "pool.safetensors")["logits"]
    (pool / "pool.safetensors").unlink()  # damaged: it is asked again, of a teacher fitted again
    monkeypatch.setattr(teaching, "_last_refitted", {})
    for run_folder in folders("runs"):
        (run_folder / "result.json").unlink()
    assert run("distill", [*TINY, *words]) == 0
    [again] = [path for path in folders("pools") if "." not in path.name]
    assert torch.equal(load_tensors(again / "pool.safetensors")["logits"], first)


def test_a_slow_teacher_has_a_smaller_pool_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(teaching, "_pool_limit", lambda *_: 8)
    words = ["teacher=estimator", "teacher.kind.estimator._target_=sklearn.naive_bayes.GaussianNB"]
    assert (
        run("train-teacher", [*(word for word in TINY if word[:6] not in ("method", "traini")), *words]) == 0
    )
    assert "its pool holds 8 of 20 windows a series" in capsys.readouterr().out
    [pool] = folders("pools")
    assert load_tensors(pool / "pool.safetensors")["logits"].shape == (16, 8, 2)


def test_the_limit_of_a_pool_is_the_power_of_two_below_ten_times_the_fitting_or_a_minute() -> None:
    class Job:
        parts = {"train": range(10)}  # noqa: RUF012

    def limit(fitting: float, answering: float) -> int:
        job: Any = Job()
        return teaching._pool_limit(job, fitting, answering)

    assert limit(0.0, 1.0) == 4  # 60 s are 6 windows of 10 series at a second each
    assert limit(50.0, 1.0) == 32  # 500 s are 50
    assert limit(0.0, 100.0) == 1


def test_questions_are_asked_and_their_answers_distilled(capsys: pytest.CaptureFixture[str]) -> None:
    data = [word for word in TINY if not word.startswith(("method", "training"))]
    assert run("ask", [*data, "to=q"]) == 0
    assert "361 series (16 train, 4 validation, 21 test, 320 pool) in q" in capsys.readouterr().out
    assert run("ask", [*data, "to=q"]) == 2
    assert "to=q is there already" in capsys.readouterr().err
    assert read_json(Path("q/index.json"))["classes"] == ["1", "2"]
    with np.load("q/questions.npz", allow_pickle=False) as found:
        x, part = found["x"], found["part"]
    assert part.tolist().count("pool") == 320
    lines = Path("q/questions.csv").read_text().splitlines()
    assert len(lines) == 362
    assert np.array(lines[40].split(",")[3:], dtype=np.float32).tolist() == x[39, 0].tolist()
    series, labels = load_unit_test("train", return_type="numpy2D")
    p = GaussianNB().fit(series, labels).predict_proba(x[:, 0])
    rows = [f"{row},{one:.6f},{other:.6f}" for row, (one, other) in enumerate(p)]
    Path("q/answers.csv").write_text("\n".join(["id,1,2", *rows]))
    words = ["teacher=answers", "teacher.path=q/answers.csv"]
    assert run("distill", [*TINY, *words]) == 0
    assert "its answers are probabilities" in capsys.readouterr().out
    assert run("distill", [*TINY, *words, "saliency.pool_size=7", "saliency.pool_seed=9"]) == 2
    assert "only what `tsdistill ask` wrote is answered" in capsys.readouterr().err
