"""Which job of a sweep runs next: such that processes side by side seldom want the same teacher at a time."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

SHARED = ("dataset", "data_root", "split", "teacher")
"""Settings of a teacher; jobs that agree in all of them are a group."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: its place in the sweep, from 0.
        words: its overrides.
        patient: whether it waits where another process does what it needs, rather than being put off.
        tries: how often its process has died.
    """

    number: int
    words: tuple[str, ...]
    patient: bool = False
    tries: int = 0

    @property
    def group(self) -> tuple[str, ...]:
        """The overrides that determine its data and its teacher."""
        return tuple(
            word for word in self.words if word.lstrip("+~").partition("=")[0].split(".")[0] in SHARED
        )


class Order:
    """The jobs that are still to be done.

    A process stays with its group, whose data and teacher it has in memory; else it takes a group that nobody
    is at, so that teachers of different groups are trained side by side; else it helps with the first one.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._groups: dict[tuple[str, ...], deque[Job]] = {}
        for job in jobs:
            self._groups.setdefault(job.group, deque()).append(job)
        self._held: dict[tuple[str, ...], None] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def jobs(self) -> list[Job]:
        """All that is left."""
        return [job for jobs in self._groups.values() for job in jobs]

    def take(self, last: tuple[str, ...] | None, busy: Collection[tuple[str, ...]]) -> Job | None:
        """Take the next job for a process; None if none is left.

        Args:
            last: the group that it has come from.
            busy: the groups that other processes are at.
        """
        free = [group for group in self._groups if group not in self._held]
        if not free:
            return self._pop(next(iter(self._held)), patient=True) if self._held else None
        if last in free:
            return self._pop(last)
        return self._pop(next((group for group in free if group not in busy), free[0]))

    def _pop(self, group: tuple[str, ...], patient: bool = False) -> Job:
        jobs = self._groups[group]
        job = jobs.popleft()
        if not jobs:
            del self._groups[group]
            self._held.pop(group, None)
        return replace(job, patient=True) if patient else job

    def put_off(self, job: Job, whole: bool) -> None:
        """Put a job off because another process is doing what it needs.

        Args:
            job: the job.
            whole: whether all jobs of its group need the same; else it is this very run, and it comes last.
        """
        jobs = self._groups.setdefault(job.group, deque())
        if whole:
            jobs.appendleft(job)
            self._held[job.group] = None
        else:
            jobs.append(replace(job, patient=True))

    def put_back(self, job: Job) -> None:
        """Do a job again, before the others of its group."""
        self._groups.setdefault(job.group, deque()).appendleft(job)

    def release(self, group: tuple[str, ...]) -> None:
        """Let a group's jobs be taken again: one of them has ended."""
        self._held.pop(group, None)

    def clear(self) -> None:
        """Drop all that is left."""
        self._groups.clear()
        self._held.clear()
