import json
import math
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import torch

from tsdistill.errors import TsdistillError
from tsdistill.store import environment as environment_module
from tsdistill.store import scan as scan_module
from tsdistill.store.environment import environment
from tsdistill.store.index import NAME
from tsdistill.store.listing import iter_failures, iter_results, list_runs
from tsdistill.store.manifest import hold, seal
from tsdistill.store.records import (
    failure_path,
    read_run,
    run_folder,
    write_failure,
    write_run,
)

RESULT = {
    "id": "ab12",
    "dataset": "GunPoint",
    "method": "tsd",
    "teacher": "fcn",
    "student": "lstm_8",
    "seed": 0,
    "trial": 0,
    "teacher_id": "cd34",
    "teacher_validation": None,
    "cost": {"parameters": 370},
    "training": {"epochs": 2},
    "flags": [],
    "settings": {"method.lam": 1.0, "clip": None},
    "validation": None,
    "test": {"accuracy": 0.75, "roc_auc": math.nan},
    "teacher_test": {"accuracy": 1.0},
}


IDENTITY = {name: RESULT[name] for name in ("method", "teacher", "student", "seed", "trial", "settings")}


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


def test_one_changed_digit_leaves_the_record_out_with_its_reason(tmp_path):
    path = write(tmp_path) / "result.json"
    write(tmp_path, "cd34")
    path.write_text(path.read_text().replace("0.75", "0.95"))
    listing = list_runs(tmp_path)
    assert [result["id"] for result in listing.results] == ["cd34"]
    [damaged] = listing.damaged
    assert damaged.name == "GunPoint/ab12"
    assert damaged.problem == "result.json has changed since it was written"


def test_what_was_set_aside_keeps_its_reason_until_the_run_is_there_again(tmp_path):
    folder = write(tmp_path)
    (folder / "logits.safetensors").write_bytes(b"")
    assert read_run(tmp_path, "GunPoint", "ab12") is None
    for _ in range(2):
        [damaged] = list_runs(tmp_path).damaged
        assert damaged.name == "GunPoint/ab12.broken-1"
        assert damaged.problem == "it was set aside: logits.safetensors has changed since it was written"
    write(tmp_path)
    assert list_runs(tmp_path).damaged == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": "1"}, "no valid seed"),
        ({"test": [1]}, "no valid test"),
        ({"teacher_id": "../../x"}, "no valid teacher_id"),
        ({"settings": None}, "no valid settings"),
        ({"flags": "collapsed"}, "no valid flags"),
    ],
)
def test_a_result_of_another_shape_is_left_out_whatever_its_manifest_says(tmp_path, changes, said):
    write(tmp_path, **changes)
    [damaged] = list_runs(tmp_path).damaged
    assert said in damaged.problem


def test_the_index_spares_a_second_reading_and_notices_every_change(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_module, "YOUNGEST_SECONDS", -1.0)
    paths = [write(tmp_path, run_id) for run_id in ("a", "b", "c")]
    first = list_runs(tmp_path).results
    held = []
    monkeypatch.setattr(scan_module, "hold", lambda *args: held.append(args[0].path.name) or hold(*args))
    assert str(list_runs(tmp_path).results) == str(first) and held == []
    status = (paths[0] / "result.json").stat()
    (paths[0] / "result.json").write_text((paths[0] / "result.json").read_text().replace("0.75", "0.95"))
    os.utime(paths[0] / "result.json", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [result["id"] for result in list_runs(tmp_path).results] == ["b", "c"] and held == ["a"]
    shutil.copytree(paths[1], tmp_path / "copy")
    shutil.rmtree(paths[1])
    shutil.copytree(tmp_path / "copy", paths[1])
    held.clear()
    assert len(list_runs(tmp_path).results) == 2 and held == ["a", "b"]


def test_a_changed_digit_in_the_index_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_module, "YOUNGEST_SECONDS", -1.0)
    write(tmp_path)
    list_runs(tmp_path)
    content = (tmp_path / NAME).read_bytes()
    assert content.count(b'["same",[0.75]]') == 1
    (tmp_path / NAME).write_bytes(content.replace(b'["same",[0.75]]', b'["same",[0.95]]'))
    assert list_runs(tmp_path).results[0]["test"]["accuracy"] == 0.75


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 4096])
def test_a_broken_index_is_done_without(tmp_path, content):
    write(tmp_path)
    (tmp_path / NAME).write_bytes(content)
    assert len(list_runs(tmp_path).results) == 1


def test_an_index_with_a_view_in_its_place_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_module, "YOUNGEST_SECONDS", -1.0)
    write(tmp_path)
    with closing(sqlite3.connect(tmp_path / NAME)) as file:
        file.execute("CREATE VIEW parts AS SELECT 'GunPoint' AS dataset, 1 AS number, 'z' AS content")
        file.commit()
    assert len(list_runs(tmp_path).results) == 1
    with closing(sqlite3.connect(tmp_path / NAME)) as file:
        assert [row[0] for row in file.execute("SELECT type FROM sqlite_master WHERE name = 'parts'")] == [
            "table"
        ]


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
    write_failure(tmp_path, "GunPoint", "ab12", {**IDENTITY, "error": "diverged"})
    write_failure(tmp_path, "GunPoint", "cd34", {**IDENTITY, "error": "old"})
    write_failure(tmp_path, "GunPoint", "cd34", {**IDENTITY, "error": "new"})
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
    assert [message.partition("GunPoint/")[2] for message in caplog.messages[:2]] == [
        "b is left out: result.json has changed since it was written",
        "d is left out: timing.json is missing",
    ]


def test_records_of_an_older_version_are_counted_in_one_line(tmp_path, caplog):
    for run_id in ("a", "b", "c"):
        path = write(tmp_path, run_id) / "result.json"
        if run_id != "c":
            path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
            seal(path.parent)
    note = write_failure(tmp_path, "GunPoint", "ff", {"error": "boom"})
    note.write_text(note.read_text().replace('"schema": 2', '"schema": 1'))
    assert [result["id"] for result in iter_results(tmp_path)] == ["c"]
    assert list(iter_failures(tmp_path)) == []
    assert caplog.messages == ["2 records of an older version are left out; `tsdistill clean` lists them"]


def test_many_results_are_all_read(tmp_path):
    template = write(tmp_path, settings={f"group.setting_{n}": n / 7 for n in range(80)})
    result, timing = (template / "result.json").read_text(), (template / "timing.json").read_text()
    many = 5000 if os.environ.get("TSDISTILL_LONG") else 300
    for n in range(many):
        folder = run_folder(tmp_path, f"Dataset{n % 100}", f"{n:016x}")
        folder.mkdir(parents=True)
        own = result.replace('"ab12"', f'"{folder.name}"').replace("GunPoint", f"Dataset{n % 100}")
        (folder / "result.json").write_text(own)
        (folder / "timing.json").write_text(timing)
        (folder / "environment.json").write_text("{}")
        seal(folder)
    assert sum(1 for _ in iter_results(tmp_path)) == many + 1


def test_environment_says_with_what_and_asks_git_only_once(monkeypatch):
    described = environment()
    assert (
        described["torch"] == torch.__version__.partition("+")[0] or described["torch"] == torch.__version__
    )
    features = (described["cpu_features"] or "").split()
    assert features == sorted(features) and ("avx2" in features or described["cpu_capability"] != "AVX2")
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


@pytest.mark.parametrize("name", ["result.json", "logits.safetensors", "manifest.json"])
def test_a_folder_in_the_place_of_a_file_heals(tmp_path, name):
    path = write(tmp_path) / name
    path.unlink()
    path.mkdir()
    [damaged] = list_runs(tmp_path).damaged
    assert damaged.problem == f"{name} is not a plain file"
    assert read_run(tmp_path, "GunPoint", "ab12") is None
    write(tmp_path)
    assert read_run(tmp_path, "GunPoint", "ab12") is not None and list_runs(tmp_path).damaged == []


def test_a_folder_in_the_place_of_a_failures_note_heals(tmp_path):
    failure_path(tmp_path, "GunPoint", "ab12").mkdir(parents=True)
    write_failure(tmp_path, "GunPoint", "ab12", {**IDENTITY, "error": "boom"})
    assert [note["error"] for note in iter_failures(tmp_path)] == ["boom"]


def test_a_changed_note_of_a_failure_is_left_out(tmp_path):
    path = write_failure(tmp_path, "GunPoint", "ab12", {**IDENTITY, "error": "boom"})
    path.write_text(path.read_text().replace('"tsd"', '"kd"'))
    listing = list_runs(tmp_path)
    assert listing.failures == [] and listing.damaged[0].problem == "it has changed since it was written"
