"""A report knows what it was made of and can be made again."""

import hashlib
import json
import shlex
import sys

import pytest

from tsdistill.cli import run
from tsdistill.errors import TsdistillError
from tsdistill.report import write_report
from tsdistill.report.options import Options
from tsdistill.store.manifest import seal

ASKED = Options(
    filters={"method": ["kd", "tsd", "none"]},
    where="seed=1",
    metrics=("accuracy", "kl"),
    labels={"kd": "KD (Hinton)"},
    order=("tsd",),
    decimals=2,
    figures=False,
)


@pytest.fixture
def made(record, failure, stored):
    runs = [record(name, method) for name in ("A", "B") for method in ("none", "kd", "tsd", "fitnets")]
    out = stored([*runs, failure("B", "tsd", trial=1)])
    return out, write_report(out, ASKED).folder


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_record_read_is_listed_with_its_digest(made):
    out, folder = made
    told = json.loads((folder / "made_from.json").read_text())
    assert len(told["records"]) == 7
    one = next(each for each in told["records"] if each["status"] == "ok")
    path = out / "runs" / one["dataset"] / one["id"] / "result.json"
    assert one["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and one["out"] == str(out)


def test_the_command_that_it_names_makes_the_same_files(made, tmp_path, monkeypatch):
    _, folder = made
    before = _bytes(folder)
    words = shlex.split(json.loads(before["made_from.json"])["command"])
    assert words[:2] == ["tsdistill", "report"]
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert run("report", words[2:]) == 0
    assert _bytes(folder) == before


def test_it_is_made_again_from_the_same_records_whatever_was_added(made, record, stored, tmp_path):
    out, folder = made
    stored([record("C", method) for method in ("none", "kd", "tsd")])
    again = write_report(out, again=folder, to=tmp_path / "again")
    assert _bytes(again.folder) == _bytes(folder)
    assert write_report(out, again=folder).folder == folder
    assert write_report(out, ASKED).runs == 9


def test_a_record_that_changed_or_is_gone_is_told(made, tmp_path):
    out, folder = made
    records = json.loads((folder / "made_from.json").read_text())["records"]
    listed = next(each for each in records if each["dataset"] == "A")
    path = out / "runs" / "A" / listed["id"] / "result.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"flags": ["collapsed"]}))
    seal(path.parent)
    with pytest.raises(TsdistillError, match=f"run {listed['id']} of A has changed.*leave out again="):
        write_report(out, again=folder)
    path.write_text(json.dumps(told | {"seed": 2}))
    seal(path.parent)
    with pytest.raises(TsdistillError, match=f"run {listed['id']} of A is gone"):
        write_report(out, again=folder)
    with pytest.raises(TsdistillError, match=r"no whole made_from\.json lies there"):
        write_report(out, again=tmp_path / "nowhere")
