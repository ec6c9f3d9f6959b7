"""A process that runs jobs of a sweep one after the other, so that imports are paid once a process.

Neither loky nor ``concurrent.futures`` serves here: where a process dies, both give up the whole pool and
don't say which job died, so nothing could be tried again.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig

    from tsdistill.config.compose import Composer
    from tsdistill.runs.order import Job


@dataclass(frozen=True)
class Ready:
    """A process has begun and waits for a job; the first pays for the imports."""


@dataclass(frozen=True)
class Done:
    """A job has ended, and its note says how."""


@dataclass(frozen=True)
class PutOff:
    """A job was put off because another process makes something of this kind that it needs."""

    kind: str


@dataclass(frozen=True)
class Task:
    """What a process is told to do: run a job, or record that it was lost for a reason."""

    job: "Job"
    lost: str | None = None


class Runner:
    """Runs jobs of a sweep in this process."""

    def __init__(
        self, context: "HydraContext", task: Callable[[Any], Any], config: "DictConfig", composer: "Composer"
    ) -> None:
        from hydra.core.utils import setup_globals

        setup_globals()
        self._context, self._task, self._config, self._composer = context, task, config, composer

    def run(self, job: "Job") -> None:
        """Run a job; how it went stands in its note.

        What Hydra's ``run_job`` does, without the copies of the config that it keeps for its caller.

        Raises:
            Exception: whatever ends the sweep: with ``debug=true`` that is any error.
        """
        from hydra.core.hydra_config import HydraConfig
        from hydra.core.utils import JobReturn, JobStatus, env_override
        from hydra.errors import HydraException
        from omegaconf import open_dict

        from tsdistill.config.mistakes import explain
        from tsdistill.runs.sweep import refused

        try:
            config = self._composer.compose(job.words)
        except HydraException as error:
            refused(self._config, job.number, job.words, explain(error))
            return
        with open_dict(config.hydra):
            config.hydra.job.id = config.hydra.job.num = job.number
        variables = dict(config.hydra.job.env_set)
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        try:
            self._context.callbacks.on_job_start(config=config, task_function=self._task)
            with open_dict(config):
                del config["hydra"]
            with env_override(variables):
                self._task(config)
            result = JobReturn(status=JobStatus.COMPLETED, overrides=list(job.words))
            self._context.callbacks.on_job_end(config=config, job_return=result)
        finally:
            HydraConfig.instance().cfg = before


def serve(connection: Connection) -> None:
    """Run the jobs that come through a connection, until it is closed or None comes."""
    from tsdistill.config.code import watch_imports
    from tsdistill.runs.signals import end_by_itself

    watch_imports()  # before whatever computes a number is imported
    end_by_itself()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        runner = _receive(connection)
        connection.send(Ready())
        while (task := connection.recv()) is not None:
            _run(runner, task, connection)
    except (EOFError, BrokenPipeError):
        return


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _receive(connection: Connection) -> Runner:
    from hydra.core.singleton import Singleton

    instances, *rest = pickle.loads(connection.recv_bytes())  # noqa: S301, from the process that started this one
    Singleton.set_state({**Singleton.get_state(), "instances": instances})
    return Runner(*rest)


def _run(runner: Runner, task: Task, connection: Connection) -> None:
    from tsdistill.console import told_to
    from tsdistill.runs.sweep import lost
    from tsdistill.store.locks import BusyError, impatient

    try:
        with (
            told_to(connection.send),
            nullcontext() if task.job.patient else impatient(),
            nullcontext() if task.lost is None else lost(task.lost),
        ):
            runner.run(task.job)
    except BusyError as busy:
        connection.send(PutOff(busy.kind))
        return
    connection.send(Done())


class Worker:
    """A process that runs jobs, as seen by the one that started it.

    Attributes:
        connection: through which its messages come; it is at its end once the process has ended.
        task: what it is doing; None while it does nothing.
        group: the group of the last job that it had.
    """

    def __init__(self, number: int, variables: dict[str, str]) -> None:
        """Start a process.

        Args:
            number: which of the sweep's processes it is.
            variables: its environment variables.
        """
        from hydra.core.utils import env_override

        context = get_context("spawn")  # a fork would inherit threads and what torch has set up
        self.connection, theirs = context.Pipe()
        self.number = number
        self.task: Task | None = None
        self.ready = False
        self.group: tuple[str, ...] | None = None
        self._process = context.Process(target=serve, args=(theirs,), name=f"tsdistill-{number}")
        with env_override(variables):
            self._process.start()
        theirs.close()

    def tell(self, sweep: Sequence[Any]) -> None:
        """Hand it what ``Runner`` takes; it sends ``Ready`` some seconds later."""
        from hydra.core.singleton import Singleton

        # Hydra's registry of configs among others; resolvers can't be pickled, and Runner registers Hydra's.
        message = pickle.dumps((Singleton.get_state()["instances"], *sweep))
        with suppress(OSError):  # it has ended, as the end of its connection will tell
            self.connection.send_bytes(message)

    def give(self, task: Task) -> None:
        """Hand it something to do."""
        self.task, self.group = task, task.job.group
        with suppress(OSError):  # it has ended, as the end of its connection will tell
            self.connection.send(task)

    @property
    def idle(self) -> bool:
        """Whether it could be handed something."""
        return self.ready and self.task is None

    def end(self) -> None:
        """Let it end as soon as it has nothing to do."""
        try:
            self.connection.send(None)
        except OSError:  # it has ended
            return

    def stop(self) -> None:
        """Ask it to end now."""
        self._process.terminate()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until it has ended; returns its exit status, or None if it goes on."""
        self._process.join(seconds)
        return self._process.exitcode
