"""``tsdistill merge``: what is copied, skipped, refused and left out."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tsdistill import cli
from tsdistill.runs import merge as merge_module
from tsdistill.store.listing import list_runs
from tsdistill.store.records import write_failure
from tsdistill.store.teachers import TeacherArtefact, write_teacher


def teach(out: Path, weight: float = 0.0) -> Path:
    logits = {"train": torch.ones(2, 2), "test": torch.ones(3, 2)}
    weights = {"w": torch.full((2,), weight)}
    artefact = TeacherArtefact("t", {"name": "fcn"}, weights, logits, {"validation": None, "test": {}})
    return write_teacher(out, "GunPoint", artefact)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for kind in merge_module.KINDS for path in (folder / kind).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_records_and_teachers_of_all_folders_are_copied_bit_for_bit_and_once(write, tmp_path, capsys):
    write(tmp_path / "A", "a1")
    write(tmp_path / "A", "b2", dataset="Coffee")
    write(tmp_path / "B", "c3")
    write(
        tmp_path / "B", "a1", seconds=9.0
    )  # the same run elsewhere: other times, another path in its config
    teach(tmp_path / "A")
    teach(tmp_path / "B")
    assert cli.run("merge", ("from=A,B", "out=C")) == 0
    assert capsys.readouterr().out == "4 stored things copied into C, 2 were there already\n"
    from_b = {name: content for name, content in files(tmp_path / "B").items() if "c3" in name}
    assert files(tmp_path / "C") == {**files(tmp_path / "A"), **from_b}
    assert cli.run("merge", ("from=A,B", "out=C")) == 0
    assert capsys.readouterr().out == "0 stored things copied into C, 6 were there already\n"


@pytest.mark.parametrize("where", ["between sources", "with what is there"])
def test_a_conflict_is_named_and_nothing_is_written(write, tmp_path, capsys, where):
    write(tmp_path / "A", "a1")
    write(tmp_path / "A", "new")
    write(tmp_path / ("B" if where == "between sources" else "C"), "a1", accuracy=0.5)
    (tmp_path / "B").mkdir(exist_ok=True)
    before = files(tmp_path / "C")
    assert cli.run("merge", ("from=A,B", "out=C")) == 2
    said = capsys.readouterr()
    assert "conflict: runs/GunPoint/a1: result.json of " in said.out
    assert said.err.startswith("tsdistill: 1 stored things differ under one id, so nothing was copied")
    assert files(tmp_path / "C") == before


def test_teachers_that_differ_are_a_conflict_too(tmp_path, capsys):
    teach(tmp_path / "A")
    teach(tmp_path / "B", weight=1.0)
    assert cli.run("merge", ("from=A,B", "out=C")) == 2
    assert "conflict: teachers/GunPoint/t: weights.safetensors of " in capsys.readouterr().out


def test_what_is_damaged_is_left_out_and_named_and_the_rest_is_copied(write, tmp_path, capsys):
    write(tmp_path / "A", "a1")
    path = write(tmp_path / "A", "b2") / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    teacher = teach(tmp_path / "A") / "metrics.json"
    teacher.unlink()
    assert cli.run("merge", ("from=A", "out=C")) == 1
    said = capsys.readouterr()
    assert "left out: runs/GunPoint/b2 of A: weights.safetensors has changed since it was written" in said.out
    assert "left out: teachers/GunPoint/t of A: metrics.json is missing" in said.out
    assert said.err == (
        "1 stored things copied into C, 0 were there already; 2 damaged or old ones were left out\n"
    )
    assert [result["id"] for result in list_runs(tmp_path / "C").results] == ["a1"]


def test_a_whole_record_takes_the_place_of_a_damaged_one(write, tmp_path):
    write(tmp_path / "A", "a1")
    (write(tmp_path / "C", "a1") / "curve.csv").write_text("")
    assert cli.run("merge", ("from=A", "out=C")) == 0
    assert [result["id"] for result in list_runs(tmp_path / "C").results] == ["a1"]


def test_a_note_of_failure_is_copied_unless_the_run_succeeded_elsewhere(write, identity, tmp_path):
    for name, seed in (("lasting", 1), ("mended", 0)):
        write_failure(tmp_path / "A", "GunPoint", name, {**identity, "seed": seed, "error": "nan"})
    write(tmp_path / "B", "a1")
    assert cli.run("merge", ("from=A,B", "out=C")) == 0
    assert [note["id"] for note in list_runs(tmp_path / "C").failures] == ["lasting"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("out=C",), "name the folders to copy from, such as from=A,B out=C"),
        (("from=A,D", "out=C"), "from=D: there is no such folder"),
        (("from=A", "out=A"), "from=A: that is the folder to copy into; leave it out"),
    ],
)
def test_mistakes_are_said_in_one_line(write, tmp_path, capsys, words, said):
    write(tmp_path / "A", "a1")
    assert cli.run("merge", words) == 2
    assert capsys.readouterr().err == f"tsdistill: {said}\n"


KILLED = """
import os, signal, sys
from pathlib import Path
from tsdistill.runs import merge
from tsdistill.store import artefact
left = int(sys.argv[1])
def dies(path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
artefact._flush = dies
merge.merge([Path("A"), Path("B")], Path("C"))
"""


@pytest.mark.parametrize("after", [0, 5, 9, 13, 20])
def test_a_merge_killed_anywhere_is_finished_by_the_same_command(write, tmp_path, after):
    for number in range(2):
        write(tmp_path / "A", f"a{number}")
        write(tmp_path / "B", f"b{number}")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(after)], check=False)
    assert killed.returncode == -signal.SIGKILL
    listing = list_runs(tmp_path / "C")
    assert len(listing.results) == after // 9 and not listing.damaged
    assert cli.run("merge", ("from=A,B", "out=C")) == 0
    assert files(tmp_path / "C") == {**files(tmp_path / "A"), **files(tmp_path / "B")}
