"""A teacher and what it leaves for its students: weights and logits, the pool of perturbed logits, maps."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from tsdistill.console import say
from tsdistill.errors import TsdistillError
from tsdistill.models.build import count_parameters
from tsdistill.runs.session import Job, predict
from tsdistill.runs.spec import pool_facts, teacher_facts
from tsdistill.saliency.draws import Draws, References, draw_pool
from tsdistill.saliency.measure import saliency_map, window_saliency
from tsdistill.saliency.pools import PoolPlan, pool_logits
from tsdistill.saliency.source import CachedWindows, OnlineWindows, WindowSource
from tsdistill.store.environment import environment
from tsdistill.store.keys import key_of
from tsdistill.store.locks import made_once
from tsdistill.store.teachers import (
    MapArtefact,
    PoolArtefact,
    TeacherArtefact,
    map_folder,
    pool_folder,
    read_map,
    read_pool,
    read_teacher,
    teacher_folder,
    write_map,
    write_pool,
    write_teacher,
)
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
    conf, title = job.conf, f"{job.dataset.name} teacher {job.conf.teacher.name} seed {seed}"
    began = time.perf_counter()
    model, result = _fitted(job, seed, title)
    logits = {part: predict(model, tensors, job) for part, tensors in job.parts.items()}
    measured = {part: job.performance(logits[part], part) for part in logits if part != "train"}
    artefact = TeacherArtefact(
        key=key,
        config={"name": conf.teacher.name, **facts_of(job, seed)},
        weights={k: v.cpu() for k, v in model.state_dict().items()},
        logits=logits,
        metrics={
            "validation": None,
            **measured,
            "training": {"epochs": result.epochs, "best_epoch": result.best_epoch, "stopped": result.stopped},
            "parameters": count_parameters(model),
        },
        environment=environment(str(job.device)),
    )
    write_teacher(job.out, job.dataset.name, artefact)
    say(
        f"{title}: trained {result.epochs} epochs in {time.perf_counter() - began:.1f} s, "
        f"{count_parameters(model):,} parameters, test AP {measured['test']['average_precision']:.3f}"
    )
    return artefact


def _fitted(job: Job, seed: int, title: str) -> tuple[nn.Module, FitResult]:
    """A network trained from the labels; one that stays on the plateau begins anew."""
    conf = job.conf.teacher
    seeds = attempt_seeds(seed, conf.training.restarts)
    for attempt, start in enumerate(seeds):
        torch.manual_seed(start)
        model = job.build(conf.model, "teacher.model")
        task = Supervised(model, job.parts, job.score(conf.training.monitor))
        last = attempt == len(seeds) - 1
        result = job.fit(task, conf.training, start, title, None if last else partial(job.learns, model))
        if result.stopped != "plateau":
            break
    return model, result


def frozen_model(job: Job, teacher: TeacherArtefact) -> nn.Module:
    """The teacher's network with its weights, in eval mode, without gradients."""
    model = job.build(job.conf.teacher.model, "teacher.model")
    model.load_state_dict(dict(teacher.weights))
    return model.eval().requires_grad_(False)


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
    model = frozen_model(job, teacher)
    with autocast(job.device, job.conf.hardware.precision):  # as the clean logits that they are held against
        logits = pool_logits(model, train, draws, references, plan.window)
    pool = PoolArtefact(
        key, teacher.key, plan.window, draws.starts, draws.references, draws.channels, logits.cpu()
    )
    write_pool(job.out, job.dataset.name, pool)
    return pool


def build_maps(job: Job, teacher: TeacherArtefact, pool: PoolArtefact) -> MapArtefact:
    """The teacher's saliency maps of the training series: summed divergence at tau 1, from the pool."""
    name, key = job.dataset.name, key_of("map", {"teacher": teacher.key, "pool": pool.key})

    def compute() -> MapArtefact:
        saliency = window_saliency(teacher.logits["train"], pool.logits, tau=1.0, form="summed")
        maps = saliency_map(pool.starts, saliency, pool.window, job.dataset.length)
        artefact = MapArtefact(key, teacher.key, {"train": maps})
        write_map(job.out, name, artefact)
        return artefact

    return made_once(map_folder(job.out, name, key), partial(read_map, job.out, name, key), compute)


def window_source(job: Job, teacher: TeacherArtefact, generator: torch.Generator) -> WindowSource:
    """Where a student's steps get their perturbations: the cached pool, or the teacher in the loop."""
    train, conf = job.parts["train"], job.conf.saliency
    references = References(train.x, train.y, train.lengths)
    if conf.mode.value == "online":
        plan = PoolPlan.of(conf, train, job.dataset.channels)
        return OnlineWindows(
            frozen_model(job, teacher),
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
