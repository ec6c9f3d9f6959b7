"""``tsdistill tune``: what is tried, how processes share a study, and what a kill costs."""

import os
import re
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from tsdistill import cli
from tsdistill.config.code import code_behind
from tsdistill.runs import spec
from tsdistill.runs import tune as tune_module
from tsdistill.runs.story import Judge
from tsdistill.runs.study import Study
from tsdistill.store.listing import list_runs

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("surroundings")

WORDS = ("dataset.name=UnitTest", "data_root=null", "hardware=cpu", "method=tsd", "out=out")
TINY = (
    *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=0.2", "saliency.perturbations=4"),
    *("student=lstm_8", "training.epochs=1", "dataset.download=false"),
)
BEST = 5.0


def measured(value: float) -> dict[str, Any]:
    """A result whose validation is the better the nearer ``value`` is to ``BEST``."""
    validation = {"average_precision": 1 / (1 + abs(value - BEST)), "nll": 0.5}
    return {"id": f"run{value:g}", "dataset": "UnitTest", "validation": validation, "training": {"epochs": 1}}


class Distilled:
    """Stands for ``distill``, and remembers the settings it was asked for in a file that processes share."""

    def __init__(self, path: Path, before: Callable[[int], None] = lambda number: None) -> None:
        self.path, self.before = path, before
        self.first_epoch: Callable[[int], int] = lambda number: 1
        self.curve: Callable[[int, int, float], float] = lambda number, epoch, precision: precision

    def __call__(
        self, composed: DictConfig, summary: Callable[[Any], str], judge: Judge | None = None
    ) -> dict[str, Any]:
        value = OmegaConf.select(composed, "method.lam")
        with self.path.open("a") as file:
            file.write(f"{value}\n")
        self.before(len(self.tried))
        result = measured(value)
        number, precision = len(self.tried), result["validation"]["average_precision"]
        for epoch in range(self.first_epoch(number), 101) if judge is not None else ():
            judge(epoch, 100, partial(self.curve, number, epoch, precision))
        assert summary(result).startswith("validation AP")
        return result

    @property
    def tried(self) -> list[float]:
        return [float(line) for line in self.path.read_text().split()] if self.path.exists() else []


@pytest.fixture
def distilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distilled:
    stand_in = Distilled(tmp_path / "tried.txt")
    monkeypatch.setattr(tune_module, "distill", stand_in)
    return stand_in


def test_tpe_begins_with_the_default_stays_in_the_range_and_nears_the_best(distilled, capsys):
    assert cli.run("tune", (*WORDS, "trials=25")) == 0
    assert distilled.tried[0] == 1.0 and len(distilled.tried) == 25
    assert all(0.1 <= value <= 100 for value in distilled.tried)
    said = capsys.readouterr().out
    best = min(distilled.tried, key=lambda value: abs(value - BEST))
    assert abs(best - BEST) < 0.5
    assert (
        "the best setting: tsdistill distill dataset.name=UnitTest data_root=null hardware=cpu method=tsd"
        in said
    )
    assert said.rstrip().endswith(f"out=out method.lam={best}")
    assert (
        "25 trials, 0 failed; chosen on the validation part" in said and "test" not in said.split("study")[0]
    )


def test_a_study_goes_on_where_it_was_and_draws_what_an_unbroken_one_draws(distilled, capsys):
    assert cli.run("tune", (*WORDS, "trials=12", "study=whole")) == 0
    whole = distilled.tried
    distilled.path.unlink()
    for trials in (3, 3, 12):
        assert cli.run("tune", (*WORDS, f"trials={trials}", "study=broken")) == 0
    assert distilled.tried == whole


def test_random_and_grid(distilled):
    assert cli.run("tune", (*WORDS, "trials=6", "sampler=random")) == 0
    assert len(set(distilled.tried)) == 6
    distilled.path.unlink()
    assert cli.run("tune", (*WORDS, "sampler=grid")) == 0
    assert distilled.tried == [1.0, 0.1, 0.5, 10.0, 100.0]


def test_a_killed_trial_is_tried_again_and_no_whole_one_is(distilled, monkeypatch):
    def die(number: int) -> None:
        if number == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        distilled.before = die
        try:
            cli.run("tune", (*WORDS, "trials=8"))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with next(Path("out/studies").iterdir()).open("a") as journal:
        journal.write('{"op_code":')  # a line that was being written
    assert cli.run("tune", (*WORDS, "trials=8")) == 0
    tried = distilled.tried
    assert len(tried) == 9 and tried[3] == tried[4] and len(set(tried)) == 8
    assert not list(Path("out/locks").glob("study-*-[0-9].lock"))


def pruned(said: str) -> list[float]:
    """The settings of pruned trials, in the order in which they were tried."""
    return [
        float(found) for found in re.findall(r"method.lam=(\S+): pruned at epoch \d+: validation AP", said)
    ]


def test_trials_below_the_median_are_pruned_counted_and_told(distilled, capsys):
    assert cli.run("tune", (*WORDS, "trials=14", "sampler=random", "pruner=median")) == 0
    said = capsys.readouterr().out
    tried, lagging, finished = distilled.tried, list[float](), list[float]()
    for value in tried:
        precision = measured(value)["validation"]["average_precision"]
        if len(finished) >= 5 and precision < statistics.median(finished):
            lagging.append(value)
        else:
            finished.append(precision)
    assert len(tried) == 14 and 0 < len(lagging) == len(pruned(said)) and lagging == pruned(said)
    assert f"14 trials, {len(lagging)} pruned, 0 failed; chosen on the validation part" in said
    assert said.count("pruned at epoch 25\n") == len(lagging)  # in the table
    best = min(tried, key=lambda value: abs(value - BEST))
    assert said.rstrip().endswith(f"out=out method.lam={best}") and "pruner" not in said
    assert cli.run("tune", (*WORDS, "trials=14", "sampler=random", "pruner=median")) == 0
    assert distilled.tried == tried


def test_a_study_that_was_killed_prunes_what_an_unbroken_one_prunes(distilled, capfd):
    words = (*WORDS, "trials=12", "sampler=random", "pruner=median")
    lucky = [7]  # is good once, at the first look, and so is kept

    def curve(number: int, epoch: int, precision: float) -> float:
        if number == 7 and epoch == 60 and len(lucky) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0 if number in lucky and epoch == 25 else precision

    distilled.curve = curve
    assert cli.run("tune", (*words, "study=whole")) == 0
    whole, lagging = distilled.tried, pruned(capfd.readouterr().out)
    assert whole[6] not in lagging and len(lagging) > 3
    distilled.path.unlink()
    lucky.append(8)  # the same once more
    child = os.fork()
    if child == 0:
        try:
            cli.run("tune", (*words, "study=broken"))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    distilled.first_epoch = lambda number: 51 if number == 8 else 1  # from a checkpoint
    assert cli.run("tune", (*words, "study=broken")) == 0
    assert distilled.tried == [*whole[:7], *whole[6:]]
    assert pruned(capfd.readouterr().out) == lagging


def test_a_pruned_run_leaves_nothing_and_the_others_are_the_same_bits(monkeypatch, capsys):
    tiny = (
        *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=0.2", "saliency.perturbations=4"),
        *("student=lstm_8", "training.epochs=4", "dataset.download=false", "sampler=grid"),
        "hardware.checkpoint_seconds=1e-9",
    )
    looked: list[float] = []

    def lags(study: Study, number: int, epoch: int, value: float) -> bool:
        looked.append(value)
        return number == 2

    monkeypatch.setattr(Study, "lags", lags)
    assert cli.run("tune", (*WORDS, *tiny, "trials=4", "study=mine", "pruner=median")) == 0
    assert "4 trials, 1 pruned, 0 failed" in capsys.readouterr().out
    assert len(looked) == 7 and all(0 <= value <= 1 for value in looked)
    assert not list(Path("out/checkpoints").glob("*/*")) and len(list_runs(Path("out")).results) == 3
    before = weights()
    assert cli.run("tune", (*WORDS, *tiny, "trials=4", "study=other", "out=other")) == 0
    after = weights("other")
    assert len(after) == 4 and all(after[name] == kept for name, kept in before.items())


def weights(out: str = "out") -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in Path(out, "runs").rglob("weights.safetensors")}


def test_processes_share_a_study(distilled):
    distilled.before = lambda number: time.sleep(0.05)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                cli.run("tune", (*WORDS, "trials=12", "study=shared"))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert len(distilled.tried) == 12 and len(set(distilled.tried)) > 9


def test_a_trial_that_fails_counts_and_the_first_one_ends_the_study(distilled, capsys):
    def fail(number: int) -> None:
        if number == 3:
            raise FloatingPointError("loss is nan")

    distilled.before = fail
    assert cli.run("tune", (*WORDS, "trials=5")) == 0
    assert len(distilled.tried) == 5
    assert "5 trials, 1 failed" in capsys.readouterr().out
    [note] = list_runs(Path("out")).failures
    assert note["error"] == "FloatingPointError: loss is nan"
    assert note["settings"]["method.lam"] == distilled.tried[2]

    distilled.before = lambda number: 1 / 0
    assert cli.run("tune", (*WORDS, "trials=5", "study=other")) == 1
    assert len(distilled.tried) == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trials=0",), "trials=0 should be 1 or more"),
        (("sampler=tpa",), "sampler"),
        (("pruner=medium",), "pruner"),
        (("study=../x",), "study=../x: use letters, digits, '_', '-', '+' and '.'"),
        (("~method.ranges",), "method tsd declares no ranges"),
        (("method.ranges={method.lam:{low:2,high:1}}",), "method.lam should have low < high"),
        (
            ("+method.ranges={method.lan:{low:1,high:2}}",),
            "there is no setting 'method.lan'",
        ),
        (("retrain=true",), "tune takes neither retrain=true nor why=true"),
    ],
)
def test_mistakes_are_said(distilled, capsys, words, said):
    assert cli.run("tune", (*WORDS, *words)) == 2
    assert said in capsys.readouterr().err
    assert not distilled.tried


def test_a_name_is_one_studys(distilled, capsys):
    assert cli.run("tune", (*WORDS, "trials=1", "study=mine")) == 0
    assert cli.run("tune", (*WORDS, "trials=1", "study=mine", "training.epochs=7")) == 2
    assert "study=mine tunes something else in out; choose another name" in capsys.readouterr().err


def test_a_tuned_run_is_an_ordinary_record_that_names_its_study(capsys):
    assert cli.run("tune", (*WORDS, *TINY, "trials=2", "study=mine")) == 0
    records = list_runs(Path("out")).results
    assert [record["study"] for record in records] == ["mine", "mine"]
    assert all("study" not in record["settings"] and "trials" not in record["settings"] for record in records)
    assert all(not any("ranges" in name for name in record["settings"]) for record in records)
    lam = max(record["settings"]["method.lam"] for record in records)
    assert cli.run("distill", (*WORDS, *TINY, f"method.lam={lam}")) == 0
    assert "already there" in capsys.readouterr().out
    assert list_runs(Path("out")).results[0]["study"] == "mine"


def test_clean_judges_a_tuned_run_as_any_other(capsys, monkeypatch):
    assert cli.run("tune", (*WORDS, *TINY, "trials=2", "study=mine", "pruner=median")) == 0
    capsys.readouterr()
    assert cli.run("clean", ("out=out",)) == 0
    assert capsys.readouterr().out == "0 unreachable, 0 bytes; 4 kept under out\n"

    def behind(targets: Sequence[str]) -> dict[str, str]:
        found = code_behind(targets)
        return {name: "edited" if name == "tsdistill.methods.tsd" else found[name] for name in found}

    monkeypatch.setattr(spec, "code_behind", behind)
    assert cli.run("clean", ("out=out",)) == 0
    said = capsys.readouterr().out
    assert said.count(": the code of tsdistill.methods.tsd was edited, ") == 2 and "2 unreachable" in said
