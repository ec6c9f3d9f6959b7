"""What has become of each run of a sweep, from what is on disk alone: nothing is trained or removed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from tsdistill.config.compose import Composer
from tsdistill.errors import TsdistillError, one_line
from tsdistill.runs.session import Job, prepare
from tsdistill.runs.spec import Facts, RunSpec, failure_id
from tsdistill.runs.state import State
from tsdistill.runs.teaching import facts_of, pool_key, rank, seeds_of
from tsdistill.saliency.pools import PoolPlan
from tsdistill.store.formats import read_json
from tsdistill.store.keys import key_of
from tsdistill.store.locks import holder
from tsdistill.store.lookup import entries_of
from tsdistill.store.manifest import MANIFEST
from tsdistill.store.records import failure_path, run_folder
from tsdistill.store.teachers import teacher_folder

LATE = ("seed", "dataset.name")
"""Settings in which runs of one template may differ: nothing else of a run's facts depends on them."""


class States:
    """Finds out what has become of the runs of a sweep.

    A run's key takes a composed config, a data set and a teacher. Jobs that differ in their seed or data set
    alone share a template, and each data set is read once, so that the rest is a few hashes a job.
    """

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._templates: dict[tuple[str, ...], _Template | TsdistillError] = {}
        self._jobs: dict[tuple[str, ...], Job | TsdistillError] = {}
        self._teachers: dict[tuple[str, ...], str | None] = {}
        self._pools: dict[tuple[str, str], str] = {}
        self._stored, self._locks, self._metrics = cache(_stored), cache(_locks), cache(metrics_of)

    def of(self, jobs: Iterable[Sequence[str]]) -> Iterator[State]:
        """The state of each job.

        Args:
            jobs: the overrides of each.
        """
        for words in jobs:
            yield self._state(words)

    def _state(self, words: Sequence[str]) -> State:
        template = self._template(words)
        said = {key: self._composer.value(word) for word in words if (key := word.partition("=")[0]) in LATE}
        if isinstance(template, TsdistillError):
            return State(
                said.get("dataset.name", "?"), "?", "?", said.get("seed", 0), 0, "failed", str(template)
            )
        seed = said.get("seed", template.spec.conf.seed)
        name = said.get("dataset.name", template.dataset)
        identity = {**template.spec.identity, "dataset": name or "unnamed", "seed": seed}
        fields = {key: identity[key] for key in ("dataset", "method", "student", "seed", "trial")}
        state = State(**fields, what="missing")
        try:
            job = self._job(template, name)
            state = replace(state, dataset=job.dataset.name)  # of a file without a name, the one that it gets
            found = self._stored_or_running(template, job, seed)
        except TsdistillError as error:  # which would end the run
            return self._unfinished(replace(state, why=str(error)), template, identity)
        return self._unfinished(state, template, identity) if found is None else replace(state, **found)

    def _stored_or_running(self, template: "_Template", job: Job, seed: int) -> dict[str, Any] | None:
        """What to say of a run that is done or under way; None of one that is neither."""
        teacher = self._teacher(template, job)
        if teacher is None:
            return None
        pool = self._pool(template, job, teacher) if template.is_pooled else None
        run_id = template.run_id(job, teacher, pool, seed)
        if run_id in self._stored(template.out, job.dataset.name):
            return {"what": "done"}
        return self._busy(template.out, job.dataset.name, template.spec.training_id(run_id))

    def _unfinished(self, state: State, template: "_Template", identity: Facts) -> State:
        """A run that is neither done nor running: failed if there is a note of it."""
        stored = self._stored(template.out, identity["dataset"])
        if not any(name.endswith(".failed.json") for name in stored):
            return state
        note = failure_path(template.out, identity["dataset"], failure_id(identity))
        if note.name not in stored:
            return state
        try:
            return replace(state, what="failed", why=str(read_json(note)["error"]))
        except (OSError, ValueError, KeyError):
            return replace(state, what="failed", why="its note can't be read")

    def _template(self, words: Sequence[str]) -> "_Template | TsdistillError":
        key = tuple(word for word in words if word.partition("=")[0] not in LATE)
        if key not in self._templates:
            try:
                made = _Template.of(self._composer.compose(words))
            except TsdistillError as error:
                self._templates[key] = error
            else:
                if made.is_bound:  # its settings depend on the seed or on the data set
                    return made
                self._templates[key] = made
        return self._templates[key]

    def _job(self, template: "_Template", dataset: str | None) -> Job:
        """The data of a template's run, read once for all runs that prepare them alike.

        Raises:
            TsdistillError: they can't be read.
        """
        key = (template.data, str(dataset))
        if key not in self._jobs:
            conf = template.spec.conf
            if dataset is not None:
                conf = replace(conf, dataset={**conf.dataset, "name": dataset})
            try:
                self._jobs[key] = prepare(conf, asking=True)
            except (TsdistillError, OSError) as error:
                self._jobs[key] = TsdistillError(one_line(error))
        found = self._jobs[key]
        if isinstance(found, TsdistillError):
            raise found
        return replace(found, conf=template.spec.conf)

    def _teacher(self, template: "_Template", job: Job) -> str | None:
        """Key of the best teacher; None if one is not stored."""
        key = (template.teacher, template.data, job.dataset.name)
        if key not in self._teachers:
            self._teachers[key] = best_stored(job, self._metrics)
        return self._teachers[key]

    def _pool(self, template: "_Template", job: Job, teacher: str) -> str:
        """Key of the pool that a run reads."""
        key = (teacher, template.saliency)
        if key not in self._pools:
            self._pools[key] = pool_of(job, teacher, self._metrics)
        return self._pools[key]

    def _busy(self, out: Path, dataset: str, training_id: str) -> dict[str, Any] | None:
        """What to say of a run that is under way; None if it is not."""
        if f"runs-{training_id}.lock" not in self._locks(out):
            return None
        try:
            found = holder(run_folder(out, dataset, training_id))
        except NotImplementedError:
            return {"what": "unknown"}
        return None if found is None else {"what": "running", "holder": found}


@dataclass(frozen=True)
class _Template:
    """What runs share that differ in nothing but their seed and their data set.

    Attributes:
        spec: one of these runs.
        out: the output folder.
        dataset: the name of its data set, if it has one.
        data: all settings of its data, but for the name, as text.
        teacher: all settings of its teacher, as text.
        saliency: all settings of its perturbations, as text.
        is_bound: whether other settings refer to the seed or the data set.
        facts: all that determines its student, but for data, teacher, pool and seed.
    """

    spec: RunSpec
    out: Path
    dataset: str | None
    data: str
    teacher: str
    saliency: str
    is_bound: bool
    facts: Facts

    @classmethod
    def of(cls, composed: DictConfig) -> "_Template":
        composed = for_asking(composed)
        bound = any(f"${{{name}}}" in OmegaConf.to_yaml(composed, resolve=False) for name in LATE)
        spec = RunSpec.of(composed)
        name = spec.conf.dataset.get("name")
        unnamed = {**spec.conf.dataset, "name": None}
        data = repr((unnamed, spec.conf.data_root, spec.conf.split))
        teacher = repr((spec.conf.teacher, spec.conf.hardware.precision))
        facts = spec.facts("", "", None)
        return cls(spec, Path(spec.conf.out), name, data, teacher, repr(spec.conf.saliency), bound, facts)

    @property
    def is_pooled(self) -> bool:
        """Whether a run reads a pool."""
        return "windows" in self.spec.needs and self.spec.conf.saliency.mode.value == "cached"

    def run_id(self, job: Job, teacher: str, pool: str | None, seed: int) -> str:
        """Key of a run's record."""
        facts = {
            **self.facts,
            "data": job.dataset.fingerprint,
            "teacher": teacher if self.spec.taught else None,
            "pool": pool,
            "seed": seed,
        }
        return self.spec.run_id(facts, teacher)


def for_asking(composed: DictConfig) -> DictConfig:
    """A job's config for one who only asks: nothing is downloaded, and no GPU is wanted."""
    with open_dict(composed):
        del composed["hydra"]
    composed.hardware.device = "cpu"  # on which nothing is trained here; no key depends on it
    if "download" in composed.dataset:
        composed.dataset.download = False
    return composed


Metrics = Callable[[Path], Mapping[str, Any]]


def metrics_of(folder: Path) -> Mapping[str, Any]:
    """What a stored teacher reached."""
    return read_json(folder / "metrics.json")


def best_stored(job: Job, metrics: Metrics) -> str | None:
    """Key of a job's teacher; None if those of all its seeds are not stored."""
    keys = [key_of("teacher", facts_of(job, seed)) for seed in seeds_of(job)]
    folders = [teacher_folder(job.out, job.dataset.name, key) for key in keys]
    if not all((folder / MANIFEST).is_file() for folder in folders):
        return None
    if len(keys) == 1:
        return keys[0]
    ranks = [rank(metrics(folder)["validation"]) for folder in folders]
    return keys[ranks.index(max(ranks))]


def pool_of(job: Job, teacher: str, metrics: Metrics) -> str:
    """Key of the pool of a stored teacher.

    Args:
        job: the job.
        teacher: the teacher's key.
        metrics: ``metrics_of``, or what remembers it.
    """
    training = metrics(teacher_folder(job.out, job.dataset.name, teacher))["training"]
    most = training.get("pool_limit")
    plan = PoolPlan.of(job.conf.saliency, job.parts["train"], job.dataset.channels, most)
    return pool_key(teacher, plan)


def _stored(out: Path, dataset: str) -> frozenset[str]:
    """Names of what lies in the runs of a data set: whole records, and notes of failed runs."""
    folder = run_folder(out, dataset, "any").parent
    names, packed = entries_of(folder)
    whole = {name for name in names if "." not in name and (folder / name / MANIFEST).is_file()}
    notes = {name for name in names if name.endswith(".failed.json")}
    return frozenset(whole | (packed.keys() - names) | notes)


def _locks(out: Path) -> frozenset[str]:
    """Names of the locks of runs, held or not."""
    return frozenset(path.name for path in (out / "locks").glob("runs-*.lock"))
