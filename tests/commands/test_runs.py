"""``tsdistill runs`` and what the other reading commands share with it: filters, text words, the frame."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import tsdistill
from tsdistill import cli
from tsdistill.config.members import expand_members
from tsdistill.config.resolve import conf_folder, recorded_settings
from tsdistill.config.schema import register
from tsdistill.errors import TsdistillError
from tsdistill.store import index
from tsdistill.store.records import read_run, rewrite_run, write_failure, write_run

EPOCHS = OmegaConf.load(conf_folder() / "training" / "default.yaml").epochs


def add(out: Path, run_id: str, method: str, seed: int, accuracy: float, **changes: object) -> None:
    identity = {"dataset": "GunPoint", "method": method, "teacher": "fcn", "student": "lstm_8", "seed": seed}
    block = {"average_precision": accuracy, "accuracy": accuracy, "agreement": 0.5}
    settings = {"method.lam": seed / 10, "saliency.window": 10, "training.epochs": EPOCHS}
    result = {"id": run_id, **identity, "trial": 0, "settings": settings, "grid_keys": [], "flags": []}
    result |= {"validation": None, "test": block, "teacher_id": "t", "teacher_test": block}
    result |= {"teacher_validation": None, "cost": {"parameters": 370}, "training": {"epochs": 2}}
    result |= changes
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
    monkeypatch.delenv("COLUMNS", raising=False)
    add(folder, "12e5678", "kd", 1, 0.5)
    add(folder, "ab12", "tsd", 1, 0.75)
    add(folder, "ab34", "tsd", 2, 0.25)
    identity = {"method": "kd", "teacher": "fcn", "student": "lstm_8", "seed": 9, "trial": 0, "settings": {}}
    write_failure(folder, "GunPoint", "ff", {**identity, "error": "boom"})
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


def test_names_in_json_command_no_terminal_and_read_back_the_same(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\x9b31m\x7f\u202e\u2028é"
    add(out, "cd12", hostile, 3, 0.5)
    printed = told(capsys, f"out={out}", "format=json", "where=seed=3")
    assert not set("\x1b\x9b\x7f\u202e") & set(printed) and "\\u009b" in printed and "é" in printed
    assert json.loads(printed)[0]["method"] == hostile


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
        ("id=ab", "id=ab: matches 2 stored runs: ab12 (GunPoint tsd seed 1), ab34"),
        ("id=zz", "id=zz: no stored run has this id; `tsdistill runs` lists them"),
        ("id=ab12,ab34,12", "name one run, or two to compare"),
        ("sort=test.acuracy", "sort=test.acuracy: no stored run has it; did you mean 'test.accuracy'?"),
        ("sort=-nope", "sort=-nope: no stored run has it; choose from: "),
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
    assert frame.loc["ab12", "trained.epochs"] == 2 and frame.loc["ab12", "training.epochs"] == EPOCHS
    assert "validation" not in frame and frame.loc["ff", "flags"] == [] and frame.loc["ab12", "error"] == ""
    assert frame.loc["ff", "status"] == "failed" and frame.loc["ff", "error"] == "boom"
    with pytest.raises(TsdistillError, match="no run records under"):
        tsdistill.load_results(out / "none")


def test_curves_are_tidy(out: Path) -> None:
    curves = tsdistill.load_curves(out, where="method=tsd and seed=1")
    assert list(curves["id"].unique()) == list(tsdistill.load_results(out, "method=tsd and seed=1")["id"])
    row = curves.iloc[0]
    assert tuple(row[["stage", "epoch", "part", "name", "value"]]) == ("train", 2, "train", "loss", 0.25)
    with pytest.raises(TsdistillError, match="no finished run under"):
        tsdistill.load_curves(out / "none")


def test_logits_are_tidy(out: Path) -> None:
    logits = tsdistill.load_logits(out, where="id=ab12")
    assert logits[["part", "model", "series", "label", "class", "logit"]].to_numpy().tolist() == [
        ["test", "student", 0, -1, at, 0.0] for at in (0, 1)
    ]
    assert tsdistill.load_arrays(out, "GunPoint", "ab12")["test"].shape == (1, 2)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_listed_runs_are_written_to_a_file(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    path = tmp_path / f"runs.{ending}"
    assert f"2 runs written to {path}" in told(capsys, f"out={out}", "method=tsd", f"to={path}")
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[ending](path)
    frame = tsdistill.load_results(out, "method=tsd").query("status == 'ok'")
    assert sorted(read["test.accuracy"]) == sorted(frame["test.accuracy"])
    assert set(read.columns) >= {"id", "saliency.window", "environment.torch"}


def test_a_file_that_cannot_be_written_is_refused_in_one_line(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = told(capsys, f"out={out}", f"to={tmp_path}/runs.xlsx", status=2)
    assert "end it in .csv, .json, .parquet" in said and said.count("\n") == 1
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = told(capsys, f"out={out}", f"to={tmp_path}/runs.parquet", status=2)
    assert "pip install tsdistill[parquet]" in said and said.count("\n") == 1
    assert not list(tmp_path.glob("runs.*"))


def test_failed_runs_are_counted_and_listed_as_the_filter_says(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "3 runs, 1 failed" in told(capsys, f"out={out}")
    assert "2 runs, 0 failed" in told(capsys, f"out={out}", "method=tsd")
    assert "2 runs, 0 failed" in told(capsys, f"out={out}", "where=seed=1")
    listed = told(capsys, f"out={out}", "where=status=failed")
    assert "failed: boom" in listed and "0 runs, 1 failed" in listed and "ab12" not in listed
    listed = told(capsys, f"out={out}", "where=method=kd and status=*")
    assert "failed: boom" in listed and "1 runs, 1 failed" in listed
    found = json.loads(told(capsys, f"out={out}", "format=json", "where=status=failed"))
    assert [run["error"] for run in found] == ["boom"]
    assert "run ff failed: boom" in told(capsys, f"out={out}", "where=status=failed", "id=ff", status=2)


def test_a_quoted_value_reaches_the_filter_as_it_is(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "3 runs" in told(capsys, f"out={out}", "where=dataset=Gun*")
    assert "none of 3" in told(capsys, f"out={out}", "where=dataset='Gun*'", status=2)


def test_one_run_shows_the_settings_that_were_changed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, f"out={out}", "id=ab12")
    assert "method.lam: 0.1" in shown and "training.epochs" not in shown
    assert "saliency.window" not in shown and "2 settings are at their defaults" in shown
    assert "saliency.window: 10" in told(capsys, f"out={out}", "id=ab12", "all=true")


def test_a_curve_shows_its_last_and_its_best_value(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = read_run(out, "GunPoint", "ab12")
    assert record is not None
    values = {"train/loss": (3.0, 1.0, 2.0), "accuracy": (0.5, 0.75, float("nan"))}
    curve = [
        {"stage": "train", "epoch": epoch, "name": name, "value": value}
        for name, row in values.items()
        for epoch, value in enumerate(row, 1)
    ]
    rewrite_run(out, replace(record, curve=curve))
    shown = told(capsys, f"out={out}", "id=ab12")
    assert "train train/loss: 2 (epoch 3), best 1 (epoch 2)" in shown
    assert "train accuracy: nan (epoch 3), best 0.75 (epoch 2)" in shown


@pytest.mark.parametrize("columns", [80, 160])
def test_long_names_are_not_broken_within_a_word(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    add(
        out,
        "cd56",
        "tsd_shuffled_across",
        3,
        0.5,
        student="averyveryverylongstudentname",
        flags=["collapsed"],
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = told(capsys, f"out={out}").splitlines()
    table = [line.split() for line in lines[:-1]]
    assert all(len(line) <= columns for line in lines[:-1])
    words = {word for row in table for word in row}
    if columns == 160:
        assert {"tsd_shuffled_across", "averyveryverylongstudentname", "collapsed"} <= words
    else:
        assert {"tsd_", "across", "collapsed"} <= words
        assert any("…" in word and word.startswith("aver") and word.endswith("ame") for word in words)
    compared = told(capsys, f"out={out}", "id=ab12,cd56").splitlines()
    assert all(len(line.rstrip()) <= columns for line in compared)


def test_verify_checks_all_changes_nothing_and_says_what_to_run_again(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "4 stored things checked, 0 damaged" in told(capsys, f"out={out}", "verify=true")
    path = out / "runs" / "GunPoint" / "ab12" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    for kind, key in (("pools", "p"), ("teachers", "t")):
        (out / kind / "GunPoint" / key).mkdir(parents=True)
    before = sorted(str(each) for each in out.rglob("*") if each.name != index.NAME)
    capsys.readouterr()
    assert cli.run("runs", (f"out={out}", "verify=true")) == 1
    captured = capsys.readouterr()
    assert captured.err == "6 stored things checked, 3 damaged; nothing was changed\n"
    lines = captured.out.splitlines()
    assert lines[0] == "runs/GunPoint/ab12: weights.safetensors has changed since it was written"
    assert lines[1].startswith("  run again: tsdistill distill dataset.name=GunPoint method=tsd teacher=fcn")
    assert "method.lam=0.1" in lines[1] and "training.epochs" not in lines[1]
    assert lines[1].endswith(f"'out={out}'")
    assert lines[2:] == [
        "pools/GunPoint/p: manifest.json is missing",
        "  it is made again when a run needs it",
        "teachers/GunPoint/t: manifest.json is missing",
        f"  run again: tsdistill train-teacher dataset.name=GunPoint teacher=fcn 'out={out}'",
        "what these commands don't make whole was made by other code; `tsdistill clean` lists it",
    ]
    assert sorted(str(each) for each in out.rglob("*") if each.name != index.NAME) == before


def test_the_command_for_a_damaged_teacher_makes_no_other_pool_than_the_one_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    add(Path("out"), "a1", "kd", 1, 0.5, settings={"training.epochs": EPOCHS})  # it asks nothing of a pool
    add(Path("out"), "b2", "tsd", 1, 0.5, settings={"training.epochs": EPOCHS, "saliency.window": 7})
    Path("out/teachers/GunPoint/t").mkdir(parents=True)
    assert cli.run("runs", ("out=out", "verify=true")) == 1
    again = "train-teacher dataset.name=GunPoint teacher=fcn saliency.window=7 out=out"
    assert f"  run again: tsdistill {again}\n" in capsys.readouterr().out
    record = Path("out/runs/GunPoint/b2")  # the only run that tells of the pool
    (record / "facts.json").write_text('{"pool": "p"}')
    (record / "weights.safetensors").unlink()
    Path("out/pools/GunPoint/p").mkdir(parents=True)
    assert cli.run("runs", ("out=out", "verify=true")) == 1
    assert capsys.readouterr().out.count(f"  run again: tsdistill {again}\n") == 2


def test_the_command_for_a_damaged_ensemble_names_its_members(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TSDISTILL_DATA", raising=False)
    words = ["teacher.members=[fcn_8,lstm_8]", "teacher.kind.size=2", "teacher.training.epochs=7"]
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        composed = compose("distill", ["teacher=ensemble", *words])
        expand_members(composed)
    settings = recorded_settings(composed)
    add(Path("out"), "b2", "tsd", 1, 0.5, teacher="ensemble", settings=settings)
    edited = {**settings, "teacher.members.fcn_8.training.epochs": 9}
    add(Path("out"), "c3", "tsd", 1, 0.5, teacher="ensemble", teacher_id="u", settings=edited)
    for key in ("t", "u"):
        Path("out/teachers/GunPoint", key).mkdir(parents=True)
    assert cli.run("runs", ("out=out", "verify=true")) == 1
    said = capsys.readouterr().out
    again = (
        "train-teacher dataset.name=GunPoint teacher=ensemble teacher.kind.size=2 "
        "teacher.training.epochs=7 'teacher.members=[fcn_8,lstm_8]' out=out"
    )
    assert f"  run again: tsdistill {again}\n" in said
    assert "teacher.members.fcn_8.training.epochs=9" in said
    cli.run("runs", ("out=out", "id=b2"))
    said = capsys.readouterr().out
    assert "teacher.members: " in said and "teacher.members.fcn_8" not in said
