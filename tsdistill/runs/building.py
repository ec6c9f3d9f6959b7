"""A teacher from its settings, and what it learns from."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from tsdistill.config.schema import TeacherConf
from tsdistill.config.targets import check_target, locate, takes
from tsdistill.errors import TsdistillError
from tsdistill.runs.session import Job
from tsdistill.runs.spec import TEACHER_SUPPLIED, member_conf
from tsdistill.teachers.base import FitTask, Teacher
from tsdistill.teachers.ensemble import Member
from tsdistill.training.seeds import attempt_seeds
from tsdistill.training.state import FitResult
from tsdistill.training.supervised import Supervised


def built_teacher(job: Job, conf: TeacherConf | None = None, place: str = "teacher") -> Teacher:
    """A teacher before it has learnt or been restored.

    Args:
        job: what it works in.
        conf: its settings; those of ``job`` unless given.
        place: where they stand in the config, for messages.

    Raises:
        TsdistillError: wrong settings, or a class that is no ``Teacher``.
    """
    conf = job.conf.teacher if conf is None else conf
    kind = f"{place}.kind"
    check_target(conf.kind, kind, supplied=TEACHER_SUPPLIED)
    found = locate(conf.kind["_target_"], kind)
    settings = {key: value for key, value in conf.kind.items() if key != "_target_"}
    try:
        teacher = found(**settings, **_supplied(job, conf, found, place))
    except TsdistillError:
        raise
    except Exception as error:  # whatever a user's constructor may raise
        raise TsdistillError(f"{kind}: {str(error) or type(error).__name__}") from error
    if not isinstance(teacher, Teacher):
        target = conf.kind["_target_"]
        raise TsdistillError(f"{kind}._target_={target} is not a tsdistill.teachers.base.Teacher")
    return teacher


def _supplied(job: Job, conf: TeacherConf, found: Callable[..., Any], place: str) -> Mapping[str, Any]:
    """What a teacher's constructor takes of what the program passes itself.

    Raises:
        TsdistillError: a setting that it needs is missing, or one is set that it does not take.
    """
    parameters = inspect.signature(found).parameters
    given: dict[str, Any] = {
        "cross_fit": conf.cross_fit,
        "path": conf.path,
        "network": None if conf.model is None else partial(job.build, conf.model, f"{place}.model"),
        "members": [_member(job, name, node, place) for name, node in (conf.members or {}).items()] or None,
    }
    unset = {"cross_fit": ("auto", 0), "path": (None,), "members": (None,)}
    for name, values in unset.items():
        if name not in parameters and given[name] not in values:
            raise TsdistillError(f"{place}.{name} is set, and teacher {conf.name} takes no {name}")
    taken = {name: value for name, value in given.items() if name in parameters}
    for name, value in taken.items():
        if value is None and parameters[name].default is inspect.Parameter.empty:
            setting = "model" if name == "network" else name
            advice = f"add {place}.{setting}=..."
            if name == "network":
                advice = "choose a model by teacher=fcn, for instance"
            raise TsdistillError(f"{place}.{setting} is not set; {advice}")
    return taken


def _member(job: Job, name: str, node: Mapping[str, Any], place: str) -> Member:
    conf, place = member_conf(node), f"{place}.members.{name}"
    title = f"{job.dataset.name} teacher {job.conf.teacher.name}, {name}"
    return Member(
        name,
        partial(built_teacher, job, conf, place),
        lambda seed: fit_task(job, conf, seed, f"{title} seed {seed}"),
    )


def fit_task(job: Job, conf: TeacherConf, seed: int, title: str) -> FitTask:
    """What a teacher of given settings learns from, under a seed."""
    training = conf.training
    kind = conf.kind["_target_"]
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
