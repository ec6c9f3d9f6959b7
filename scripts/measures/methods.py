"""Each method's epoch against the plain student's."""

from functools import partial
from pathlib import Path

import torch
from torch import nn

from measures.base import Row, side_by_side
from measures.setting import (
    Parts,
    composed,
    default_copies,
    fit_epochs,
    pool_of,
    real_parts,
    student,
    teacher,
)
from tsdistill.config.resolve import conf_folder
from tsdistill.data.tensors import TensorPart
from tsdistill.methods.build import build_stages
from tsdistill.methods.stage import StageTask
from tsdistill.methods.step import TeacherView
from tsdistill.saliency.source import CachedWindows
from tsdistill.teachers.network import NetworkTeacher

CLASSES, EPOCHS, REPETITIONS = 2, 3, 3
RECURRENT = frozenset({"memkd"})
"""Methods that need a recurrent teacher."""


def measure(folder: Path) -> list[Row]:
    """An epoch of every method's last stage with validation, lstm_8 under fcn (or lstm), ECG200."""
    parts, note = real_parts("ECG200", folder)
    names = sorted(path.stem for path in (conf_folder() / "method").glob("*.yaml"))
    names = ["none", *(name for name in names if name != "none")]
    tasks = {name: last_stage(name, student("lstm_8", CLASSES), parts) for name in names}
    epochs = {name: partial(fit_epochs, task, EPOCHS) for name, task in tasks.items()}
    took = side_by_side({}, epochs, REPETITIONS)
    return [
        Row(
            f"epoch of method={name}, lstm_8 under {_taught(name)}, ECG200",
            "plain student's epoch",
            took["none"] / EPOCHS,
            took[name] / EPOCHS,
            note=note,
        )
        for name in names[1:]
    ]


def last_stage(
    name: str, model: nn.Module, parts: Parts, copies: int | None = None, taught_by: str | None = None
) -> StageTask:
    """The last stage of a method at its default settings under a teacher that has not learnt.

    Args:
        name: of the method, ``NAME+tsd`` not among them.
        model: the student.
        parts: of a set with ``CLASSES`` classes and without padding.
        copies: M; None takes the default.
        taught_by: ``fcn`` or ``lstm``; None takes the one that the benchmark has for this method.
    """
    stage = build_stages(composed(f"method={name}").method)[-1]
    taught = NetworkTeacher.around(teacher(taught_by or _taught(name), CLASSES))
    train, needs = parts["train"], stage.needs
    view = TeacherView(
        {part: taught.logits(series.x) for part, series in parts.items()},
        taught.input_gradients(train) if "teacher_gradients" in needs else None,
        _windows(train, copies) if "windows" in needs else None,
        taught.network,
    )
    return StageTask(model, stage, view, parts, epochs=EPOCHS)


def _windows(train: TensorPart, copies: int | None) -> CachedWindows:
    return pool_of(train, CLASSES, copies or default_copies(), torch.Generator().manual_seed(0))


def _taught(name: str) -> str:
    return "lstm" if name in RECURRENT else "fcn"
