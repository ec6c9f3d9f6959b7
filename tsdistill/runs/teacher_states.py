"""What has become of each teacher of a sweep of ``train-teacher``, from what is on disk alone."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from tsdistill.config.compose import Composer
from tsdistill.config.members import expand_members
from tsdistill.config.resolve import UNRECORDED, check_composed
from tsdistill.config.schema import TeacherTaskConf
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.session import Job, prepare
from tsdistill.runs.state import What
from tsdistill.runs.states import best_stored, for_asking, metrics_of, pool_of
from tsdistill.runs.teaching import facts_of, seeds_of
from tsdistill.store.keys import key_of
from tsdistill.store.locks import Holder, holder
from tsdistill.store.manifest import MANIFEST
from tsdistill.store.teachers import map_folder, pool_folder, teacher_folder

COMMAND = "train-teacher"


@dataclass(frozen=True)
class TeacherState:
    """What has become of a teacher, its pool and its maps together.

    Attributes:
        dataset, teacher: which it is.
        what: done, running, failed, missing, or unknown where no lock can be tried.
        making: what of it is being made: one of its seeds, its pool, its maps.
        why: why it failed, or why it can't be made.
        holder: who is at it.
    """

    dataset: str
    teacher: str
    what: What
    making: str = ""
    why: str | None = None
    holder: Holder | None = None

    @property
    def name(self) -> str:
        """What stands beside the data set in a table."""
        return self.teacher

    @property
    def title(self) -> str:
        """The teacher in a few words."""
        return f"{self.dataset} teacher {self.teacher}{self.making and f' {self.making}'}"


class TeacherStates:
    """Finds out what has become of the teachers of a sweep."""

    def __init__(self, composer: Composer, out: Path) -> None:
        self._composer = composer
        self._metrics = cache(metrics_of)
        self._failures = last_failures(out)

    def of(self, jobs: Iterable[Sequence[str]]) -> Iterator[TeacherState]:
        """The state of each job.

        Args:
            jobs: the overrides of each.
        """
        for words in jobs:
            yield self._state(words)

    def _state(self, words: Sequence[str]) -> TeacherState:
        composed = for_asking(self._composer.compose(words))
        state = TeacherState(composed.dataset.get("name") or "unnamed", composed.teacher.name, "missing")
        try:
            job = prepare(_conf_of(composed), asking=True)
            state = replace(state, dataset=job.dataset.name)
            for making, folder in self._made(job):
                if not (folder / MANIFEST).is_file():
                    return self._unmade(replace(state, making=making), folder, words)
        except (TsdistillError, OSError) as error:  # which would end the run
            return self._failed(replace(state, why=one_line(error)), words)
        return replace(state, what="done")

    def _made(self, job: Job) -> Iterator[tuple[str, Path]]:
        """What a job makes, in the order in which it does, and where that lies; what is under way first."""
        out, dataset = job.out, job.dataset.name
        keys = {f"seed {seed}": key_of("teacher", facts_of(job, seed)) for seed in seeds_of(job)}
        folders = {making: teacher_folder(out, dataset, key) for making, key in keys.items()}
        missing = {m: folder for m, folder in folders.items() if not (folder / MANIFEST).is_file()}
        yield from sorted(missing.items(), key=lambda item: not _is_held(item[1]))
        teacher = best_stored(job, self._metrics)
        if teacher is None:  # one was removed meanwhile
            yield from folders.items()
            return
        pool = pool_of(job, teacher, self._metrics)
        yield "pool", pool_folder(out, dataset, pool)
        yield "maps", map_folder(out, dataset, key_of("map", {"teacher": teacher, "pool": pool}))

    def _unmade(self, state: TeacherState, folder: Path, words: Sequence[str]) -> TeacherState:
        try:
            found = holder(folder)
        except NotImplementedError:
            return replace(state, what="unknown")
        if found is not None:
            return replace(state, what="running", holder=found)
        return self._failed(replace(state, making=""), words)

    def _failed(self, state: TeacherState, words: Sequence[str]) -> TeacherState:
        """One that is neither done nor running: failed if its last try in a sweep did."""
        why = self._failures.get(_bearing(words))
        return state if why is None else replace(state, what="failed", why=why)


def _conf_of(composed: DictConfig) -> TeacherTaskConf:
    expand_members(composed)
    check_composed(composed)
    return OmegaConf.to_object(composed)  # type: ignore[return-value]


def _is_held(folder: Path) -> bool:
    with suppress(NotImplementedError):
        return holder(folder) is not None
    return False


def last_failures(out: Path) -> Mapping[frozenset[str], str]:
    """Why teachers failed whose last try in a sweep did, by the overrides that bear on them."""
    found: dict[frozenset[str], str] = {}
    for sweep in sorted((out / "sweeps").glob("*")):
        for path in sweep.glob("status/*.json"):
            try:
                note = json.loads(path.read_bytes())
                if note.get("command") != COMMAND:
                    break  # of another command's sweep, all of them
                words, error = _bearing(note["overrides"]), note["error"]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            found.pop(words, None)
            if error:
                found[words] = str(error)
    return found


def _bearing(words: Iterable[str]) -> frozenset[str]:
    """The overrides that bear on a teacher."""
    return frozenset(word for word in words if word.partition("=")[0].split(".")[0] not in UNRECORDED)
