"""A sweep's jobs: a failed one is recorded, the others go on, and a summary is printed at the end."""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from tsdistill.console import prefixed, say
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.signals import heeded_by_worker
from tsdistill.store.artefact import write_atomically

SWEEP_VARIABLE = "TSDISTILL_SWEEP"
"""Names the sweep's folder: set once by the command line, so that jobs in other processes share it."""
JOBS_VARIABLE = "TSDISTILL_SWEEP_JOBS"
"""How many jobs the sweep has, for whoever watches."""

failed_jobs = 0
"""How many jobs of this process's sweep failed; the command's exit status tells it."""


def in_sweep() -> bool:
    """Whether this job is one of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def name_sweep() -> None:
    """Give this command's sweep, if it becomes one, a folder of its own, and forget the one before."""
    global failed_jobs
    failed_jobs = 0
    os.environ.pop(JOBS_VARIABLE, None)
    os.environ[SWEEP_VARIABLE] = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def place_in_sweep() -> str:
    """Which job of how many this is, such as ``[3/75]``."""
    number = int(HydraConfig.get().job.num) + 1
    return f"[{number}/{os.environ[JOBS_VARIABLE]}]" if JOBS_VARIABLE in os.environ else f"[{number}]"


def count_jobs(config: DictConfig) -> int:
    """Number of jobs that the overrides of a sweep multiply out to."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())  # which knows what a glob matches
    overrides = {o.key_or_group: o for o in parser.parse_overrides(params)}
    overrides |= {o.key_or_group: o for o in parser.parse_overrides(list(config.hydra.overrides.task))}
    sizes = [len(list(o.sweep_string_iterator())) for o in overrides.values() if o.is_sweep_override()]
    return math.prod(sizes)


def note_job(error: str | None) -> None:
    """Write down how this job of the sweep ended."""
    hydra = HydraConfig.get()
    status = {"job": hydra.job.num, "overrides": list(hydra.overrides.task), "error": error}
    write_atomically(Path(hydra.sweep.dir) / "status" / f"{hydra.job.num}.json", json.dumps(status))


def as_job(
    task: Callable[[], object], *, debug: bool, on_failure: Callable[[str], None] = lambda told: None
) -> None:
    """Run a task; inside a sweep a failure is noted, printed, and does not end the other jobs."""
    if not in_sweep():
        task()
        return
    with heeded_by_worker(), prefixed(f"{place_in_sweep()} "):
        told = None
        try:
            task()
        except Exception as error:
            if debug:
                raise
            told = one_line(error)
            say(f"failed: {told}")
            try:
                on_failure(told)
            except Exception as problem:  # the other jobs go on all the same
                say(f"the failure could not be recorded: {one_line(problem)}")
        try:
            note_job(told)
        except TsdistillError as problem:  # the summary counts a job without a note
            say(str(problem))


class SweepSummary(Callback):
    """Tells, at the end of a sweep, how many jobs there were and which of them failed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Count the jobs, so that each can say how far the sweep is."""
        os.environ[JOBS_VARIABLE] = str(count_jobs(config))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read the jobs' notes; Hydra calls this in the process of the command."""
        global failed_jobs
        folder = Path(config.hydra.sweep.dir) / "status"
        jobs = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
        failed = sorted((job for job in jobs if job["error"]), key=lambda job: int(job["job"]))
        lost = max(0, int(os.environ.get(JOBS_VARIABLE, 0)) - len(jobs))
        failed_jobs = len(failed) + lost
        say(f"{len(jobs) + lost} runs, {len(failed)} failed" + (f", {lost} without a note" if lost else ""))
        for job in failed:
            say(f"  failed: {' '.join(job['overrides'])}: {job['error']}")
