"""Sweeps on a Slurm of one node on this machine: as an array and by submitit; the node dies meanwhile."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munge")
MISSING = [name for name in PROGRAMS if not shutil.which(name)]
SUBMITIT = importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("TSDISTILL_SLURM"), reason="starts daemons, takes minutes: `make test-slurm`"
    ),
    pytest.mark.skipif(
        bool(MISSING), reason=f"apt-get install slurmctld slurmd slurm-client munge: no {', '.join(MISSING)}"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="starts Slurm's daemons, which needs root"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two tasks side by side need two cores"),
]

RUN = (
    *("-m", "dataset.name=UnitTest", "dataset.download=false", "data_root=null", "hardware=cpu"),
    *("hardware.checkpoint_seconds=0.1", "teacher=fcn_8", "teacher.training.epochs=3", "student=lstm_8"),
    *("training.epochs=100", "saliency.window=5", "saliency.perturbations=4"),
)
SIXTY = (*RUN, "method=none,kd,fitnets,fitnets_joint,tsd,tsd_kd", "seed=range(0,10)")
FOUR = (*RUN, "method=kd,tsd", "seed=0,1")
LAUNCHER = (
    *("hydra/launcher=submitit_slurm", "hydra.launcher.partition=main"),
    *("hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"),
)
CONTROL, NODE = ("slurmctld", "slurmscriptd"), ("slurmd", "slurmstepd")
"""Daemons of the cluster and of its nodes."""
KINDS = ("teachers", "pools", "runs")
PATIENCE = 600.0
"""Seconds within which each thing that is waited for happens, on a machine that is busy."""
NOT_COMPARED = ("timing.json", "environment.json", "manifest.json")
"""Files that hold times and versions, and the manifest with their hashes."""
SAID_OF_THE_COMMAND = re.compile(rb"^(out|share): .*$", re.MULTILINE)
"""Settings that say where a run was made, which is not part of its key."""


class Slurm:
    """A Slurm of one node, with what its jobs' environment is to be.

    Attributes:
        folder: where it keeps its state.
        variables: the environment of commands and jobs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self.variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TSDISTILL_DATA": ""}
        del self.variables["TSDISTILL_JOBS"]
        self.variables["PATH"] = f"{command(folder)}{os.pathsep}{os.environ['PATH']}"
        self.variables["SLURM_CONF"] = str(self.conf)

    def said(self, *words: str) -> str:
        """What a command prints, which is to succeed."""
        return subprocess.run(
            words, env=self.variables, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def start(self) -> str:
        """Start the daemons; what went wrong, if they don't come up."""
        words = ["sh", str(ROOT / "scripts" / "start_slurm.sh"), str(self.folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.stderr.strip() if done.returncode else ""

    def stop(self) -> None:
        """End all jobs and daemons, whatever state they are in."""
        script = str(ROOT / "scripts" / "start_slurm.sh")
        subprocess.run(["sh", script, str(self.folder), "stop"], capture_output=True, check=False)
        kill(processes(self.conf))

    def node_dies(self) -> None:
        """Kill the node's daemon and all that it started, let Slurm know, and bring the node back."""
        kill({pid: name for pid, name in processes(self.conf).items() if name not in CONTROL})
        node = self.said("sinfo", "-h", "-N", "-p", "main", "-o", "%N").strip()
        self.said("scontrol", "update", f"nodename={node}", "state=down", "reason=died")
        self.said("slurmd")


def kill(found: dict[int, str]) -> None:
    """Kill processes; those that started others, and would tell how they ended, come first."""
    for pid in sorted(found):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command(folder: Path) -> Path:
    """A folder with the command ``tsdistill`` of this Python and this source."""
    (folder / "bin").mkdir(parents=True)
    script = folder / "bin" / "tsdistill"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m tsdistill "$@"\n')
    script.chmod(0o755)
    return script.parent


def processes(conf: Path) -> dict[int, str]:
    """Names of a Slurm's daemons and of what runs in its jobs, by their numbers."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            name = (folder / "comm").read_text().strip()
        except OSError:  # it has ended
            continue
        in_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
        if f"SLURM_CONF={conf}".encode() in variables and (in_job or name in CONTROL + NODE):
            found[int(folder.name)] = name
    return found


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    made = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        fault = made.start()
        if fault:
            pytest.skip(f"Slurm's daemons don't come up: {fault}")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def whole(slurm: Slurm) -> Path:
    """The output folder of the sweep of sixty, run without Slurm."""
    out = slurm.folder / "whole"
    slurm.said("tsdistill", "distill", *SIXTY, f"out={out}")
    return out


class Watched:
    """An output folder, of which nothing that was whole may be made again."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.seen: dict[Path, tuple[int, int]] = {}

    def runs(self) -> int:
        """How many runs are whole; fails if something has been made again, or is gone."""
        for path in self.seen:
            assert path.exists(), f"{path} is gone"
        for kind in KINDS:
            for path in self.out.glob(f"{kind}/*/*/manifest.json"):
                if "." not in path.parent.name:
                    status = path.stat()
                    identity = status.st_ino, status.st_mtime_ns
                    assert self.seen.setdefault(path, identity) == identity, f"{path} was made again"
        return sum(path.parents[2].name == "runs" for path in self.seen)


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Wait until something is so, for which there is much time."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.1)


def records(out: Path) -> dict[str, bytes]:
    """All files of all records that don't hold times; settings without the folder and the share."""
    return {
        str(path.relative_to(out)): SAID_OF_THE_COMMAND.sub(b"", path.read_bytes())
        if path.name == "config.yaml"
        else path.read_bytes()
        for kind in KINDS
        for path in out.glob(f"{kind}/*/*/*")
        if path.is_file() and path.name not in NOT_COMPARED
    }


def tables(slurm: Slurm, out: Path) -> list[bytes]:
    """The report's tables."""
    slurm.said("tsdistill", "report", f"out={out}")
    return [(out / "report" / name).read_bytes() for name in ("table.csv", "summary.csv")]


def assert_same(slurm: Slurm, out: Path, local: Path, *, runs: int) -> None:
    found, expected = records(out), records(local)
    assert (
        len([name for name in expected if name.endswith("weights.safetensors") and "runs/" in name]) == runs
    )
    assert {name for name in found.keys() | expected if found.get(name) != expected.get(name)} == set()
    assert tables(slurm, out) == tables(slurm, local)


def test_an_array_ends_as_a_local_sweep_though_the_node_dies_and_a_task_is_requeued(
    slurm: Slurm, whole: Path
) -> None:
    out = slurm.folder / "array"
    watched = Watched(out)
    sizes = (
        "--array=1-2",
        "--cpus-per-task=1",
        "--mem-per-cpu=1500M",
        f"--output={slurm.folder}/task-%a.log",
    )
    script = str(ROOT / "examples" / "slurm" / "sweep.sbatch")
    job = slurm.said("sbatch", "--parsable", *sizes, script, *SIXTY, f"out={out}").strip()

    def states() -> list[str]:
        return slurm.said("squeue", "-h", "-r", "-o", "%T").split()

    def both_run(runs: int) -> bool:
        found = states()
        assert found, "the tasks ended before anything was done to them"
        return found == ["RUNNING"] * 2 and watched.runs() >= runs

    def told(task: int) -> str:
        return (slurm.folder / f"task-{task}.log").read_text()

    wait("both tasks train", lambda: both_run(5))
    slurm.node_dies()
    at = watched.runs()
    wait("both tasks go on", lambda: both_run(at + 3))
    slurm.said("scontrol", "requeue", f"{job}_1")
    assert watched.runs() < 60
    wait("the tasks end", lambda: watched.runs() >= 0 and not states())
    assert watched.runs() == 60
    for task in (1, 2):
        assert "30 runs, 0 failed" in told(task)
    assert_same(slurm, out, whole, runs=60)


@pytest.mark.skipif(SUBMITIT is None, reason="pip install 'tsdistill[slurm]'")
def test_each_run_a_job_of_its_own_ends_as_a_local_sweep_though_the_node_dies(slurm: Slurm) -> None:
    out, local = slurm.folder / "jobs", slurm.folder / "four"
    slurm.said("tsdistill", "distill", *FOUR, f"out={local}")
    watched = Watched(out)
    words = ["tsdistill", "distill", *FOUR, f"out={out}", *LAUNCHER]
    with (slurm.folder / "said").open("w") as said:
        process = subprocess.Popen(words, stdout=said, env=slurm.variables, cwd=slurm.folder)
        try:
            wait("a run is whole", lambda: watched.runs() >= 1)
            slurm.node_dies()
            wait("the sweep ends", lambda: watched.runs() >= 0 and process.poll() is not None)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "4 runs, 0 failed" in (slurm.folder / "said").read_text()
    assert_same(slurm, out, local, runs=4)
