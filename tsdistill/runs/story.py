"""The story in order: load, split, teacher, cache, student, evaluate, record."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from tsdistill.config.resolve import apply_trial, check_keys, grid_keys, recorded_settings
from tsdistill.config.schema import DistillConf, TeacherTaskConf
from tsdistill.console import say
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.substitution import is_collapsed, substitution
from tsdistill.methods.build import build_stages
from tsdistill.methods.stage import Stage, StageTask, TeacherView
from tsdistill.models.build import count_parameters
from tsdistill.runs.session import Job, generator_of, model_facts, plain, predict, prepare, training_facts
from tsdistill.store.environment import environment
from tsdistill.store.keys import code_fingerprint, key_of
from tsdistill.store.locks import locked
from tsdistill.store.records import failure_path, read_run, run_folder, write_failure, write_run
from tsdistill.store.teachers import TeacherArtefact, teacher_folder
from tsdistill.teachers.teaching import (
    PoolPlan,
    best_teacher,
    build_maps,
    build_pool,
    frozen_model,
    window_source,
)
from tsdistill.training.loop import FitResult, check_settings


def train_teacher(composed: DictConfig) -> None:
    """``tsdistill train-teacher``: a teacher, its logits, its pool and its saliency maps."""
    check_keys(composed)
    conf: TeacherTaskConf = OmegaConf.to_object(composed)  # type: ignore[assignment]
    job = prepare(conf)
    teacher = best_teacher(job)
    pool = build_pool(job, teacher)
    build_maps(job, teacher, pool)
    folder = teacher_folder(job.out, job.dataset.name, teacher.key)
    test = teacher.metrics["test"]
    say(
        f"{job.dataset.name} teacher {conf.teacher.name}: test AP {test['average_precision']:.3f}, "
        f"accuracy {test['accuracy']:.3f}; logits, pool of {pool.starts.shape[1]} windows a series and maps "
        f"are cached with {folder}"
    )


def distill(composed: DictConfig) -> dict[str, Any]:
    """``tsdistill distill``: one student under one method, from its record or trained.

    Returns:
        The run's result, as its record holds it.
    """
    composed = composed.copy()
    apply_trial(composed)
    run = _Run.of(composed)
    job, name = run.job, run.job.dataset.name
    result, fresh = (
        _stored(run),
        False,
    )  # before any lock: finished runs are read where nothing can be written
    if result is None:
        waiting = partial(say, f"{run.title}: waiting for another process that does this run")
        with locked(run_folder(job.out, name, run.id), waiting):
            result = _stored(run)
            if result is None:
                result, fresh = _train_student(run), True
    failed = failure_path(job.out, run.identity["dataset"], _failure_id(run.identity))
    if failed.exists():
        failed.unlink(missing_ok=True)
    say(f"{run.title}: {'' if fresh else 'already there, '}{_summary(result)}")
    return result


def _stored(run: "_Run") -> dict[str, Any] | None:
    found = None if run.conf.retrain else read_run(run.job.out, run.job.dataset.name, run.id)
    return None if found is None else found.result


def record_failure(composed: DictConfig, error: str) -> None:
    """Leave a note of a run that failed, so that tables count it; it goes when the run succeeds.

    Args:
        composed: the run's config.
        error: what went wrong, in one line.
    """
    composed = composed.copy()
    with suppress(TsdistillError):  # which may be what failed
        apply_trial(composed)
    identity = _identity(composed)
    failure = {"id": _failure_id(identity), **identity, "error": " ".join(error.split())}
    write_failure(Path(composed.out), failure["dataset"], failure["id"], failure)


def _failure_id(identity: Mapping[str, Any]) -> str:
    """Key of a failure: of the settings alone, since the data or the teacher may be what failed."""
    return key_of("failure", identity)


def _identity(composed: DictConfig) -> dict[str, Any]:
    """What a record says of who it is, whether the run succeeded or failed.

    A dataset that is named by its file alone has no name yet: the record's own then takes its place.
    """
    return {
        "dataset": composed.dataset.get("name") or "unnamed",
        "method": composed.method.name,
        "teacher": composed.teacher.name,
        "student": composed.student.name,
        "seed": composed.seed,
        "trial": composed.trial,
        "settings": recorded_settings(composed, () if _windowed(composed) else ("saliency",)),
        "grid_keys": grid_keys(composed.method),
    }


def _windowed(composed: DictConfig) -> bool:
    """Whether the saliency settings bear on a run; of a method that cannot be built, they may."""
    method = OmegaConf.to_container(composed.method, resolve=True)
    try:
        return any("windows" in stage.needs for stage in build_stages(method))  # type: ignore[arg-type]
    except TsdistillError:
        return True


@dataclass(frozen=True)
class _Run:
    """A student to be: its settings, its teacher, who its record says it is, and the record's key."""

    composed: DictConfig
    conf: DistillConf
    job: Job
    stages: list[Stage]
    teacher: TeacherArtefact
    identity: Mapping[str, Any]
    id: str

    @classmethod
    def of(cls, composed: DictConfig) -> "_Run":
        check_keys(composed)
        conf: DistillConf = OmegaConf.to_object(composed)  # type: ignore[assignment]
        stages = build_stages(conf.method)
        for training in (conf.training, conf.teacher.training):
            check_settings(training)
        job = prepare(conf)
        if any("windows" in stage.needs for stage in stages):
            PoolPlan.of(conf.saliency, job.parts["train"], job.dataset.channels)
        job.build(conf.student.model, "student.model")  # refuse a wrong student before a teacher is trained
        teacher = best_teacher(job)
        key = key_of("run", _run_facts(conf, job, stages, teacher))
        return cls(composed, conf, job, stages, teacher, _identity(composed), key)

    @property
    def needs(self) -> frozenset[str]:
        """Everything that some stage needs of the teacher."""
        return frozenset[str]().union(*(stage.needs for stage in self.stages))

    @property
    def title(self) -> str:
        """The run in a few words."""
        conf = self.conf
        trial = f" trial {conf.trial}" if conf.trial else ""
        return f"{self.job.dataset.name} {conf.method['name']} {conf.student.name} seed {conf.seed}{trial}"


def _run_facts(conf: DistillConf, job: Job, stages: list[Stage], teacher: TeacherArtefact) -> dict[str, Any]:
    """All that determines a student's run; the saliency settings only where a term uses them."""
    windowed = any("windows" in stage.needs for stage in stages)
    return {
        "teacher": teacher.key,
        "data": job.dataset.fingerprint,
        "split": asdict(conf.split),
        "names": [conf.method["name"], conf.teacher.name, conf.student.name],
        "student": model_facts(conf.student.model),
        "stages": conf.method["stages"],
        "code": [code_fingerprint(target) for target in _terms(conf)],
        "training": training_facts(conf.training),
        "saliency": plain(conf.saliency) if windowed else None,
        "precision": conf.hardware.precision.value,
        "seed": conf.seed,
    }


def _terms(conf: DistillConf) -> list[str]:
    return [str(t["_target_"]) for stage in conf.method["stages"].values() for t in stage["terms"].values()]


def _own_code(conf: DistillConf) -> str | None:
    """Hash of the user's own code behind a student and how it is trained; None where there is none."""
    found = [code_fingerprint(target) for target in (str(conf.student.model["_target_"]), *_terms(conf))]
    found.append(training_facts(conf.training).get("scheduler_code"))
    return key_of("code", {"sources": found}) if any(found) else None


def _train_student(run: _Run) -> dict[str, Any]:
    """Train through the stages, evaluate once on the test part, and write the record."""
    conf, job = run.conf, run.job
    began = time.perf_counter()
    view = _teacher_view(run)
    ready = time.perf_counter()
    torch.manual_seed(conf.seed)
    student = job.build(conf.student.model, "student.model")
    fits = {stage.name: _fit_stage(run, stage, student, view) for stage in run.stages}
    trained = time.perf_counter()
    logits = {part: predict(student, tensors, job) for part, tensors in job.parts.items() if part != "train"}
    result = _result(run, student, logits, fits)
    write_run(
        job.out,
        job.dataset.name,
        run.id,
        result=result,
        config_yaml=OmegaConf.to_yaml(run.composed, resolve=True),
        curve=[{"stage": name, **row} for name, fit in fits.items() for row in fit.history],
        logits=_stored_logits(run, logits),
        weights={name: tensor.cpu() for name, tensor in student.state_dict().items()},
        timing={
            "prepare_seconds": ready - began,
            "train_seconds": trained - ready,
            "evaluate_seconds": time.perf_counter() - trained,
            "finished": time.time(),
        },
        environment=environment(str(job.device)),
        replace=conf.retrain,
    )
    return result


def _teacher_view(run: _Run) -> TeacherView:
    """As much of the teacher as the method's terms need."""
    job = run.job
    logits = {part: values.to(job.device) for part, values in run.teacher.logits.items()}
    model = frozen_model(job, run.teacher) if "features" in run.needs else None
    windows = None
    if "windows" in run.needs:
        windows = window_source(job, run.teacher, generator_of(run.conf.seed, "windows"))
    return TeacherView(logits, model, windows)


def _fit_stage(run: _Run, stage: Stage, student: nn.Module, view: TeacherView) -> FitResult:
    training = run.conf.training
    changes = {"monitor": stage.monitor, "epochs": stage.epochs}
    settings = OmegaConf.structured(training)
    settings = OmegaConf.merge(settings, {k: v for k, v in changes.items() if v is not None})
    chosen = OmegaConf.to_object(settings)
    task = StageTask(
        student,
        stage,
        view,
        run.job.parts,
        run.conf.saliency.batch_norm.value,
        run.job.score(chosen.monitor),  # type: ignore[union-attr]
    )
    title = run.title if len(run.stages) == 1 else f"{run.title}, stage {stage.name}"
    return run.job.fit(task, chosen, run.conf.seed, title)  # type: ignore[arg-type]


def _result(
    run: _Run, student: nn.Module, logits: Mapping[str, Tensor], fits: Mapping[str, FitResult]
) -> dict[str, Any]:
    """The record's ``result.json``."""
    job, teacher = run.job, run.teacher
    test = job.performance(logits["test"], "test")
    substituted = substitution(
        logits["test"].numpy(), teacher.logits["test"].numpy(), job.parts["test"].y.cpu().numpy()
    )
    validation = job.performance(logits["validation"], "validation") if job.validated else None
    parameters, teachers = count_parameters(student), int(teacher.metrics["parameters"])
    flags = {
        "no_validation": not job.validated,
        "collapsed": is_collapsed(logits["test"].numpy()),
    }
    last = list(fits.values())[-1]
    return {
        "id": run.id,
        **run.identity,
        "dataset": job.dataset.name,
        "code": _own_code(run.conf),
        "data": {
            "channels": job.dataset.channels,
            "length": job.dataset.length,
            "classes": len(job.dataset.classes),
            **{part: len(job.parts.get(part, ())) for part in ("train", "validation", "test")},
        },
        "validation": validation,
        "test": {**test, **substituted},
        "teacher_id": teacher.key,
        "teacher_test": teacher.metrics["test"],
        "teacher_validation": teacher.metrics["validation"],
        "cost": {
            "parameters": parameters,
            "teacher_parameters": teachers,
            "compression": teachers / parameters,
        },
        "training": {
            "epochs": sum(fit.epochs for fit in fits.values()),
            "best_epoch": last.best_epoch,
            "stages": {
                name: {"epochs": fit.epochs, "best_epoch": fit.best_epoch, "stopped": fit.stopped}
                for name, fit in fits.items()
            },
        },
        "flags": sorted(flag for flag, raised in flags.items() if raised),
    }


def _stored_logits(run: _Run, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    stored = dict(logits)
    for part in logits:
        stored[f"y_{part}"] = run.job.parts[part].y.cpu()
        stored[f"teacher_{part}"] = run.teacher.logits[part]
    return stored


def _summary(result: Mapping[str, Any]) -> str:
    """A run in one line for the terminal."""
    test, cost = result["test"], result["cost"]
    flags = f" [{', '.join(result['flags'])}]" if result["flags"] else ""
    return (
        f"test AP {test['average_precision']:.3f}, accuracy {test['accuracy']:.3f}, "
        f"agreement {test['agreement']:.3f}; {result['training']['epochs']} epochs; "
        f"{cost['parameters']:,} parameters, {cost['compression']:.1f} times fewer than the teacher{flags}"
    )
