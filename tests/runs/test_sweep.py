"""A sweep on a disk that fills up."""

import errno
import os
from pathlib import Path

import pytest

from tsdistill import cli
from tsdistill.runs import story, sweep
from tsdistill.store import artefact

SWEEP = (
    *(
        "-m",
        "dataset.name=UnitTest",
        "dataset.download=false",
        "data_root=null",
        "hardware=cpu",
        "method=none",
    ),
    *("teacher=fcn_8", "teacher.training.epochs=1", "student=lstm_8", "training.epochs=1", "seed=1,2"),
)


def test_a_full_disk_fails_runs_like_any_other_with_path_and_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(artefact, "_flush", lambda path: full(0))
    assert cli.run("distill", (*SWEEP, f"out={tmp_path}/out")) == 1
    captured = capsys.readouterr()
    assert "2 runs, 0 failed, 2 without a note" in captured.out
    assert f"cannot write {tmp_path}/out/teachers/UnitTest" in captured.out
    assert "No space left on device; free some space" in captured.out
    assert "a file:" not in captured.out + captured.err and "Error executing job" not in captured.err


def test_jobs_on_another_node_leave_their_notes_with_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    # A process that a cluster has started has not the variables of the one that began the sweep.
    monkeypatch.setattr(story, "distill", lambda composed: monkeypatch.delenv(sweep.SWEEP_VARIABLE, False))
    assert cli.run("distill", SWEEP) == 0
    assert "2 runs, 0 failed\n" in capsys.readouterr().out
    assert len(list(Path("tsdistill-out", "sweeps").iterdir())) == 1
