"""``tracking=``: a tracker is told the learning curve of each run, and can harm none."""

import errno
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tsdistill import cli
from tsdistill.runs import track
from tsdistill.runs.checkpoints import Checkpoints
from tsdistill.store.listing import iter_results
from tsdistill.store.records import read_run
from tsdistill.tracking.base import Point, Tracked, Tracker, Writing, points_of

pytestmark = pytest.mark.usefixtures("surroundings")

TEACHER = (
    *("dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu", "out=out"),
    *("teacher=fcn_8", "teacher.training.epochs=1", "saliency.window=5", "saliency.perturbations=4"),
)
TINY = (*TEACHER, "student=lstm_8", "training.epochs=3", "training.batch_size=8")
OUT = Path("out")


class Told(Writing):
    """What a tracker was told of a run, in the order in which it was."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.result, self.points, self.ended = result, list[Point](), ""

    def log(self, points: Sequence[Point], at: float) -> None:
        self.points += points

    def finish(self, run: Tracked) -> None:
        self.ended = run.digest

    def leave(self) -> None:
        self.ended = "left"


class Ear(Tracker):
    """A tracker that remembers what it is told."""

    told: list[Told]

    def holds(self, result: Mapping[str, Any], digest: str) -> bool:
        return any(digest == told.ended for told in self.told)

    def begin(self, result: Mapping[str, Any], at: float) -> Writing:
        self.told.append(Told(result))
        return self.told[-1]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What is told to the tracker ``tensorboard``, in whose place another one listens."""
    Ear.told = []
    monkeypatch.setattr(track, "import_module", lambda name: SimpleNamespace(TensorBoard=Ear))
    return Ear.told


def curve(out: Path = OUT, **names: Any) -> list[Point]:
    [result] = [r for r in iter_results(out) if all(r[key] == value for key, value in names.items())]
    record = read_run(out, "UnitTest", result["id"])
    assert record is not None
    return list(points_of(record.curve))


def test_a_run_is_told_as_its_record_has_it_and_is_the_same_run(told, capsys):
    words = (*TINY, "method=fitnets", "method.hint_epochs=2")  # of two stages
    assert cli.run("distill", (*words, "tracking=tensorboard")) == 0
    [run] = told
    assert run.points == curve() and run.points[0].name == "hint/train/loss"
    assert (run.result["method"], run.result["dataset"]) == ("fitnets", "UnitTest")
    [result] = iter_results(OUT)
    assert run.result["id"] == result["id"] and run.ended == track.digest_of(OUT, result)
    assert not any(name.startswith("tracking") for name in result["settings"])
    files = {
        path.name: path.read_bytes()
        for path in (OUT / "runs").rglob("*.*")
        if path.name not in ("timing.json", "manifest.json", "config.yaml")
    }
    assert cli.run("distill", words) == 0
    assert "already there" in capsys.readouterr().out
    assert cli.run("distill", (*words, "retrain=true")) == 0
    assert all((next((OUT / "runs").rglob(name))).read_bytes() == file for name, file in files.items())
    assert len(told) == 1


def test_jobs_of_a_sweep_and_stored_runs_are_told_apart(told):
    assert cli.run("distill", ("-m", *TINY, "method=none", "seed=1")) == 0
    assert cli.run("distill", ("-m", *TINY, "method=none", "seed=1,2", "tracking=tensorboard")) == 0
    assert [run.result["seed"] for run in told] == [1, 2]  # the first from its record
    for run in told:
        assert run.points == curve(seed=run.result["seed"]) and run.ended != "left"


def test_a_run_that_is_resumed_is_told_whole(told, monkeypatch):
    words = (*TINY, "method=none", "tracking=tensorboard")
    steps, offer = [0], Checkpoints.offer

    def broken_off(self: Checkpoints, capture: Any) -> None:
        steps[0] += 1
        if steps[0] == 6:
            signal.raise_signal(signal.SIGTERM)
        offer(self, capture)

    assert cli.run("train-teacher", TEACHER) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "offer", broken_off)
        assert cli.run("distill", words) == 143
    assert told[0].ended == "left" and {point.epoch for point in told[0].points} == {1, 2}
    assert cli.run("distill", words) == 0
    assert len(told) == 2 and told[1].points == curve() and told[1].ended != "left"


def test_a_run_that_begins_anew_is_told_anew(told, monkeypatch):
    monkeypatch.setattr("tsdistill.runs.session.Job.learns", lambda job, model: False)
    words = (*TINY, "training.epochs=50", "training.restarts=1", "training.batch_size=32", "method=none")
    assert cli.run("distill", (*words, "tracking=tensorboard")) == 0
    assert [run.ended == "left" for run in told] == [True, False]
    assert told[1].points == curve() and max(point.epoch for point in told[0].points) == 10


@pytest.mark.parametrize("method", ["begin", "log", "finish"])
def test_a_tracker_that_fails_is_warned_of_once_and_ends_no_run(method, told, monkeypatch, capsys):
    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Ear if method == "begin" else Told, method, fail)
    monkeypatch.setattr("tsdistill.runs.tracking.FLUSH_SECONDS", 0.0)
    assert cli.run("distill", (*TINY, "method=none", "tracking=tensorboard")) == 0
    said = capsys.readouterr().out
    assert said.count("UnitTest none lstm_8 seed 0: the tracker has failed and is told nothing more (") == 1
    assert "`tsdistill track` writes the run from its record" in said
    assert len(list(iter_results(OUT))) == 1


@pytest.mark.parametrize(
    ("name", "module"),
    [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow"), ("wandb", "wandb")],
)
def test_a_missing_package_is_named_before_anything_is_trained(name, module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.run("distill", (*TINY, "method=none", f"tracking={name}")) == 2
    said = capsys.readouterr().err
    assert said == f"tsdistill: tracking={name} needs {name}: pip install 'tsdistill[{name}]'\n"
    assert not (OUT / "teachers").exists()


def test_tensorboard_shows_a_run_and_track_finds_it_there(capsys):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert cli.run("distill", (*TINY, "method=none", "tracking=tensorboard")) == 0
    [folder] = (OUT / "tensorboard" / "UnitTest").iterdir()
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    for name in {point.name for point in curve()}:
        values = [(scalar.step, scalar.value) for scalar in events.Scalars(name)]
        assert values == [(p.epoch, pytest.approx(p.value)) for p in curve() if p.name == name]
    assert events.Scalars("test/accuracy")[0].step == 3
    capsys.readouterr()
    assert cli.run("track", ("to=tensorboard", "out=out")) == 0
    assert "0 runs written into out/tensorboard, 1 were there already" in capsys.readouterr().out


class Offline:
    """Stands for the package ``wandb``, and writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.logged: list[Mapping[str, float]] = []
        self.summary: dict[str, float] = {}
        self.ended: list[int] = []

    def Settings(self, **settings: Any) -> Mapping[str, Any]:  # noqa: N802  # as wandb has it
        return settings

    def init(self, **asked: Any) -> "Offline":
        self.asked = asked
        return self

    def define_metric(self, name: str, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "epoch")

    def log(self, values: Mapping[str, float]) -> None:
        self.logged.append(values)

    def finish(self, exit_code: int = 0) -> None:
        self.ended.append(exit_code)


def test_wandb_is_offline_unless_it_is_told_otherwise(monkeypatch):
    wandb = Offline()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert cli.run("distill", (*TINY, "method=none", "tracking=wandb")) == 0
    [result] = iter_results(OUT)
    asked = {key: wandb.asked[key] for key in ("mode", "project", "id", "group")}
    assert asked == {"mode": "offline", "project": "tsdistill", "id": result["id"], "group": "UnitTest"}
    assert wandb.asked["config"]["method"] == "none"
    by_epoch = {row["epoch"]: {k: v for k, v in row.items() if k != "epoch"} for row in wandb.logged}
    assert by_epoch == {e: {p.name: p.value for p in curve() if p.epoch == e} for e in (1, 2, 3)}
    assert wandb.summary["test.accuracy"] == result["test"]["accuracy"] and wandb.ended == [0]
    monkeypatch.setenv("WANDB_MODE", "online")
    assert cli.run("distill", (*TINY, "method=none", "tracking=wandb", "seed=1")) == 0
    assert wandb.asked["mode"] == "online"


def test_wandb_itself_writes_a_run_that_can_be_sent(monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert cli.run("distill", (*TINY, "method=none", "tracking=wandb")) == 0
    wandb.teardown()  # which waits until its own process has written all
    [folder] = (OUT / "wandb" / "UnitTest").iterdir()
    [run] = folder.glob("wandb/offline-run-*/run-*.wandb")
    content = run.read_bytes()
    assert b"train/train/loss" in content and b"test.accuracy" in content


def test_mlflow_shows_a_run_and_track_finds_it_there(capsys):
    mlflow = pytest.importorskip("mlflow")
    assert cli.run("distill", (*TINY, "method=none", "tracking=mlflow")) == 0
    client = mlflow.MlflowClient(f"sqlite:///{(OUT / 'mlflow' / 'mlflow.db').resolve()}")
    [run] = client.search_runs([client.get_experiment_by_name("UnitTest").experiment_id])
    assert run.info.status == "FINISHED"
    found = client.get_metric_history(run.info.run_id, "train/train/loss")
    wanted = [(point.epoch, point.value) for point in curve() if point.name == "train/train/loss"]
    assert sorted((metric.step, metric.value) for metric in found) == wanted
    capsys.readouterr()
    assert cli.run("track", ("to=mlflow", "out=out")) == 0
    assert "0 runs written" in capsys.readouterr().out
    assert json.loads(run.data.params["seed"]) == 0
