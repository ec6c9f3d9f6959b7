"""``tsdistill.load`` and ``tsdistill predict``: the stored answers, by name, in each form."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

import tsdistill
from tsdistill.cli import run
from tsdistill.runs.predict import Predictions, as_csv, as_json_lines
from tsdistill.store.listing import iter_results
from tsdistill.store.records import read_run

pytestmark = pytest.mark.usefixtures("surroundings")

COMMON = (
    *("data_root=null", "hardware=cpu", "teacher=fcn_8", "student=lstm_8", "method=tsd"),
    *("teacher.training.epochs=3", "training.epochs=3", "saliency.window=5", "saliency.perturbations=4"),
    *("dataset=npz", "dataset.train=train.npz", "dataset.name=Mine", "dataset.scaling=per_channel_train"),
)
WORDS = np.array(["fine", "-worn", "off"])


def series(n: int, seed: int) -> tuple[Any, Any]:
    """Sines of three frequencies, (n, 2, 20), and their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    t = np.linspace(0, 1, 20)
    x = np.sin(2 * np.pi * (1 + y[:, None, None]) * t + np.array([0, 1])[:, None])
    return (x + rng.normal(0, 0.1, x.shape)).astype(np.float32), WORDS[y]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and two stored students of other seeds."""
    folder, argv = tmp_path_factory.mktemp("home"), sys.argv
    (x, y), (x_test, y_test) = series(40, 0), series(20, 1)
    np.savez(folder / "train.npz", x=x, y=y, x_test=x_test, y_test=y_test)
    np.savez(folder / "new.npz", x=x_test)
    words = [word.replace("train.npz", str(folder / "train.npz")) for word in COMMON]
    try:
        assert run("distill", ["-m", *words, "seed=1,2", f"out={folder / 'out'}"]) == 0
    finally:
        sys.argv = argv
    return folder


def best(home: Path) -> dict[str, Any]:
    return max(iter_results(home / "out"), key=lambda r: r["validation"]["average_precision"])


def stored(home: Path) -> tuple[Any, Any]:
    """Labels by name and probabilities from the best run's stored logits."""
    record = read_run(home / "out", "Mine", best(home)["id"])
    assert record is not None
    logits = record.logits["test"].double().numpy()
    classes = np.array(sorted(WORDS))
    return classes[logits.argmax(1)], softmax(logits, axis=1)


def predict(home: Path, *words: str) -> int:
    return run("predict", [f"out={home / 'out'}", f"input={home / 'new.npz'}", *words])


def test_a_loaded_student_answers_as_it_is_stored(home: Path) -> None:
    labels, probabilities = stored(home)
    x = np.load(home / "new.npz")["x"]
    found = best(home)
    for name in (found["id"][:6], home / "out" / "runs" / "Mine" / found["id"]):
        student = tsdistill.load(name, out=home / "out")
        assert student.classes == ("-worn", "fine", "off")
        np.testing.assert_array_equal(student.predict(x), labels)
        np.testing.assert_allclose(student.predict_proba(x), probabilities, atol=1e-5)
    np.testing.assert_array_equal(student.predict(list(x)), labels)


def test_explanations_are_the_mean_divergence_of_the_windows_that_cover_a_step(home: Path) -> None:
    student = tsdistill.load(best(home)["id"], out=home / "out", references=3)
    x = np.load(home / "new.npz")["x"][:2]
    found = student.explain(x, window=4)
    part = student.prepared(x)
    for row in range(2):
        clean = student.logits(part)[row].astype(np.float64)
        p = softmax(clean)
        lent = student.references.x[student.references.y != clean.argmax()]
        total, count = np.zeros(20), np.zeros(20)
        for start in range(17):
            for reference in lent:
                copy = part.x[row : row + 1].copy()
                copy[0, :, start : start + 4] = reference[:, start : start + 4]
                q = softmax(student.model(torch.from_numpy(copy)).detach().numpy()[0].astype(np.float64))
                total[start : start + 4] += (p * np.log(p / q)).sum()
                count[start : start + 4] += 1
        np.testing.assert_allclose(found[row], total / count, rtol=1e-3, atol=1e-7)


def test_answers_as_csv_json_lines_and_npz(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, probabilities = stored(home)
    assert predict(home, "dataset=Mine") == 0
    told = capsys.readouterr()
    rows = list(csv.reader(io.StringIO(told.out)))
    assert rows[0] == ["series", "label", "p_-worn", "p_fine", "p_off"]
    assert [row[1].lstrip("'") for row in rows[1:]] == labels.tolist()
    np.testing.assert_allclose([[float(v) for v in row[2:]] for row in rows[1:]], probabilities, atol=1e-5)
    assert f"run {best(home)['id']}: the best on validation (AP) of " in told.err
    assert f"answers of run {best(home)['id']}" in told.err and "20 series answered" in told.err
    assert predict(home, "to=a/answers.jsonl", "explain=true") == 0
    lines = [json.loads(line) for line in Path("a/answers.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == labels.tolist() and lines[4]["series"] == "5"
    assert lines[0]["probabilities"]["off"] == pytest.approx(probabilities[0, 2], abs=1e-5)
    assert predict(home, "to=answers.npz", "explain=true") == 0
    with np.load("answers.npz") as arrays:
        assert arrays["label"].tolist() == labels.tolist() and arrays["saliency"].shape == (20, 20)
        np.testing.assert_allclose(arrays["saliency"][3], lines[3]["saliency"], rtol=1e-5)


def test_no_text_is_a_formula_but_numbers_stay() -> None:
    found = Predictions(("=1+1",), ("-1", "@x"), np.array([[0.75, 0.25]], np.float32), None)
    assert as_csv(found) == "series,label,p_-1,p_@x\n'=1+1,-1,0.75,0.25\n"


def test_no_text_commands_a_terminal() -> None:
    found = Predictions(("a\x9b31m",), ("\x1b[2J", "\u202eb"), np.array([[0.75, 0.25]], np.float32), None)
    assert as_csv(found) == "series,label,p_\\x1b[2J,p_\\u202eb\na\\x9b31m,\\x1b[2J,0.75,0.25\n"
    line = as_json_lines(found)
    assert not set("\x1b\x9b\u202e") & set(line) and json.loads(line)["series"] == "a\x9b31m"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["input=null"], "input is not set"),
        (["input=nothing.csv"], "input=nothing.csv: no such file"),
        (["input=nothing.csv", "run=zz"], "input=nothing.csv: no such file"),  # told before a run is sought
        (["run=zz"], "run=zz: no run under"),
        (["run="], "run=: no run under"),
        (["method=kd"], "no stored run has method=kd"),
        (["to=answers.txt"], "to=answers.txt: end it in .csv, .jsonl or .npz"),
        (["format=npz"], "format=npz needs a file"),
        (["references=1"], "references=1 should be 2 or more"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], told: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(home, *words) == 2
    said = capsys.readouterr()
    assert told in said.err and not said.out and "Traceback" not in said.err


def test_without_validation_the_runs_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("train.npz", str(home / "train.npz")) for word in COMMON]
    none = ["method=none", "split.validation=0", "training.monitor=last", "teacher.training.monitor=last"]
    kept = [word for word in words if word != "method=tsd"]
    assert run("distill", ["-m", *kept, *none, "seed=1,2", "out=other"]) == 0
    capsys.readouterr()
    assert run("predict", ["out=other", f"input={home / 'new.npz'}"]) == 2
    told = capsys.readouterr().err
    assert "without a validation part none can be said to be the best" in told
    assert all(f"{result['id'][:8]} (none lstm_8 seed" in told for result in iter_results(Path("other")))
