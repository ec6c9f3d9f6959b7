"""A teacher and what it leaves for its students: its state and logits, and the pool of perturbed logits."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from tsdistill.config.targets import check_target, locate, takes
from tsdistill.console import say
from tsdistill.errors import TsdistillError
from tsdistill.runs.session import Job, predict
from tsdistill.runs.spec import TEACHER_SUPPLIED, pool_facts, teacher_facts
from tsdistill.saliency.draws import Draws, References, draw_pool
from tsdistill.saliency.pools import PoolPlan, computed_steps, pool_logits
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
from tsdistill.teachers.base import FitTask, Teacher
from tsdistill.training.loop import FitResult, autocast
from tsdistill.training.seeds import attempt_seeds, generator_of
from tsdistill.training.supervised import Supervised


def best_teacher(job: Job) -> TeacherArtefact:
    """Train the teachers of all ``teacher.seeds`` that are not there yet; the best by validation.

    Best is the highest macro average precision on the validation part, then the lowest negative
    log-likelihood, then the earlier seed. Without a validation part the first seed is taken.
    """
    seeds = job.conf.teacher.seeds
    if not seeds:
        raise TsdistillError("teacher.seeds is empty; give at least one seed, such as teacher.seeds=[0]")
    if not job.validated:
        seeds = seeds[:1]
    teachers = [_teacher(job, seed) for seed in seeds]
    if len(teachers) == 1:
        return teachers[0]
    return max(teachers, key=lambda t: _rank(t.metrics["validation"]))


def _rank(validation: Mapping[str, float]) -> tuple[float, float]:
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
    return made_once(
        folder,
        read=partial(read_teacher, job.out, name, key),
        make=partial(_train_teacher, job, seed, key),
        waiting=lambda: say(f"{name}: waiting for another process that trains this teacher"),
    )


def _train_teacher(job: Job, seed: int, key: str) -> TeacherArtefact:
    title = f"{job.dataset.name} teacher {job.conf.teacher.name} seed {seed}"
    began = time.perf_counter()
    teacher = built_teacher(job)
    training = teacher.fit(_fit_task(job, seed, title))
    model = teacher.as_module()
    logits = {part: predict(model, tensors, job) for part, tensors in job.parts.items()}
    _check_answers(logits, job, title)
    measured = {part: job.performance(logits[part], part) for part in logits if part != "train"}
    artefact = TeacherArtefact(
        key=key,
        config={"name": job.conf.teacher.name, **facts_of(job, seed)},
        weights=teacher.state(),
        logits=logits,
        metrics={
            "validation": None,
            **measured,
            "training": dict(training),
            "parameters": teacher.parameters(),
        },
        environment=environment(str(job.device)),
    )
    write_teacher(job.out, job.dataset.name, artefact)
    epochs = f"{training['epochs']} epochs in " if "epochs" in training else ""
    size = "" if teacher.parameters() is None else f", {teacher.parameters():,} parameters"
    say(
        f"{title}: trained {epochs}{time.perf_counter() - began:.1f} s{size}, "
        f"test AP {measured['test']['average_precision']:.3f}"
    )
    return artefact


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


def built_teacher(job: Job) -> Teacher:
    """The teacher that the settings describe, before it has learnt or been restored.

    Raises:
        TsdistillError: wrong settings, or a class that is no ``Teacher``.
    """
    conf = job.conf.teacher
    check_target(conf.kind, "teacher.kind", supplied=TEACHER_SUPPLIED)
    found = locate(conf.kind["_target_"], "teacher.kind")
    settings = {key: value for key, value in conf.kind.items() if key != "_target_"}
    if takes(found, "network"):
        if conf.model is None:
            raise TsdistillError("teacher.model is not set; choose a model by teacher=fcn, for instance")
        settings["network"] = partial(job.build, conf.model, "teacher.model")
    try:
        teacher = found(**settings)
    except Exception as error:  # whatever a user's constructor may raise
        raise TsdistillError(f"teacher.kind: {str(error) or type(error).__name__}") from error
    if not isinstance(teacher, Teacher):
        raise TsdistillError(
            f"teacher.kind._target_={conf.kind['_target_']} is no tsdistill.teachers.base.Teacher"
        )
    return teacher


def restored_teacher(job: Job, artefact: TeacherArtefact) -> Teacher:
    """A stored teacher that answers anew: from its state, or fitted again."""
    teacher = built_teacher(job)
    seed = int(artefact.config["seed"])
    title = f"{job.dataset.name} teacher {job.conf.teacher.name} seed {seed}"
    teacher.restore(artefact.weights, _fit_task(job, seed, title))
    if not artefact.weights:
        anew = predict(teacher.as_module(), job.parts["train"], job)
        if not torch.allclose(anew, artefact.logits["train"], rtol=1e-3, atol=1e-3):
            raise TsdistillError(f"{title}: fitted again, it answers differently; draw from its seed alone")
    return teacher


def _fit_task(job: Job, seed: int, title: str) -> FitTask:
    training = job.conf.teacher.training
    kind = job.conf.teacher.kind["_target_"]
    is_network = takes(locate(kind, "teacher.kind"), "network")

    def optimise(model: nn.Module, start: int, watched: bool) -> FitResult:
        if not is_network:  # then its key would not cover the settings
            raise TsdistillError(
                f"{kind}: only a teacher whose constructor takes 'network' may use task.optimise"
            )
        task = Supervised(model, job.parts, job.score(training.monitor))
        return job.fit(task, training, start, title, partial(job.learns, model) if watched else None)

    return FitTask(
        {name: part for name, part in job.parts.items() if name != "test"},
        len(job.dataset.classes),
        job.device,
        tuple(attempt_seeds(seed, training.restarts if is_network else 0)),
        optimise,
    )


def pool_key(teacher: str, plan: PoolPlan) -> str:
    """Name of a teacher's pool."""
    made_of = {"window": plan.window, "size": plan.size, "seed": plan.seed, "channels": plan.channels}
    return key_of("pool", pool_facts(teacher, made_of))


def build_pool(job: Job, teacher: TeacherArtefact) -> PoolArtefact:
    """The pool of perturbations with the teacher's logits on them, from its artefact or computed."""
    train = job.parts["train"]
    plan = PoolPlan.of(job.conf.saliency, train, job.dataset.channels)
    key = pool_key(teacher.key, plan)
    name = job.dataset.name
    return made_once(
        pool_folder(job.out, name, key),
        read=partial(read_pool, job.out, name, key),
        make=partial(_compute_pool, job, teacher, plan, key),
        waiting=lambda: say(f"{name}: waiting for another process that builds this pool"),
    )


def _compute_pool(job: Job, teacher: TeacherArtefact, plan: PoolPlan, key: str) -> PoolArtefact:
    train = job.parts["train"]
    references = References(train.x, train.y, train.lengths)
    generator = generator_of(plan.seed, "pool")
    draws = draw_pool(references, train.y, plan.limits, plan.size, generator, plan.channels)
    model = restored_teacher(job, teacher).as_module()
    with autocast(job.device, job.conf.hardware.precision):  # as the clean logits that they are held against
        logits = pool_logits(model, train, draws, references, plan.window)
        part = computed_steps(model, train, plan.window) < train.x.shape[2]
    pool = PoolArtefact(
        key,
        teacher.key,
        plan.window,
        draws.starts,
        draws.references,
        draws.channels,
        logits.cpu(),
        "touched" if part else "all",
    )
    write_pool(job.out, job.dataset.name, pool)
    return pool


def window_source(job: Job, teacher: TeacherArtefact, generator: torch.Generator) -> WindowSource:
    """Where a student's steps get their perturbations: the cached pool, or the teacher in the loop."""
    train, conf = job.parts["train"], job.conf.saliency
    references = References(train.x, train.y, train.lengths)
    if conf.mode.value == "online":
        plan = PoolPlan.of(conf, train, job.dataset.channels)
        return OnlineWindows(
            restored_teacher(job, teacher).as_module(),
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
