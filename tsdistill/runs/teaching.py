"""A teacher and what it leaves for its students: its state and logits, and the pool of perturbed logits."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tsdistill.console import say, series_shown
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.runs.building import built_teacher, fit_task
from tsdistill.runs.checkpoints import drop_leftover
from tsdistill.runs.session import Job, predict
from tsdistill.runs.signals import deferred
from tsdistill.runs.spec import pool_facts, teacher_facts
from tsdistill.saliency.draws import Draws, References, draw_pool, noise_like
from tsdistill.saliency.pools import PoolPlan, computed_steps, pool_chunks, pool_limits
from tsdistill.saliency.source import CachedWindows, OnlineWindows, WindowSource
from tsdistill.store.environment import environment
from tsdistill.store.keys import key_of
from tsdistill.store.locks import made_once
from tsdistill.store.teachers import (
    PoolArtefact,
    TeacherArtefact,
    pool_folder,
    read_pool,
    read_teacher,
    teacher_folder,
    write_pool,
    write_teacher,
)
from tsdistill.teachers.base import Teacher
from tsdistill.training.loop import autocast
from tsdistill.training.seeds import generator_of


def best_teacher(job: Job) -> TeacherArtefact:
    """Train the teachers of all ``teacher.seeds`` that are not there yet; the best by validation.

    Best is the highest macro average precision on the validation part, then the lowest negative
    log-likelihood, then the earlier seed. Without a validation part the first seed is taken.
    """
    return best_of([_teacher(job, seed) for seed in seeds_of(job)])


def seeds_of(job: Job) -> list[int]:
    """The seeds of which a job trains teachers.

    Raises:
        TsdistillError: there are none.
    """
    seeds = job.conf.teacher.seeds
    if not seeds:
        raise TsdistillError("teacher.seeds is empty; give at least one seed, such as teacher.seeds=[0]")
    return seeds if job.validated else seeds[:1]


def best_of(teachers: Sequence[TeacherArtefact]) -> TeacherArtefact:
    """The best of a job's teachers, one or more."""
    if len(teachers) == 1:
        return teachers[0]
    return max(teachers, key=lambda t: rank(t.metrics["validation"]))


def rank(validation: Mapping[str, float]) -> tuple[float, float]:
    """What the best teacher has most of, from its metrics on the validation part."""
    precision = validation["average_precision"]
    return (precision if precision == precision else -1.0, -validation["nll"])


def facts_of(job: Job, seed: int) -> dict[str, Any]:
    """All that determines the teacher of one seed."""
    conf = job.conf
    precision = conf.hardware.precision.value
    return teacher_facts(conf.teacher, conf.split, job.dataset.fingerprint, precision, seed)


def _teacher(job: Job, seed: int) -> TeacherArtefact:
    """One teacher, from its artefact or trained; a second process that wants it waits."""
    name, key = job.dataset.name, key_of("teacher", facts_of(job, seed))
    folder = teacher_folder(job.out, name, key)
    teacher = made_once(
        folder,
        read=partial(read_teacher, job.out, name, key),
        make=partial(_train_teacher, job, seed, key),
        waiting=lambda: say(f"{name}: waiting for another process that trains this teacher"),
    )
    drop_leftover(folder)
    return teacher


def _train_teacher(job: Job, seed: int, key: str) -> TeacherArtefact:
    facts, folder = facts_of(job, seed), teacher_folder(job.out, job.dataset.name, key)
    with job.checkpointed(folder, facts, _title(job, seed)) as kept:
        return _train_kept_teacher(kept, seed, key, facts)


def _train_kept_teacher(job: Job, seed: int, key: str, facts: Mapping[str, Any]) -> TeacherArtefact:
    title = _title(job, seed)
    began = time.perf_counter() - job.seconds_before
    teacher = built_teacher(job)
    training = dict(teacher.fit(fit_task(job, job.conf.teacher, seed, title)))
    fitted = time.perf_counter()
    logits = _clean_logits(teacher, job, title)
    _check_answers(logits, job, title)
    if "teacher_features" not in teacher.provides:
        asked = sum(map(len, job.parts.values()))
        training["pool_limit"] = _pool_limit(job, fitted - began, (time.perf_counter() - fitted) / asked)
    measured = {part: job.performance(logits[part], part) for part in logits if part != "train"}
    artefact = TeacherArtefact(
        key=key,
        config={"name": job.conf.teacher.name, **facts},
        weights=teacher.state(),
        logits=logits,
        metrics={
            "validation": None,
            **measured,
            "training": training,
            "parameters": teacher.parameters(),
        },
        environment=environment(str(job.device)),
    )
    write_teacher(job.out, job.dataset.name, artefact)
    epochs = f"{training['epochs']} epochs in" if "epochs" in training else "in"
    size = "" if teacher.parameters() is None else f", {teacher.parameters():,} parameters"
    say(
        f"{title}: trained {epochs} {time.perf_counter() - began:.1f} s{size}, "
        f"test AP {measured['test']['average_precision']:.3f}, accuracy {measured['test']['accuracy']:.3f}"
    )
    _tell(teacher, title)
    _last_refitted.clear()
    if "teacher_features" not in teacher.provides:
        _last_refitted[key] = teacher
    return artefact


_last_refitted: dict[str, Teacher] = {}
"""The last teacher that would have to be fitted again, by its key: its pool comes right after it."""

POOL_FITS = 10.0
"""How many times as long as its fitting a teacher's pool may take by default."""
POOL_SECONDS = 60.0
"""What it may take in any case."""


def _title(job: Job, seed: int) -> str:
    return f"{job.dataset.name} teacher {job.conf.teacher.name} seed {seed}"


def _tell(teacher: Teacher, title: str) -> None:
    for note in teacher.notes():
        say(f"{title}: {note}")


def _clean_logits(teacher: Teacher, job: Job, title: str) -> dict[str, torch.Tensor]:
    """A teacher's logits on every part; those of the training part as its students see them."""
    found = {}
    with series_shown(f"{title} answers", sum(map(len, job.parts.values()))) as answered:
        for name, part in job.parts.items():
            if name != "train":
                found[name] = predict(teacher.as_module(), part, job)
                answered(len(part))
                continue
            for rows, module in teacher.training_modules(len(part)):
                some = predict(module, part.rows(rows.to(job.device)), job)
                found.setdefault(name, some.new_empty(len(part), *some.shape[1:]))[rows] = some
                answered(len(rows))
    return found


def _pool_limit(job: Job, fitting: float, answering: float) -> int:
    """The most windows a series asked by default, from the seconds that fitting and an answer take."""
    budget = max(POOL_FITS * fitting, POOL_SECONDS)
    return pool_limits(budget / (answering * len(job.parts["train"])))[-1]


def _check_answers(logits: Mapping[str, torch.Tensor], job: Job, title: str) -> None:
    """Refuse a teacher whose answers are no logits of these classes."""
    for part, values in logits.items():
        wanted = (len(job.parts[part]), len(job.dataset.classes))
        if tuple(values.shape) != wanted:
            raise TsdistillError(
                f"{title}: its logits of part {part} have shape {tuple(values.shape)}, not {wanted}"
            )
        if not torch.isfinite(values).all():
            raise TsdistillError(f"{title}: its logits of part {part} are not all finite")


def restored_teacher(job: Job, artefact: TeacherArtefact) -> Teacher:
    """A stored teacher that answers anew: from its state, or fitted again."""
    if artefact.key in _last_refitted:
        return _last_refitted[artefact.key]
    job = replace(job, checkpoints=None)  # which are of something else than this teacher
    teacher = built_teacher(job)
    seed = int(artefact.config["seed"])
    title = _title(job, seed)
    teacher.restore(artefact.weights, fit_task(job, job.conf.teacher, seed, title))
    if "teacher_features" in teacher.provides:
        return teacher
    some = slice(COMPARED)
    anew = predict(teacher.as_module(), job.parts["test"].rows(some), job)
    if not torch.allclose(anew, artefact.logits["test"][some], rtol=1e-3, atol=1e-3):
        raise TsdistillError(f"{title}: fitted again, it answers differently; draw from its seed alone")
    _last_refitted.clear()
    _last_refitted[artefact.key] = teacher
    return teacher


COMPARED = 32
"""Test series by whose answers a teacher that is fitted again is held against the stored one."""


def pool_key(teacher: str, plan: PoolPlan) -> str:
    """Name of a teacher's pool."""
    return key_of("pool", _plan_facts(teacher, plan))


def _plan_facts(teacher: str, plan: PoolPlan) -> dict[str, Any]:
    names = ("window", "size", "seed", "channels", "noise")
    return pool_facts(teacher, {name: getattr(plan, name) for name in names})


def pool_plan(job: Job, teacher: TeacherArtefact) -> PoolPlan:
    """What a teacher's pool is made of; a slow teacher's holds fewer windows unless told otherwise."""
    most = teacher.metrics["training"].get("pool_limit")
    return PoolPlan.of(job.conf.saliency, job.parts["train"], job.dataset.channels, most)


def build_pool(job: Job, teacher: TeacherArtefact) -> PoolArtefact:
    """The pool of perturbations with the teacher's logits on them, from its artefact or computed."""
    plan = pool_plan(job, teacher)
    key = pool_key(teacher.key, plan)
    name = job.dataset.name
    folder = pool_folder(job.out, name, key)
    pool = made_once(
        folder,
        read=partial(read_pool, job.out, name, key),
        make=partial(_compute_pool, job, teacher, plan, key),
        waiting=lambda: say(f"{name}: waiting for another process that builds this pool"),
    )
    drop_leftover(folder)
    return pool


def drawn_pool(job: Job, plan: PoolPlan) -> Draws:
    """The perturbations of a pool, on the CPU."""
    train = job.parts["train"]
    generator = generator_of(plan.seed, "pool")
    return draw_pool(_donors(train, plan), train.y, plan.limits, plan.size, generator, plan.channels)


def _compute_pool(job: Job, teacher: TeacherArtefact, plan: PoolPlan, key: str) -> PoolArtefact:
    title, draws = _title(job, int(teacher.config["seed"])), drawn_pool(job, plan)
    every = int(plan.limits.max())
    if job.conf.saliency.pool_size is None and plan.size < every:
        say(
            f"{title}: its pool holds {plan.size} of {every} windows a series, so as to take at most "
            f"ten times its fitting, or a minute; saliency.pool_size={every} asks for all"
        )
    answering, folder = restored_teacher(job, teacher), pool_folder(job.out, job.dataset.name, key)
    with deferred(), job.checkpointed(folder, _plan_facts(teacher.key, plan), title) as kept:
        logits, part = _answered_pool(kept, answering, draws, plan, title)
        _check_pool(logits, title)
        _tell(answering, title)
        pool = PoolArtefact(
            key,
            teacher.key,
            plan.window,
            draws.starts,
            draws.references,
            draws.channels,
            logits,
            "touched" if part else "all",
        )
        write_pool(job.out, job.dataset.name, pool)
    return pool


def _answered_pool(
    job: Job, answering: Teacher, draws: Draws, plan: PoolPlan, title: str
) -> tuple[torch.Tensor, bool]:
    """A teacher's logits on its pool, (N, P, K), and whether only a part of a series' steps was computed."""
    train, (N, P) = job.parts["train"], draws.starts.shape
    references, part = _donors(train, plan), False
    logits, done = torch.zeros(N, P, len(job.dataset.classes)), 0
    assert job.checkpoints is not None
    if (begun := job.checkpoints.take_current()) is not None:
        logits, done = begun["logits"], begun["answered"]
        say(f"{title}: its pool is resumed at series {done:,} of {N * P:,}")
    skip = done
    with (
        series_shown(f"{title} answers its pool", N * P) as answered,
        # as the clean logits that they are held against
        autocast(job.device, job.conf.hardware.precision),
    ):
        answered(done)
        for rows, module in answering.training_modules(N):
            some = train.rows(rows.to(job.device))
            part |= computed_steps(module, some, plan.window) < train.x.shape[2]
            chunks = pool_chunks(module, some, draws.of(rows), references, plan.window, skip)
            for at, columns, found in chunks:
                logits[rows[at][:, None], columns] = found
                answered(found[..., 0].numel())
                done += found[..., 0].numel()
                job.checkpoints.offer(partial(dict, logits=logits, answered=done))
            skip = max(0, skip - len(rows) * P)
    return logits, part


def _check_pool(logits: torch.Tensor, title: str) -> None:
    """Refuse answers that are not finite."""
    unsound = (~torch.isfinite(logits)).any(dim=2).nonzero()
    if len(unsound):
        row, window = unsound[0].tolist()
        raise TsdistillError(
            f"{title}: {len(unsound)} of its answers on the pool are not finite; the first is to window "
            f"{window} of training series {row}"
        )


def _donors(train: TensorPart, plan: PoolPlan) -> References:
    """What lends the windows: the training series, or noise that is drawn once like the pool."""
    series = References(train.x, train.y, train.lengths)
    return noise_like(series, generator_of(plan.seed, "noise")) if plan.noise else series


def window_source(job: Job, teacher: TeacherArtefact, generator: torch.Generator) -> WindowSource:
    """Where a student's steps get their perturbations: the cached pool, or the teacher in the loop."""
    train, conf = job.parts["train"], job.conf.saliency
    plan = PoolPlan.of(conf, train, job.dataset.channels)
    references = _donors(train, plan)
    if conf.mode.value == "online":
        answering = restored_teacher(job, teacher)
        if len(answering.training_modules(len(train))) > 1:
            raise TsdistillError(
                "saliency.mode=online asks one teacher, and this one is cross-fitted; "
                "use saliency.mode=cached or teacher.cross_fit=0"
            )
        return OnlineWindows(
            answering.as_module(),
            references,
            plan.limits,
            plan.window,
            conf.perturbations,
            plan.channels,
            generator,
        )
    pool = build_pool(job, teacher)
    channels = None if pool.channels is None else pool.channels.to(job.device)
    draws = Draws(pool.starts.to(job.device), pool.references.to(job.device), channels)
    return CachedWindows(
        draws,
        pool.logits.to(job.device),
        references,
        pool.window,
        conf.perturbations,
        conf.sampling.value,
        generator,
    )
