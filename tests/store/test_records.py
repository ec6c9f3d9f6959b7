import json
import math
import os
import subprocess
from pathlib import Path

import pytest
import torch

from tsdistill.errors import TsdistillError
from tsdistill.store import environment as environment_module
from tsdistill.store.environment import environment
from tsdistill.store.records import (
    failure_path,
    iter_failures,
    iter_results,
    read_run,
    run_folder,
    write_failure,
    write_run,
)

RESULT = {
    "id": "ab12",
    "dataset": "GunPoint",
    "method": "tsd",
    "seed": 0,
    "settings": {"method.lam": 1.0, "clip": None},
    "validation": None,
    "test": {"accuracy": 0.75, "roc_auc": math.nan},
    "teacher_test": {"accuracy": 1.0},
}


def write(
    out: Path, run_id: str = "ab12", dataset: str = "GunPoint", replace: bool = False, **changes
) -> Path:
    return write_run(
        out,
        dataset,
        run_id,
        result={**RESULT, "id": run_id, "dataset": dataset, **changes},
        config_yaml="seed: 0\n",
        curve=[
            {"stage": "train", "epoch": 1, "name": "loss", "value": 0.1 + 0.2},
            {"stage": "train", "epoch": 2, "name": "validation, nll", "value": math.nan},
        ],
        logits={"test": torch.ones(3, 2), "y_test": torch.tensor([0, 1, 1])},
        weights={"w": torch.zeros(2)},
        timing={"train_seconds": 1.5},
        environment=environment(),
        facts={"seed": 0},
        terms={"train.hint.weight": torch.ones(2)},
        replace=replace,
    )


def test_record_round_trip(tmp_path):
    folder = write(tmp_path)
    assert folder == tmp_path / "runs" / "GunPoint" / "ab12"
    assert json.loads((folder / "result.json").read_text())["test"] == {"accuracy": 0.75, "roc_auc": None}
    assert (folder / "curve.csv").read_text().splitlines()[:2] == [
        "stage,epoch,name,value",
        "train,1,loss,0.30000000000000004",
    ]
    found = read_run(tmp_path, "GunPoint", "ab12")
    assert found is not None
    assert (found.result["schema"], found.result["status"], found.result["seed"]) == (2, "ok", 0)
    assert found.result["validation"] is None and math.isnan(found.result["test"]["roc_auc"])
    assert found.result["settings"] == RESULT["settings"]
    assert found.curve[0] == {"stage": "train", "epoch": 1, "name": "loss", "value": 0.1 + 0.2}
    assert math.isnan(found.curve[1]["value"]) and found.curve[1]["name"] == "validation, nll"
    assert found.config_yaml == "seed: 0\n"
    assert found.timing == {"train_seconds": 1.5} and found.environment == environment()
    assert torch.equal(found.logits["y_test"], torch.tensor([0, 1, 1])) and found.weights["w"].shape == (2,)


def test_a_run_is_there_only_while_its_record_is_whole(tmp_path):
    assert read_run(tmp_path, "GunPoint", "ab12") is None
    folder = write(tmp_path)
    assert read_run(tmp_path, "GunPoint", "ab12")
    with (folder / "curve.csv").open("a") as file:
        file.write("x")
    assert read_run(tmp_path, "GunPoint", "ab12") is None
    assert list(iter_results(tmp_path)) == []
    write(tmp_path)
    assert read_run(tmp_path, "GunPoint", "ab12") and len(list(iter_results(tmp_path))) == 1


def test_metrics_are_added_by_replacing(tmp_path):
    write(tmp_path)
    write(tmp_path, test={"accuracy": 0.25})
    assert next(iter_results(tmp_path))["test"]["accuracy"] == 0.75
    write(tmp_path, test={"accuracy": 0.25}, replace=True)
    assert [result["test"] for result in iter_results(tmp_path)] == [{"accuracy": 0.25}]


def test_copied_record_does_not_count_as_another_run(tmp_path):
    write(tmp_path).rename(run_folder(tmp_path, "GunPoint", "cd34"))
    assert read_run(tmp_path, "GunPoint", "cd34") is None


def test_result_of_another_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not that of run"):
        write_run(
            tmp_path,
            "ECG200",
            "ab12",
            result=RESULT,
            config_yaml="",
            curve=[],
            logits={},
            weights={},
            timing={},
            environment={},
            facts={},
            terms={},
        )


def test_failures_are_listed_until_the_run_succeeds(tmp_path):
    assert list(iter_failures(tmp_path)) == []
    write_failure(tmp_path, "GunPoint", "ab12", {"method": "tsd", "settings": {}, "error": "diverged"})
    write_failure(tmp_path, "GunPoint", "cd34", {"method": "kd", "settings": {}, "error": "old"})
    write_failure(tmp_path, "GunPoint", "cd34", {"method": "kd", "settings": {}, "error": "new"})
    assert [(note["id"], note["status"], note["error"]) for note in iter_failures(tmp_path)] == [
        ("ab12", "failed", "diverged"),
        ("cd34", "failed", "new"),
    ]
    write(tmp_path)
    assert not failure_path(tmp_path, "GunPoint", "ab12").exists()
    assert [note["id"] for note in iter_failures(tmp_path)] == ["cd34"]
    assert [result["id"] for result in iter_results(tmp_path)] == ["ab12"]


def test_failure_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    path = write_failure(tmp_path, "GunPoint", "ab12", {"error": "first"})
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(TsdistillError, match="No space left"):
        write_failure(tmp_path, "GunPoint", "ab12", {"error": "second"})
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert json.loads(path.read_text())["error"] == "first"


def test_results_come_in_order_and_broken_ones_are_reported_not_fatal(tmp_path, caplog):
    for dataset, run_id in [("GunPoint", "b"), ("ECG200", "c"), ("GunPoint", "a"), ("GunPoint", "d")]:
        write(tmp_path, run_id, dataset)
    (run_folder(tmp_path, "GunPoint", "b") / "result.json").write_text('{"schema": 1, "id": ')
    (run_folder(tmp_path, "GunPoint", "d") / "timing.json").unlink()
    (tmp_path / "runs" / "stray.txt").write_text("not ours")
    (tmp_path / "runs" / "GunPoint" / ".e.tmp-00000000-1-00000000").mkdir()
    found = list(iter_results(tmp_path))
    assert [(result["dataset"], result["id"]) for result in found] == [("ECG200", "c"), ("GunPoint", "a")]
    assert found[0]["timing"] == {"train_seconds": 1.5}
    assert len(caplog.messages) == 2 and "GunPoint/b can't be read" in caplog.messages[0]


def test_records_of_an_older_version_are_counted_in_one_line(tmp_path, caplog):
    for run_id in ("a", "b", "c"):
        path = write(tmp_path, run_id) / "result.json"
        if run_id != "c":
            path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
    note = write_failure(tmp_path, "GunPoint", "ff", {"error": "boom"})
    note.write_text(note.read_text().replace('"schema": 2', '"schema": 1'))
    assert [result["id"] for result in iter_results(tmp_path)] == ["c"]
    assert list(iter_failures(tmp_path)) == []
    assert caplog.messages == ["2 records of an older version are left out; `tsdistill clean` lists them"]


def test_5000_results_are_all_read(tmp_path):
    template = write(tmp_path, settings={f"group.setting_{n}": n / 7 for n in range(80)})
    result, timing = (template / "result.json").read_text(), (template / "timing.json").read_text()
    for n in range(5000):
        folder = run_folder(tmp_path, f"Dataset{n % 100}", f"{n:016x}")
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(result.replace('"ab12"', f'"{folder.name}"'))
        (folder / "timing.json").write_text(timing)
    assert sum(1 for _ in iter_results(tmp_path)) == 5001


def test_environment_says_with_what_and_asks_git_only_once(monkeypatch):
    described = environment()
    assert (
        described["torch"] == torch.__version__.partition("+")[0] or described["torch"] == torch.__version__
    )
    assert described["threads"] == torch.get_num_threads() and described["device_name"]
    assert described["commit"] is None or len(described["commit"]) == 40
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: pytest.fail("asked again"))
    assert environment() == described
    json.dumps(described, allow_nan=False)


def test_environment_outside_a_checkout_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(environment_module.tsdistill, "__file__", str(tmp_path / "tsdistill" / "__init__.py"))
    environment_module._checkout.cache_clear()
    assert environment_module._checkout() == (None, None)
    environment_module._checkout.cache_clear()
