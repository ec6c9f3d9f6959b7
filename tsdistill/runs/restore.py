"""Restoring stored runs from their records alone: the dataset, the teacher, the student."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from tsdistill.config.schema import (
    HardwareConf,
    SplitConf,
    TeacherTaskConf,
)
from tsdistill.config.stored import KNOWN
from tsdistill.data.types import Part
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.predict import predict
from tsdistill.methods.base import Need
from tsdistill.runs.session import Job, prepare
from tsdistill.runs.spec import member_conf
from tsdistill.runs.teaching import restored_teacher
from tsdistill.store.formats import from_yaml
from tsdistill.store.records import RunRecord, read_run
from tsdistill.store.teachers import TeacherArtefact, read_teacher
from tsdistill.training.calibration import Calibrated

TOLERANCE = 0.01
"""How far a restored student's logits may lie from the stored ones, against their largest: devices differ."""


@dataclass(frozen=True)
class Scene:
    """What the students of one teacher share.

    Attributes:
        job: dataset, split and device.
        dataset_conf: the config that the dataset was loaded from.
        teacher: the stored teacher.
        model: its network, frozen, in eval mode.
        provides: what it may be asked for.
    """

    job: Job
    dataset_conf: Mapping[str, Any]
    teacher: TeacherArtefact
    model: nn.Module
    provides: frozenset[Need]

    @property
    def test(self) -> Part:
        """The test part."""
        return self.job.dataset.test

    @property
    def answers_new_series(self) -> bool:
        """Whether the teacher answers series that it has not been asked yet; a file of answers does not."""
        return "teacher_answers" in self.provides


def restore_scene(
    out: Path,
    record: RunRecord,
    *,
    data_root: str | None,
    hardware: HardwareConf,
    allow_code: bool,
) -> Scene:
    """Load what a stored run was trained on, and by.

    Args:
        out: the output folder.
        record: the run's record.
        data_root: root of the user's local data; None for the one that the run was trained with.
        hardware: where it runs.
        allow_code: build what the record names outside of this package too.

    Raises:
        TsdistillError: the teacher is gone, the data have changed, or the record names foreign code.
    """
    conf, name = config_of(record), record.result["dataset"]
    if not allow_code:
        refuse_foreign(conf["teacher"], "teacher")
    teacher = read_teacher(out, name, record.result["teacher_id"])
    if teacher is None:
        raise TsdistillError(
            f"teacher {record.result['teacher_id']} of {name} is no longer stored; distil its students again"
        )
    job = restore_job(out, record, data_root=data_root, hardware=hardware, allow_code=allow_code)
    answering = restored_teacher(job, teacher)
    return Scene(job, conf["dataset"], teacher, answering.as_module(), answering.provides)


def restore_job(
    out: Path,
    record: RunRecord,
    *,
    data_root: str | None,
    hardware: HardwareConf,
    allow_code: bool,
) -> Job:
    """Load what a stored run was trained on, whether or not its teacher is still there.

    Args:
        out: the output folder.
        record: the run's record.
        data_root: root of the user's local data; None for the one that the run was trained with.
        hardware: where it runs.
        allow_code: build what the record names outside of this package too.

    Raises:
        TsdistillError: the data have changed, or the record names foreign code.
    """
    conf, name = config_of(record), record.result["dataset"]
    if not allow_code:
        refuse_foreign(conf["dataset"], "dataset")
        refuse_foreign(conf["student"], "student")
    try:
        task = _task_of(conf, out, data_root, hardware)
    except (KeyError, TypeError, ValueError, OmegaConfBaseException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TsdistillError(
            f"run {record.result['id']}: its config does not fit ({reason}); distil it again"
        ) from error
    job = prepare(task)
    if job.dataset.fingerprint != record.facts["data"]:
        raise TsdistillError(f"{name} has changed since this run was trained; distil it again")
    return job


def _task_of(
    conf: Mapping[str, Any], out: Path, data_root: str | None, hardware: HardwareConf
) -> TeacherTaskConf:
    """The task that trained a stored run's teacher, from the run's stored config."""
    return TeacherTaskConf(
        out=str(out),
        dataset=conf["dataset"],
        data_root=data_root or _if_there(conf.get("data_root")),
        split=SplitConf(**conf["split"]),
        teacher=member_conf(conf["teacher"]),
        hardware=hardware,
    )


def restore_student(job: Job, record: RunRecord) -> nn.Module:
    """Build a stored student, with its weights, in eval mode; it must answer as it did.

    Raises:
        TsdistillError: weights that do not fit, or logits that are not the stored ones.
    """
    conf = config_of(record)
    student = job.build(conf["student"]["model"], "student.model")
    fit = record.result["training"].get("calibration")
    if fit and not fit["folded"]:
        student = Calibrated(student, len(fit["bias"])).to(job.device)
    try:
        student.load_state_dict(record.weights)
    except RuntimeError as error:
        raise TsdistillError(
            f"run {record.result['id']}: its weights do not fit {conf['student']['model']['_target_']}, "
            "which has changed since; distil it again"
        ) from error
    student.eval().requires_grad_(False)
    stored = record.logits["test"].numpy()
    test = job.dataset.test
    answers = predict(student, test.x, test.lengths)
    near = np.allclose(answers, stored, rtol=0, atol=TOLERANCE * (1 + np.abs(stored).max(initial=0)))
    if conf["hardware"]["precision"] == "fp32" and np.isfinite(stored).all() and not near:
        raise TsdistillError(
            f"run {record.result['id']} no longer gives its stored logits: its model has changed; "
            "distil it again"
        )
    return student


def read_whole(out: Path, result: Mapping[str, Any]) -> RunRecord:
    """A run's whole record.

    Raises:
        TsdistillError: it has gone or was broken since it was listed.
    """
    record = read_run(out, result["dataset"], result["id"])
    if record is None:
        raise TsdistillError(f"run {result['id']} of {result['dataset']} is damaged; distil it again")
    return record


def config_of(record: RunRecord) -> dict[str, Any]:
    """The config that a record was made with, as plain data.

    Raises:
        TsdistillError: it is malformed, or holds what no stored config has.
    """
    try:
        config = from_yaml(record.config_yaml)
        _refuse_misshapen(config)
    except ValueError as error:
        raise TsdistillError(f"run {record.result['id']}: {error}; distil it again") from error
    return config


_BLOCKS = (
    *("dataset", "split", "teacher", "teacher.kind", "teacher.model", "teacher.training"),
    *("student", "student.model", "hardware", "saliency", "method"),
)
"""Parts of a stored config that are mappings."""


def _refuse_misshapen(config: Mapping[str, Any]) -> None:
    for path in _BLOCKS:
        node: Any = config
        for name in path.split("."):
            node = node.get(name) if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping) and not (path == "teacher.model" and node is None):
            raise ValueError(f"its config has no valid {path}")


def refuse_foreign(node: object, path: str) -> None:
    """Refuse a stored node that names anything but what stands in ``tsdistill.config.stored``.

    Args:
        node: the stored config, or a part of it.
        path: its place, for the message.

    Raises:
        TsdistillError: it names something else.
    """
    if isinstance(node, Mapping):
        target = node.get("_target_", "")
        if "_target_" in node and not (isinstance(target, str) and target in KNOWN):
            raise TsdistillError(
                f"{path}._target_={target} in a stored config is not a dataset, model or teacher of "
                "tsdistill or torch; add allow_code=true if you trust it"
            )
        for key, value in node.items():
            refuse_foreign(value, f"{path}.{key}")
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for at, value in enumerate(node):
            refuse_foreign(value, f"{path}[{at}]")


def _if_there(folder: str | None) -> str | None:
    """The root that a run was trained with, unless it is of another machine."""
    return folder if folder and Path(folder).is_dir() else None
