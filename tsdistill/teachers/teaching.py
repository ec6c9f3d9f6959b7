"""A teacher and what it leaves for its students: weights and logits, the pool of perturbed logits, maps."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tsdistill.config.schema import SaliencyConf
from tsdistill.console import say
from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.methods.ce import CrossEntropy
from tsdistill.methods.stage import Stage, StageTask, TeacherView
from tsdistill.models.build import count_parameters
from tsdistill.runs.session import Job, generator_of, model_facts, predict, training_facts
from tsdistill.saliency.draws import Draws, References, cut_windows, draw_pool, resolve_window
from tsdistill.saliency.measure import saliency_map, window_saliency
from tsdistill.saliency.source import CachedWindows, OnlineWindows, WindowSource, perturbed_logits
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
from tsdistill.training.loop import autocast

STEPS_AT_ONCE = 65_536
"""Timesteps of perturbed series in one forward pass of the teacher: bounds the memory of its activations."""


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


def teacher_facts(job: Job, seed: int) -> dict[str, Any]:
    """All that determines a teacher."""
    return {
        "data": job.dataset.fingerprint,
        "split": asdict(job.conf.split),
        "model": model_facts(job.conf.teacher.model),
        "training": training_facts(job.conf.teacher.training),
        "precision": job.conf.hardware.precision.value,
        "seed": seed,
    }


def _teacher(job: Job, seed: int) -> TeacherArtefact:
    """One teacher, from its artefact or trained; a second process that wants it waits."""
    name, key = job.dataset.name, key_of("teacher", teacher_facts(job, seed))
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
    torch.manual_seed(seed)
    model = job.build(conf.teacher.model, "teacher.model")
    stage = Stage("train", {"ce": CrossEntropy()}, {"ce": 1.0})
    task = StageTask(model, stage, TeacherView(), job.parts, score=job.score(conf.teacher.training.monitor))
    result = job.fit(task, conf.teacher.training, seed, title)
    logits = {part: predict(model, tensors, job) for part, tensors in job.parts.items()}
    measured = {part: job.performance(logits[part], part) for part in logits if part != "train"}
    artefact = TeacherArtefact(
        key=key,
        config={"name": conf.teacher.name, **teacher_facts(job, seed)},
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


def frozen_model(job: Job, teacher: TeacherArtefact) -> nn.Module:
    """The teacher's network with its weights, in eval mode, without gradients."""
    model = job.build(job.conf.teacher.model, "teacher.model")
    model.load_state_dict(dict(teacher.weights))
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class PoolPlan:
    """What a pool is made of, resolved against the data.

    Attributes:
        window: w in steps.
        limits: possible starts of each training series, (N,) int64, CPU.
        size: P.
        channels: number of channels to choose one from, or None to replace all.
        seed: of the draws.
    """

    window: int
    limits: Tensor
    size: int
    channels: int | None
    seed: int

    @classmethod
    def of(cls, conf: SaliencyConf, train: TensorPart, channels: int) -> "PoolPlan":
        """Resolve the ``saliency`` settings.

        Raises:
            TsdistillError: a window that does not fit, or sizes below 1.
        """
        lengths = (
            torch.full((len(train),), train.x.shape[2]) if train.lengths is None else train.lengths.cpu()
        )
        window = resolve_window(conf.window, int(lengths.min()))
        limits = lengths - window + 1
        size = int(limits.max()) if conf.pool_size is None else conf.pool_size
        for name, value in (("pool_size", size), ("perturbations", conf.perturbations)):
            if value < 1:
                raise TsdistillError(f"saliency.{name}={value} should be 1 or more")
        return cls(window, limits, size, channels if conf.per_channel else None, conf.pool_seed)


def build_pool(job: Job, teacher: TeacherArtefact) -> PoolArtefact:
    """The pool of perturbations with the teacher's logits on them, from its artefact or computed."""
    train = job.parts["train"]
    plan = PoolPlan.of(job.conf.saliency, train, job.dataset.channels)
    facts = {"teacher": teacher.key, "window": plan.window, "size": plan.size, "seed": plan.seed}
    key = key_of("pool", {**facts, "channels": plan.channels})
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


def pool_logits(
    model: nn.Module, train: TensorPart, draws: Draws, references: References, window: int
) -> Tensor:
    """A frozen model's logits on every perturbation of a pool, a few series at a time.

    Args:
        model: in eval mode.
        train: the series that are perturbed.
        draws: (N, P).
        references: the donors.
        window: w in steps.

    Returns:
        (N, P, K) float32, on the CPU.
    """
    device, (N, P) = train.x.device, draws.starts.shape
    columns = max(1, min(P, STEPS_AT_ONCE // train.x.shape[2]))
    rows = max(1, STEPS_AT_ONCE // (train.x.shape[2] * P))
    found: Tensor | None = None
    for first in range(0, N, rows):
        some = torch.arange(first, min(first + rows, N))
        batch = train.rows(some.to(device))
        for left in range(0, P, columns):
            span = torch.arange(left, min(left + columns, P)).expand(len(some), -1)
            taken = draws.take(some, span)
            chosen = None if taken.channels is None else taken.channels.to(device)
            taken = Draws(taken.starts.to(device), taken.references.to(device), chosen)
            windows = cut_windows(taken, references, window)
            answers = perturbed_logits(model, batch.x, windows, batch.lengths).cpu()
            if found is None:
                found = torch.empty(N, P, answers.shape[-1])
            found[first : first + len(some), left : left + span.shape[1]] = answers
    assert found is not None
    return found


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
