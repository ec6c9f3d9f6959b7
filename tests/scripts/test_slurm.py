"""The script of a Slurm array, with stand-ins for the command and for Slurm."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm" / "sweep.sbatch"
BEGIN = "touch began; for i in $(seq 600); do sleep 0.05; done"
"""What a stand-in does until it is asked to end, or for half a minute."""


@pytest.fixture
def start(tmp_path: Path):
    def make(tsdistill: str) -> subprocess.Popen[str]:
        for name, text in (("tsdistill", tsdistill), ("scontrol", 'echo "scontrol $*"')):
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "20", "SLURM_ARRAY_JOB_ID": "77"}
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        words = ["sh", str(SCRIPT), "-m", "out=a b"]
        where = {**os.environ, **slurm, "PATH": path}
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=where, cwd=tmp_path)

    return make


def signalled(process: subprocess.Popen[str], number: int, folder: Path) -> None:
    """Send a signal once the stand-in has begun."""
    while not (folder / "began").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_task_runs_its_share_and_ends_with_its_status(start, status):
    process = start(f'printf "%s|" "$@"; exit {status}')
    said, _ = process.communicate(timeout=60)
    assert said == "distill|-m|out=a b|share=3/20|" and process.returncode == status


@pytest.mark.parametrize(
    ("number", "queued", "status"),
    [(signal.SIGUSR1, "scontrol requeue 77_3\n", 0), (signal.SIGTERM, "", 143)],
    ids=["its time is up", "cancelled"],
)
def test_a_task_waits_for_the_checkpoints_and_is_queued_again_unless_cancelled(
    number, queued, status, start, tmp_path
):
    process = start(f"trap 'sleep 0.3; touch saved; exit 143' TERM; {BEGIN}")
    signalled(process, number, tmp_path)
    said, _ = process.communicate(timeout=60)
    assert (tmp_path / "saved").exists()
    assert (said, process.returncode) == (queued, status)


def test_a_task_whose_time_is_up_as_it_ends_is_done(start, tmp_path):
    process = start(f"trap 'exit 0' TERM; {BEGIN}")
    signalled(process, signal.SIGUSR1, tmp_path)
    said, _ = process.communicate(timeout=60)
    assert said == "" and process.returncode == 0
