"""A sweep's jobs: a failed one is recorded, the others go on, and a summary is printed at the end."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from tsdistill.config.schema import Fail
from tsdistill.config.targets import shown
from tsdistill.config.unread import unread
from tsdistill.console import prefixed, say
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.share import share_of
from tsdistill.runs.signals import heeded_by_worker
from tsdistill.store.artefact import write_atomically
from tsdistill.store.locks import BusyError

SWEEP_VARIABLE = "TSDISTILL_SWEEP"
"""Names the sweep's folder: set once by the command line, so that jobs in other processes share it."""
JOBS_VARIABLE = "TSDISTILL_SWEEP_JOBS"
"""How many jobs the sweep has, for whoever watches."""

OWN_PLUGINS = "hydra_plugins.tsdistill_sweep."
"""Where the built-in launcher lives."""

_sweeps = count(1)

failed_jobs = 0
"""How many jobs of this process's sweep failed; the command's exit status tells it."""


def in_sweep() -> bool:
    """Whether this job is one of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def check_lone(config: DictConfig) -> None:
    """Check what only whoever begins a single run knows, and say which of its words have no effect.

    Raises:
        TsdistillError: a share was asked for, or see ``check_retry``.
    """
    if config.get("share") is not None:
        raise TsdistillError(f"share={config.share}: a single run has no shares; -m sweeps over several")
    check_retry(config)
    if "method" in config:
        for line in unread(HydraConfig.get().overrides.task, [config]):
            say(line)


def check_retry(config: DictConfig) -> None:
    """Refuse less than no repeats.

    Raises:
        TsdistillError: names the setting.
    """
    retry = config.get("retry") or 0  # which not every command has
    if retry < 0:
        raise TsdistillError(f"retry={retry} should be 0 or more")


def name_sweep() -> None:
    """Give this command's sweep, if it becomes one, a folder of its own, and forget the one before."""
    global failed_jobs
    failed_jobs = 0
    os.environ.pop(JOBS_VARIABLE, None)
    # A process may run several within a second.
    os.environ[SWEEP_VARIABLE] = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{next(_sweeps)}"


def place_in_sweep(job: int | None = None) -> str:
    """Which job of how many this is, or the one with a given number from 0, such as ``[3/75]``."""
    number = (int(HydraConfig.get().job.num) if job is None else job) + 1
    return f"[{number}/{os.environ[JOBS_VARIABLE]}]" if JOBS_VARIABLE in os.environ else f"[{number}]"


def swept_words(config: DictConfig) -> list[str]:
    """The overrides that ``hydra.sweeper.params`` holds, as a config of an experiment's may.

    Raises:
        TsdistillError: it is no node of settings.
    """
    params = config.hydra.sweeper.get("params") or {}
    if not isinstance(params, Mapping):
        raise TsdistillError(
            f"hydra.sweeper.params={shown(params)} should hold settings, such as {{seed: '1,2'}}"
        )
    return [f"{key}={value}" for key, value in params.items()]


def count_jobs(config: DictConfig) -> int:
    """Number of jobs that the overrides of a sweep multiply out to, or of this command's share of them."""
    params = swept_words(config)
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())  # which knows what a glob matches
    overrides = {o.key_or_group: o for o in parser.parse_overrides(params)}
    overrides |= {o.key_or_group: o for o in parser.parse_overrides(list(config.hydra.overrides.task))}
    sizes = [len(list(o.sweep_string_iterator())) for o in overrides.values() if o.is_sweep_override()]
    return len(share_of(range(math.prod(sizes)), config.get("share")))


def note_of(folder: Path, number: int) -> Path:
    """Where the note lies that says how a job of the sweep in ``folder`` ended."""
    return folder / "status" / f"{number}.json"


def note_job(error: str | None) -> None:
    """Write down how this job of the sweep ended."""
    hydra = HydraConfig.get()
    _write_note(hydra, hydra.job.num, list(hydra.overrides.task), error)


def _write_note(hydra: Any, number: int, words: Sequence[str], error: str | None) -> None:
    status = {"command": hydra.job.name, "job": number, "overrides": list(words), "error": error}
    write_atomically(note_of(Path(hydra.sweep.dir), number), json.dumps(status))


def refused(config: DictConfig, number: int, words: Sequence[str], error: str) -> None:
    """Note and say that a job's overrides don't make a config.

    Args:
        config: the sweep's own config.
        number: the job's, from 0.
        words: the job's overrides.
        error: what is wrong with them, in one line.
    """
    say(f"{place_in_sweep(number)} failed: {error}")
    _write_note(config.hydra, number, words, error)


_lost: str | None = None


@contextmanager
def lost(why: str) -> Iterator[None]:
    """Let the next job fail for the reason that ended its process; it is then recorded like any other."""
    global _lost
    _lost = why
    try:
        yield
    finally:
        _lost = None


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
            if _lost is not None:
                raise TsdistillError(_lost)
            task()
        except BusyError:  # put off, and begun again
            raise
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
        with suppress(TsdistillError):  # no such share, as the sweeper will say
            os.environ[JOBS_VARIABLE] = str(count_jobs(config))
        asked = {"fail=fast": config.get("fail") is Fail.fast, "retry": bool(config.get("retry"))}
        launcher = str(config.hydra.launcher.get("_target_"))
        if any(asked.values()) and not launcher.startswith(OWN_PLUGINS):
            words = " and ".join(word for word, given in asked.items() if given)
            say(f"{words}: for the built-in launcher only; {launcher.rpartition('.')[2]} goes on without")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read the jobs' notes; Hydra calls this in the process of the command."""
        global failed_jobs
        folder = Path(config.hydra.sweep.dir) / "status"
        jobs = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
        failed = sorted((job for job in jobs if job["error"]), key=lambda job: int(job["job"]))
        lost = max(0, int(os.environ.get(JOBS_VARIABLE, 0)) - len(jobs))
        failed_jobs = len(failed) + lost
        rest = "not run" if config.get("fail") is Fail.fast and failed else "without a note"
        runs = "1 run" if len(jobs) + lost == 1 else f"{len(jobs) + lost} runs"
        say(f"{runs}, {len(failed)} failed" + (f", {lost} {rest}" if lost else ""))
        for job in failed:
            say(f"  failed: {' '.join(job['overrides'])}: {job['error']}")
