"""``tsdistill track``: what a tracker reads is what is stored, and is written once."""

import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from tsdistill.config.schema import OnlyConf, TrackConf, TrackerName
from tsdistill.errors import TsdistillError
from tsdistill.runs.track import track
from tsdistill.store import packing


def tensorboard(out: Path, **changes: Any) -> Path:
    track(TrackConf(out=str(out), to=TrackerName.tensorboard, **changes))
    return out / "tensorboard"


def read_events(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return found


def test_tensorboard_reads_curves_metrics_and_settings(write, tmp_path):
    pytest.importorskip("tensorboard")
    write(tmp_path, "a1")
    [folder] = (tensorboard(tmp_path) / "GunPoint").iterdir()
    assert folder.name == "tsd-lstm_8-seed0-a1"
    events = read_events(folder)
    assert set(events.Tags()["scalars"]) == {
        *("train/loss", "test/accuracy", "teacher_test/accuracy", "cost/parameters", "timing/train_seconds")
    }
    [loss] = events.Scalars("train/loss")
    assert (loss.step, loss.value) == (1, 0.5)
    [accuracy] = events.Scalars("test/accuracy")
    assert (accuracy.step, accuracy.value) == (2, 0.75)  # at the last epoch
    settings = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"method.lam" in settings and struct.pack("<d", 1.0) in settings


def test_a_run_is_written_once_and_again_when_metrics_were_added(write, tmp_path, capsys):
    pytest.importorskip("tensorboard")
    write(tmp_path, "a1")
    write(tmp_path, "b2")
    folder = tensorboard(tmp_path)
    assert capsys.readouterr().out == f"2 runs written into {folder}, 0 were there already\n"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    packing.pack(tmp_path / "runs" / "GunPoint")
    tensorboard(tmp_path)
    assert capsys.readouterr().out == f"0 runs written into {folder}, 2 were there already\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    write(tmp_path, "b2", accuracy=0.5, replace=True)
    tensorboard(tmp_path, only=OnlyConf(dataset=["GunPoint"]))
    assert capsys.readouterr().out.startswith("1 runs written")
    [accuracy] = read_events(folder / "GunPoint" / "tsd-lstm_8-seed0-b2").Scalars("test/accuracy")
    assert accuracy.value == 0.5


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        (TrackerName.tensorboard, "torch.utils.tensorboard", "tensorboard"),
        (TrackerName.mlflow, "mlflow", "mlflow"),
        (TrackerName.wandb, "wandb", "wandb"),
    ],
)
def test_a_tracker_that_is_missing_is_named_with_its_command(
    write, tmp_path, monkeypatch, name, module, extra
):
    write(tmp_path, "a1")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        TsdistillError, match=rf"to={extra} needs {extra}: pip install 'tsdistill\[{extra}\]'"
    ):
        track(TrackConf(out=str(tmp_path), to=name))
    assert not (tmp_path / extra).exists()


def test_a_tracker_must_be_named(write, tmp_path):
    write(tmp_path, "a1")
    with pytest.raises(TsdistillError, match=r"name a tracker: to=tensorboard\|mlflow\|wandb"):
        track(TrackConf(out=str(tmp_path)))


def test_mlflow_reads_curves_metrics_and_settings_and_is_written_once(write, tmp_path, capsys):
    mlflow = pytest.importorskip("mlflow")
    write(tmp_path, "a1")
    conf = TrackConf(out=str(tmp_path), to=TrackerName.mlflow)
    track(conf)
    track(conf)
    write(tmp_path, "a1", accuracy=0.5, replace=True)
    track(conf)
    folder = tmp_path / "mlflow"
    assert capsys.readouterr().out.splitlines() == [
        f"1 runs written into {folder}, 0 were there already",
        f"0 runs written into {folder}, 1 were there already",
        f"1 runs written into {folder}, 0 were there already",
    ]
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("GunPoint").experiment_id])
    assert run.info.run_name == "tsd fcn-lstm_8 seed 0 a1" and run.info.status == "FINISHED"
    assert run.data.params["method.lam"] == "1.0" and run.data.params["dataset"] == "GunPoint"
    assert run.data.metrics["test.accuracy"] == 0.5
    [loss] = client.get_metric_history(run.info.run_id, "train/loss")
    assert (loss.step, loss.value) == (1, 0.5)
