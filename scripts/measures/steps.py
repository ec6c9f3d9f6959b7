"""One TSD step against the plain way and against the student's own work."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from measures.base import Goal, Row, by_pytorch, side_by_side
from measures.plain import train_step, tsd_with_teacher
from measures.setting import PAPER_COPIES, WINDOW, Bare, random_part, student, task, teacher
from tsdistill.data.tensors import TensorPart

BATCH, LENGTH, CLASSES, SERIES = 32, 100, 5, 160
TEACHERS = {"lstm_8": "lstm", "lstm_16": "lstm", "fcn_8": "fcn"}
LEAST = {"lstm": 15.0, "fcn": 10.0}


def measure(_: Path) -> list[Row]:
    """Rows of all students."""
    return [row for name in TEACHERS for row in _rows(name)]


def _rows(name: str) -> list[Row]:
    train, taught = random_part(SERIES, LENGTH, CLASSES), TEACHERS[name]
    rows = torch.randperm(SERIES, generator=torch.Generator().manual_seed(0))[:BATCH]
    took = side_by_side(
        {
            "plain": _plain(student(name, CLASSES), teacher(taught, CLASSES), train, rows),
            "floor": _floor(student(name, CLASSES)),
        },
        {
            "kept": by_pytorch(_floor(student(name, CLASSES))),
            "general": _ours(Bare(student(name, CLASSES)), train, rows),
            "ours": _ours(student(name, CLASSES), train, rows),
        },
    )
    what, ready = f"TSD step, {name} under {taught}", "student's step on a ready batch"
    plain = "perturbations one by one, teacher in the loop"
    found = [
        Row(what, plain, took["plain"], took["ours"], Goal("faster", LEAST[taught])),
        Row(f"{what}, states not shared", ready, took["floor"], took["general"], Goal("ratio", 1.1)),
    ]
    if taught == "lstm":
        found.append(Row(f"{what}, states shared", ready, took["floor"], took["ours"], Goal("ratio", 0.6)))
    freed = "the same floor with freed memory kept, as tsdistill runs"
    found.append(Row(f"{freed}, {name}", f"{ready}, malloc's defaults", took["floor"], took["kept"]))
    return found


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 0.005, weight_decay=1e-5)


def _plain(model: nn.Module, taught: nn.Module, train: TensorPart, rows: Tensor) -> Callable[[], None]:
    loss, optimizer = tsd_with_teacher(model, taught, train, PAPER_COPIES, WINDOW), _optimizer(model)
    batch = train.rows(rows)
    return lambda: train_step(loss, optimizer, batch.x, batch.y)


def _floor(model: nn.Module) -> Callable[[], None]:
    optimizer = _optimizer(model)
    ready = random_part(BATCH * (PAPER_COPIES + 1), LENGTH, CLASSES)
    return lambda: train_step(lambda x, y: functional.cross_entropy(model(x), y), optimizer, ready.x, ready.y)


def _ours(model: nn.Module, train: TensorPart, rows: Tensor) -> Callable[[], None]:
    trained, optimizer = task(model, {"train": train}, PAPER_COPIES), _optimizer(model)
    return lambda: train_step(lambda _, __: trained.step(rows, 1)["loss"], optimizer, train.x, train.y)
