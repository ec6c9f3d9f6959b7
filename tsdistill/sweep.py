"""A sweep's jobs: a failed one is written down and the rest goes on; the sum is told at the end."""

import json
import os
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from tsdistill.console import say

SWEEP_VARIABLE = "TSDISTILL_SWEEP"
"""Names the sweep's folder: set once by the command line, so that jobs in other processes share it."""

failed_jobs = 0
"""How many jobs of this process's sweep failed; the command's exit status tells it."""


def in_sweep() -> bool:
    """Whether this job is one of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def name_sweep() -> None:
    """Give this command's sweep, if it becomes one, a folder of its own."""
    os.environ[SWEEP_VARIABLE] = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def note_job(error: str | None) -> None:
    """Write down how this job of the sweep ended."""
    hydra = HydraConfig.get()
    folder = Path(hydra.sweep.dir) / "status"
    folder.mkdir(parents=True, exist_ok=True)
    status = {"job": hydra.job.num, "overrides": list(hydra.overrides.task), "error": error}
    (folder / f"{hydra.job.num}.json").write_text(json.dumps(status), encoding="utf-8")


class SweepSummary(Callback):
    """Tells, at the end of a sweep, how many jobs there were and which of them failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read the jobs' notes; Hydra calls this in the process of the command."""
        global failed_jobs
        folder = Path(config.hydra.sweep.dir) / "status"
        jobs = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
        failed = sorted((job for job in jobs if job["error"]), key=lambda job: int(job["job"]))
        failed_jobs = len(failed)
        say(f"{len(jobs)} runs, {len(failed)} failed")
        for job in failed:
            say(f"  failed: {' '.join(job['overrides'])}: {job['error']}")
