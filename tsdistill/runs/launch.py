"""Runs the jobs of a sweep side by side on this machine, shows how far they are, and repeats lost ones."""

import json
import signal
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from inspect import unwrap
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from tsdistill.config.compose import Composer, composer_of
from tsdistill.config.schema import Fail, HardwareConf
from tsdistill.console import Said, Shown, say, told_to
from tsdistill.errors import TsdistillError
from tsdistill.runs.display import Display
from tsdistill.runs.durations import kind_of, stored_durations
from tsdistill.runs.jobs import side_by_side, variables
from tsdistill.runs.order import Job, Order
from tsdistill.runs.sweep import check_retry, note_of, place_in_sweep
from tsdistill.runs.worker import Done, PutOff, Ready, Runner, Task, Worker
from tsdistill.store.locks import BusyError, impatient

TICK = 1.0
"""Seconds after which a silent sweep is looked at."""
GRACE = 60.0
"""Seconds that processes get to write down how far they are when the sweep is interrupted."""


def launch(
    context: HydraContext,
    task: Callable[[Any], Any],
    config: DictConfig,
    words: Sequence[Sequence[str]],
    first: int,
) -> None:
    """Run the jobs of a sweep.

    Args:
        context: Hydra's.
        task: what runs a composed config.
        config: the sweep's own config.
        words: the overrides of each job.
        first: number of the first job.

    Raises:
        TsdistillError: no process could be started, or a setting of the sweep can't be.
        Exception: with ``debug=true``, whatever a job raises.
    """
    check_retry(config)
    jobs = [Job(number, tuple(overrides)) for number, overrides in enumerate(words, first)]
    hardware: HardwareConf = OmegaConf.to_object(config.hardware)  # type: ignore[assignment]
    several = min(side_by_side(hardware, debug=config.debug), len(jobs))
    kinds = {job.number: kind_of(job.words, config) for job in jobs}
    durations = stored_durations(Path(config.out), {kind.dataset for kind in kinds.values()})
    display = Display(kinds, several, durations)
    sweep = _Sweep(config, display, frozenset.intersection(*(frozenset(job.words) for job in jobs)))
    composer = composer_of(context.config_loader, config)  # type: ignore[arg-type]
    with display.shown():
        if several == 1 and not config.retry:
            _in_this_process(sweep, Runner(context, task, config, composer), jobs)
        else:
            _Pool(sweep, (context, unwrap(task), config, composer), hardware, jobs).run()


class _Sweep:
    """A sweep's settings and notes."""

    def __init__(self, config: DictConfig, display: Display, shared: frozenset[str]) -> None:
        self.display, self._shared = display, shared
        self.retry: int = config.retry
        self._fast = config.fail is Fail.fast
        self._folder = Path(config.hydra.sweep.dir)

    def begin(self, job: Job) -> None:
        own = [word for word in job.words if word not in self._shared]  # in which it differs from others
        self.display.begin(job.number, " ".join([place_in_sweep(job.number), *own]))

    def ended(self, job: Job) -> bool:
        """Read how a job ended; returns whether the sweep goes on."""
        failed = self._failed(job)
        self.display.end(job.number, failed)
        return not (failed and self._fast)

    def _failed(self, job: Job) -> bool:
        try:
            return bool(json.loads(note_of(self._folder, job.number).read_text(encoding="utf-8"))["error"])
        except OSError:  # it could not be written
            return True


def _in_this_process(sweep: _Sweep, runner: Runner, jobs: Sequence[Job]) -> None:
    order, group = Order(jobs), None
    while (job := order.take(group, ())) is not None:
        group = job.group
        sweep.begin(job)

        def listener(told: Said | Shown, number: int = job.number) -> None:
            sweep.display.hear(number, told)

        try:
            with told_to(listener), nullcontext() if job.patient else impatient():
                runner.run(job)
        except BusyError as busy:
            sweep.display.put_off(job.number)
            order.put_off(job, whole=busy.kind != "runs")
            continue
        order.release(group)
        if not sweep.ended(job):
            return


class _Pool:
    """Processes that share the jobs of a sweep."""

    def __init__(
        self,
        sweep: _Sweep,
        parts: tuple[HydraContext, Callable[[Any], Any], DictConfig, Composer],
        hardware: HardwareConf,
        jobs: Sequence[Job],
    ) -> None:
        self._sweep, self._parts, self._hardware = sweep, parts, hardware
        self._order = Order(jobs)
        self._lost: list[Task] = []
        self._workers: list[Worker] = []
        self._count = sweep.display.side_by_side

    def run(self) -> None:
        """Run all jobs; processes end with the last."""
        try:
            self._start(*range(self._count))
            while self._order or self._lost or any(worker.task for worker in self._workers):
                self._hand_out()
                self._listen()
            for worker in self._workers:
                worker.end() if worker.ready else worker.stop()
            for worker in self._workers:
                worker.wait(GRACE)
        finally:
            self._end()

    def _start(self, *numbers: int) -> None:
        """Start processes: all of them begin with their imports before one is told what to do."""
        started = [Worker(number, variables(self._hardware, number)) for number in numbers]
        self._workers += started
        for worker in started:
            worker.tell(self._parts)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if not worker.idle:
                continue
            busy = {w.group for w in self._workers if w is not worker and w.task and w.group}
            if self._lost:
                worker.give(self._lost.pop())
            elif (job := self._order.take(worker.group, busy)) is not None:
                worker.give(Task(job))
                self._sweep.begin(job)

    def _listen(self) -> None:
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), TICK):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                self._hear(worker, worker.connection.recv())
            except (EOFError, ConnectionError):
                self._has_died(worker)
        self._sweep.display.tick()

    def _hear(self, worker: Worker, message: Said | Shown | Ready | Done | PutOff) -> None:
        if isinstance(message, Ready):
            worker.ready = True
            return
        if worker.task is None:  # it was stopped, and had said this before
            return
        job = worker.task.job
        if isinstance(message, Said | Shown):
            self._sweep.display.hear(job.number, message)
            return
        worker.task = None
        if isinstance(message, PutOff):
            self._sweep.display.put_off(job.number)
            self._order.put_off(job, whole=message.kind != "runs")
            return
        self._order.release(job.group)
        if not self._sweep.ended(job):
            self._stop()

    def _stop(self) -> None:
        """Drop what has not begun, and end what runs: the sweep has failed, and is to fail fast."""
        self._order.clear()
        self._lost.clear()
        for worker in self._workers:
            if worker.task is not None:
                self._sweep.display.put_off(worker.task.job.number)
                worker.task = None
                worker.stop()

    def _has_died(self, worker: Worker) -> None:
        """Begin the job of a process that has died again, or have it recorded as failed."""
        self._workers.remove(worker)
        why = _spell_exit(worker.wait(GRACE))
        if worker.task is None:
            if not worker.ready and not self._workers:
                raise TsdistillError(
                    f"the process of a sweep's jobs {why} before it could begin; "
                    "hardware.jobs=1 runs them without one"
                )
            return
        job = worker.task.job
        self._order.release(job.group)
        if worker.task.lost is None and job.tries < self._sweep.retry:
            self._sweep.display.put_off(job.number)
            again = replace(job, tries=job.tries + 1)
            tries = f"try {again.tries} of {self._sweep.retry} more"
            say(f"{place_in_sweep(job.number)} its process {why}; {tries}")
            self._order.put_back(again)
        elif worker.task.lost is None:
            self._lost.append(Task(job, lost=f"its process {why}; {_advice(self._sweep.retry)}"))
        elif not self._sweep.ended(job):
            self._stop()
        if self._order or self._lost:
            self._start(worker.number)

    def _end(self) -> None:
        """End the processes that are still there; on a second interrupt, at once."""
        try:
            for worker in self._workers:
                worker.stop()
            for worker in self._workers:
                worker.wait(GRACE)
        finally:
            for worker in self._workers:
                worker.kill()


def _spell_exit(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        name = signal.Signals(-status).name
        return (
            "was killed (SIGKILL), perhaps for want of memory"
            if name == "SIGKILL"
            else f"was ended by {name}"
        )
    return f"was ended by signal {-status}"


def _advice(retry: int) -> str:
    return f"tried {retry + 1} times" if retry else "retry=1 tries such a run once more"
