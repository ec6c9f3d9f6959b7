"""The story in order: load, split, teacher, cache, student, evaluate, record."""

import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from tsdistill.config.code import code_digest
from tsdistill.config.members import expand_members
from tsdistill.config.resolve import check_composed, settle_method
from tsdistill.config.schema import DistillConf, TeacherTaskConf
from tsdistill.console import say
from tsdistill.data.archive import check_name, find_here
from tsdistill.data.load import check_root
from tsdistill.data.names import known_names, modern_name
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.substitution import is_collapsed, substitution
from tsdistill.methods.build import build_stages
from tsdistill.methods.stage import Stage, StageTask
from tsdistill.methods.step import TeacherView
from tsdistill.models.build import count_parameters
from tsdistill.runs.building import built_teacher
from tsdistill.runs.checkpoints import drop_leftover
from tsdistill.runs.maps import training_maps
from tsdistill.runs.metrics import measured_anew, metric_code
from tsdistill.runs.session import Job, predict, prepare
from tsdistill.runs.spec import RunSpec, failure_id, identity_of
from tsdistill.runs.teaching import (
    best_of,
    best_teacher,
    build_pool,
    facts_of,
    pool_key,
    pool_plan,
    restored_teacher,
    seeds_of,
    window_source,
)
from tsdistill.runs.tracking import Tracking
from tsdistill.runs.why import explain_run
from tsdistill.runs.worth import weak_teacher_note
from tsdistill.saliency.pools import PoolPlan
from tsdistill.store.environment import environment
from tsdistill.store.keys import key_of
from tsdistill.store.locks import locked
from tsdistill.store.records import (
    RunRecord,
    failure_path,
    find_run,
    read_run,
    rewrite_run,
    run_folder,
    write_failure,
    write_run,
)
from tsdistill.store.teachers import TeacherArtefact, read_teacher, teacher_folder
from tsdistill.teachers.base import Teacher
from tsdistill.training.calibration import fit_and_fold
from tsdistill.training.loop import check_settings
from tsdistill.training.plateau import on_plateau, until_learnt
from tsdistill.training.seeds import attempt_seeds, generator_of
from tsdistill.training.state import FitResult


def train_teacher(composed: DictConfig) -> None:
    """``tsdistill train-teacher``: a teacher, its logits, its pool and its saliency maps."""
    composed = composed.copy()
    expand_members(composed)
    check_composed(composed)
    conf: TeacherTaskConf = OmegaConf.to_object(composed)  # type: ignore[assignment]
    check_settings(conf.teacher.training, "teacher.training")
    job = prepare(conf)
    PoolPlan.of(conf.saliency, job.parts["train"], job.dataset.channels)  # refuses windows that do not fit
    teacher = best_teacher(job)
    pool = build_pool(job, teacher)
    training_maps(job, teacher, pool)
    folder = teacher_folder(job.out, job.dataset.name, teacher.key)
    test = teacher.metrics["test"]
    say(
        f"{job.dataset.name} teacher {conf.teacher.name}: test AP {test['average_precision']:.3f}, "
        f"accuracy {test['accuracy']:.3f}; logits, pool of {pool.starts.shape[1]} windows a series and maps "
        f"are cached with {folder}"
    )


Judge = Callable[[int, int, Callable[[], float]], None]
"""Asked after each epoch of a run's last stage whether it is worth going on; raises ``GivenUpError`` if not.

It gets the epoch, the most that there are, and what measures the student's average precision on validation.
"""


def distill(
    composed: DictConfig,
    summary: Callable[[Mapping[str, Any]], str] | None = None,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """``tsdistill distill``: one student under one method, from its record or trained.

    Args:
        composed: the run's config.
        summary: what is said of a result, if not the usual.
        judge: may have the training given up.

    Returns:
        The run's result, as its record holds it; nothing under ``why=true``.
    """
    spec = RunSpec.of(composed)
    if spec.conf.why:
        return _explain(spec)
    run = _Run.of(spec, judge)
    job, name = run.job, run.job.dataset.name
    # Before any lock, so that finished runs can be read where nothing can be written.
    result, fresh = _stored(run), False
    folder = run_folder(job.out, name, run.training_id)
    if result is None:
        waiting = partial(say, f"{run.title}: waiting for another process that does this run")
        with locked(folder, waiting):
            result = _stored(run)
            if result is None:
                result, fresh = _make(run)
    run.tracking.finish(job.out, result)
    drop_leftover(folder)
    failed = failure_path(job.out, run.spec.identity["dataset"], run.spec.failure_id)
    if failed.exists():
        failed.unlink(missing_ok=True)
    say(f"{run.title}: {'' if fresh else 'already there, '}{(summary or _summary)(result)}")
    if fresh and spec.taught and (note := weak_teacher_note(job.out, result)):
        pair = f"{name} teacher {result['teacher']}, student {result['student']}"
        say(f"{pair}: {note}", once=f"weak {pair}")
    return result


def _explain(spec: RunSpec) -> dict[str, Any]:
    """Tell whether a run is stored and, if not, what is new about it; nothing is downloaded."""
    spec = replace(spec, conf=_without_download(spec.conf))
    job = _prepared(spec)
    keys = [key_of("teacher", facts_of(job, seed)) for seed in seeds_of(job)]
    teachers = {key: read_teacher(job.out, job.dataset.name, key) for key in keys}
    stored = [teacher for teacher in teachers.values() if teacher is not None]
    if missing := [key for key, teacher in teachers.items() if teacher is None]:
        say(f"{spec.title}: teacher {spec.conf.teacher.name} ({missing[0]}) is not stored")
    run = _Keyed.of(spec, job, keys[0]) if missing else _Keyed.under(spec, job, best_of(stored))
    for line in explain_run(job.out, job.dataset.name, run.id, run.facts):
        say(f"{spec.title}: {line}")
    return {}


def _without_download(conf: DistillConf) -> DistillConf:
    """A run's settings for one who only asks; no key depends on ``dataset.download``.

    Raises:
        TsdistillError: the dataset would have to be downloaded.
    """
    if "download" not in conf.dataset:
        return conf
    check_name(conf.dataset["name"])
    name, _ = modern_name(conf.dataset["name"])
    root = None if conf.data_root is None else Path(conf.data_root)
    check_root(root)
    if name in known_names() and find_here(name, root, Path(conf.out) / "data") is None:
        raise TsdistillError(
            f"{name} is not on this machine, and why=true downloads nothing; "
            f"`tsdistill datasets download={name} out={shlex.quote(conf.out)}` does"
        )
    return replace(conf, dataset={**conf.dataset, "download": False})


def record_failure(composed: DictConfig, error: str) -> None:
    """Leave a note of a run that failed, so that tables count it; it goes when the run succeeds.

    Args:
        composed: the run's config.
        error: what went wrong, in one line.
    """
    composed = composed.copy()
    with suppress(TsdistillError):  # which may be what failed
        settle_method(composed)
        expand_members(composed)
    identity = identity_of(composed)
    failure = {"id": failure_id(identity), **identity, "error": " ".join(error.split())}
    write_failure(Path(composed.out), failure["dataset"], failure["id"], failure)


@dataclass(frozen=True)
class _Keyed:
    """Facts and key of a run under a given teacher."""

    facts: Mapping[str, Any]
    id: str

    @classmethod
    def under(cls, spec: RunSpec, job: Job, teacher: TeacherArtefact) -> "_Keyed":
        """Under a teacher that is there."""
        return cls.of(spec, job, teacher.key, pool_plan(job, teacher) if "windows" in spec.needs else None)

    @classmethod
    def of(cls, spec: RunSpec, job: Job, teacher: str, plan: PoolPlan | None = None) -> "_Keyed":
        saliency, pool = spec.conf.saliency, None
        if "windows" in spec.needs and saliency.mode.value == "cached":
            plan = plan or PoolPlan.of(saliency, job.parts["train"], job.dataset.channels)
            pool = pool_key(teacher, plan)
        facts = spec.facts(job.dataset.fingerprint, teacher, pool)
        return cls(facts, spec.run_id(facts, teacher))


@dataclass(frozen=True)
class _Run:
    """A student to be: its specification, its job and teacher, and the facts and key of its record.

    ``tracking`` is told of it while it is trained, and ``judge`` may have it given up.
    """

    spec: RunSpec
    job: Job
    teacher: TeacherArtefact
    facts: Mapping[str, Any]
    id: str
    tracking: Tracking
    judge: Judge | None

    @classmethod
    def of(cls, spec: RunSpec, judge: Judge | None = None) -> "_Run":
        job = _prepared(spec)
        tracking = Tracking.of(spec.conf.tracking, job.out, _title(spec, job))
        teacher = best_teacher(job)
        keyed = _Keyed.under(spec, job, teacher)
        return cls(spec, job, teacher, keyed.facts, keyed.id, tracking, judge)

    @property
    def conf(self) -> DistillConf:
        return self.spec.conf

    @property
    def training_id(self) -> str:
        """Key of the training alone; runs that share it share a student."""
        return self.spec.training_id(self.id)

    @property
    def title(self) -> str:
        """The run in a few words."""
        return _title(self.spec, self.job)

    @property
    def named(self) -> dict[str, Any]:
        """Its id, names and settings, as its result has them."""
        return {"id": self.id, **self.spec.identity, "dataset": self.job.dataset.name}


def _title(spec: RunSpec, job: Job) -> str:
    """A run in a few words; the dataset by the name that it turned out to have."""
    return replace(spec, identity={**spec.identity, "dataset": job.dataset.name}).title


def _prepared(spec: RunSpec) -> Job:
    """What a run works in, once all is refused that can be before anything is trained."""
    conf = spec.conf
    check_settings(conf.training)
    check_settings(conf.teacher.training, "teacher.training")
    job = prepare(conf, asking=conf.why)
    if "windows" in spec.needs:  # windows that do not fit
        PoolPlan.of(conf.saliency, job.parts["train"], job.dataset.channels)
    student = job.build(conf.student.model, "student.model")
    _refuse_lacking_teacher(spec, built_teacher(job))
    _refuse_unfit_layers(spec, job, student)
    return job


def _refuse_lacking_teacher(spec: RunSpec, teacher: Teacher) -> None:
    """Refuse a method that asks for what the teacher does not provide, before anything is trained."""
    lacking = sorted(spec.needs - {"student_gradients"} - teacher.provides)
    if lacking:
        raise TsdistillError(
            f"method {spec.conf.method['name']} needs {', '.join(lacking)}, which teacher "
            f"{spec.conf.teacher.name} ({type(teacher).__name__}) does not provide; "
            "choose a method that needs its answers alone, such as kd, tsd or tsd_kd"
        )
    online = "windows" in spec.needs and spec.conf.saliency.mode.value == "online"
    if online and "teacher_answers" not in teacher.provides:
        raise TsdistillError(
            f"saliency.mode=online asks the teacher anew in each step, and teacher {spec.conf.teacher.name} "
            "answers no new series; use saliency.mode=cached"
        )


def _refuse_unfit_layers(spec: RunSpec, job: Job, student: nn.Module) -> None:
    """Let the terms ask for their layers on networks that have not learnt, before anything is trained."""
    asking = [stage for stage in spec.stages if "teacher_features" in stage.needs]
    node = spec.conf.teacher.model
    if not asking or node is None:  # a teacher of the user's own may make its network elsewhere
        return
    teacher = job.build(node, "teacher.model")
    for stage in asking:
        StageTask(student, stage, TeacherView(network=teacher), job.parts)


def _stored(run: _Run) -> dict[str, Any] | None:
    """The result of a record that is there; one measured by other metric code is measured anew."""
    found = None if run.conf.retrain else read_run(run.job.out, run.job.dataset.name, run.id)
    if found is None:
        return None
    if found.result.get("metric_code") == metric_code():
        return found.result
    say(f"{run.title}: the metrics' code has changed; its stored logits are measured anew")
    result = measured_anew(found)
    rewrite_run(run.job.out, replace(found, result=result))
    return result


def _make(run: _Run) -> tuple[dict[str, Any], bool]:
    """Train the student, or take it from a run that differs in nothing but the teacher it is held against."""
    if not run.spec.taught and not run.conf.retrain:
        twin = find_run(run.job.out, run.job.dataset.name, f"{run.training_id}-")
        if twin is not None:
            return _held_against(run, twin), False
    return _train_student(run), True


def _held_against(run: _Run, twin: RunRecord) -> dict[str, Any]:
    """Record a student that was trained before beside another teacher."""
    job = run.job
    student = job.build(run.conf.student.model, "student.model")
    logits = {part: twin.logits[part] for part in job.parts}
    result = _result(run, student, logits, twin.result["training"])
    _record(run, result, twin.curve, logits, twin.weights, twin.timing, twin.environment)
    return result


def _train_student(run: _Run) -> dict[str, Any]:
    """Train the student with checkpoints, which go once its record is there."""
    folder = run_folder(run.job.out, run.job.dataset.name, run.training_id)
    with run.job.checkpointed(folder, run.facts, run.title) as kept, run.tracking.going_on():
        return _train_kept_student(replace(run, job=kept))


def _train_kept_student(run: _Run) -> dict[str, Any]:
    """Train through the stages, evaluate once on the test part, and write the record."""
    job = run.job
    began = time.perf_counter()
    view = _teacher_view(run)
    ready = time.perf_counter()
    made, restarts = _fit_stages(run, view)
    fits, part = made.fits, job.parts["train"]
    student, calibration = fit_and_fold(
        made.student,
        run.conf.calibration,
        part.y,
        run.teacher.logits["train"],
        lambda model: predict(model, part, job),
    )
    trained = time.perf_counter()
    logits = {part: predict(student, tensors, job) for part, tensors in job.parts.items()}
    training = {**_how_training_went(fits), "restarts": restarts, "calibration": calibration}
    result = _result(run, student, logits, training)
    timing = {
        "prepare_seconds": ready - began,
        "train_seconds": job.seconds_before + trained - ready,
        "evaluate_seconds": time.perf_counter() - trained,
        "finished": time.time(),
    }
    curve = [{"stage": name, **row} for name, fit in fits.items() for row in fit.history]
    weights = {name: tensor.cpu() for name, tensor in student.state_dict().items()}
    terms = {
        f"{stage.name}.{name}.{key}": tensor.cpu()
        for stage in made.stages
        for name, term in stage.terms.items()
        for key, tensor in term.state_dict().items()
    }
    _record(run, result, curve, logits, weights, timing, environment(str(job.device)), terms)
    return result


def _record(
    run: _Run,
    result: Mapping[str, Any],
    curve: Iterable[Mapping[str, Any]],
    logits: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    timing: Mapping[str, Any],
    where: Mapping[str, Any],
    terms: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the run's record."""
    write_run(
        run.job.out,
        run.job.dataset.name,
        run.id,
        result=result,
        config_yaml=OmegaConf.to_yaml(run.spec.composed, resolve=True),
        curve=curve,
        logits=_stored_logits(run, logits),
        weights=weights,
        timing=timing,
        environment=where,
        facts=run.facts,
        terms=terms or {},
        replace=run.conf.retrain,
    )


def _teacher_view(run: _Run) -> TeacherView:
    """As much of the teacher as the method's terms need."""
    job, needs = run.job, run.spec.needs
    logits = {part: values.to(job.device) for part, values in run.teacher.logits.items()}
    asked = needs & {"teacher_features", "teacher_answers", "teacher_gradients"}
    teacher = restored_teacher(job, run.teacher) if asked else None
    windows = None
    if "windows" in needs:
        windows = window_source(job, run.teacher, generator_of(run.conf.seed, "windows"))
    network = gradients = None
    if teacher is not None and "teacher_features" in needs:
        network = teacher.network
    if teacher is not None and "teacher_gradients" in needs:
        gradients = teacher.input_gradients(job.parts["train"])
    return TeacherView(logits, gradients, windows, network, teacher)


@dataclass(frozen=True)
class _Trained:
    """A student after its stages: the stages with their terms' state, and how each went."""

    student: nn.Module
    stages: list[Stage]
    fits: Mapping[str, FitResult]


def _fit_stages(run: _Run, view: TeacherView) -> tuple[_Trained, int]:
    """Train a student through the stages; one that stays on the plateau begins anew, its terms too.

    Returns:
        The student, and how often it began anew.
    """

    def attempt(seed: int, watched: bool) -> tuple[_Trained, bool]:
        run.tracking.begin(run.named)
        torch.manual_seed(seed)
        student = run.job.build(run.conf.student.model, "student.model")
        stages = build_stages(run.conf.method)
        fits: dict[str, FitResult] = {}
        for stage in stages:
            watch = watched and stage is stages[-1]
            has_left = partial(run.job.learns, student) if watch else None
            fits[stage.name] = _fit_stage(run, stage, student, view, seed, has_left)
        stuck = fits[stages[-1].name].stopped == "plateau"
        if stuck:
            epochs = fits[stages[-1].name].epochs
            say(f"{run.title}: still on the plateau after epoch {epochs}; begins anew")
        return _Trained(student, stages, fits), stuck

    return until_learnt(attempt_seeds(run.conf.seed, run.conf.training.restarts), attempt)


def _fit_stage(
    run: _Run,
    stage: Stage,
    student: nn.Module,
    view: TeacherView,
    seed: int,
    has_left: Callable[[], bool] | None,
) -> FitResult:
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
        chosen.epochs,  # type: ignore[union-attr]
    )
    title = run.title if len(run.spec.stages) == 1 else f"{run.title}, stage {stage.name}"
    told, judge = run.tracking.of_stage(stage.name), _judge(run, stage, student, chosen.epochs)  # type: ignore[union-attr]
    return run.job.fit(task, chosen, seed, title, has_left, told, judge)  # type: ignore[arg-type]


def _judge(run: _Run, stage: Stage, student: nn.Module, epochs: int) -> Callable[[int], None] | None:
    """The run's judge, for the stage after which the student is used."""
    judge, job = run.judge, run.job
    if judge is None or not job.validated or stage.name != run.spec.stages[-1].name:
        return None

    def measured() -> float:
        found = job.performance(predict(student, job.parts["validation"], job), "validation")
        return found["average_precision"]

    return lambda epoch: judge(epoch, epochs, measured)


def _result(
    run: _Run, student: nn.Module, logits: Mapping[str, Tensor], training: Mapping[str, Any]
) -> dict[str, Any]:
    """The record's ``result.json``."""
    job, teacher = run.job, run.teacher
    test = job.performance(logits["test"], "test")
    substituted = substitution(
        logits["test"].numpy(), teacher.logits["test"].numpy(), job.parts["test"].y.cpu().numpy()
    )
    validation = job.performance(logits["validation"], "validation") if job.validated else None
    parameters, teachers = count_parameters(student), teacher.metrics["parameters"]
    flags = {
        "no_validation": not job.validated,
        "collapsed": is_collapsed(logits["test"].numpy()),
        "plateau": on_plateau(logits["train"].numpy(), job.parts["train"].y.cpu().numpy()),
    }
    return {
        **run.named,
        **({} if run.conf.study is None else {"study": run.conf.study}),
        "code": code_digest(run.facts["code"]),
        "metric_code": metric_code(),
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
            "compression": None if teachers is None else teachers / parameters,
        },
        "training": dict(training),
        "flags": sorted(flag for flag, raised in flags.items() if raised),
    }


def _how_training_went(fits: Mapping[str, FitResult]) -> dict[str, Any]:
    return {
        "epochs": sum(fit.epochs for fit in fits.values()),
        "best_epoch": list(fits.values())[-1].best_epoch,
        "stages": {
            name: {"epochs": fit.epochs, "best_epoch": fit.best_epoch, "stopped": fit.stopped}
            for name, fit in fits.items()
        },
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
    ratio = cost["compression"]  # a stored null is read as nan
    fewer = "" if ratio is None or ratio != ratio else f", {ratio:.1f} times fewer than the teacher"
    return (
        f"test AP {test['average_precision']:.3f}, accuracy {test['accuracy']:.3f}, "
        f"agreement {test['agreement']:.3f}; {result['training']['epochs']} epochs; "
        f"{cost['parameters']:,} parameters{fewer}{flags}"
    )
