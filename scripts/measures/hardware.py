"""What bfloat16 and ``torch.compile`` gain on this machine; no goals, and not part of the usual run."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from measures.base import Row, side_by_side
from measures.plain import train_step
from measures.setting import PAPER_COPIES, random_part, student, task, teacher
from tsdistill.config.schema import Precision
from tsdistill.models.fcn import FCN
from tsdistill.training.loop import autocast

BATCH, LENGTH, CLASSES = 32, 100, 5
POOL_ROWS = 256
"""Series in one forward pass of a teacher over a pool."""


def measure(_: Path) -> list[Row]:
    """Rows of both."""
    return [*_bfloat16(), *_compiled()]


def _bfloat16() -> list[Row]:
    found = []
    ready = random_part(POOL_ROWS, LENGTH, CLASSES)
    for name in ("lstm", "fcn"):
        answer = partial(_answer, teacher(name, CLASSES), ready.x)
        took = side_by_side({}, {kind.value: partial(answer, kind) for kind in Precision})
        what = f"forward pass of the {name} teacher on {POOL_ROWS} series"
        found.append(Row(f"{what}, bf16", "the same, fp32", took["fp32"], took["bf16"]))
    for name in ("lstm_8", "fcn_8"):
        steps = {kind.value: _tsd_step(name, kind) for kind in Precision}
        took = side_by_side({}, steps)
        found.append(Row(f"TSD step, {name}, bf16", "the same, fp32", took["fp32"], took["bf16"]))
    return found


@torch.no_grad()
def _answer(model: nn.Module, x: Tensor, precision: Precision) -> None:
    with autocast(torch.device("cpu"), precision):
        model(x)


def _tsd_step(name: str, precision: Precision) -> Callable[[], None]:
    model = student(name, CLASSES)
    train, rows = random_part(160, LENGTH, CLASSES), torch.arange(BATCH)
    trained, optimizer = task(model, {"train": train}, PAPER_COPIES), torch.optim.Adam(model.parameters())

    def loss(_: Tensor, __: Tensor) -> Tensor:
        with autocast(torch.device("cpu"), precision):
            return trained.step(rows, 1)["loss"]

    return lambda: train_step(loss, optimizer, train.x, train.y)


def _compiled() -> list[Row]:
    found = []
    models: dict[str, Callable[[], nn.Module]] = {
        "the fcn teacher": lambda: FCN(1, CLASSES),
        "fcn_8": lambda: student("fcn_8", CLASSES),
        "lstm_8": lambda: student("lstm_8", CLASSES),
    }
    for name, make in models.items():
        plain, compiled = _plain_step(make()), _plain_step(_compile(make()))
        began = time.perf_counter()
        compiled()
        note = f"the first step took {time.perf_counter() - began:.0f} s"
        took = side_by_side({}, {"plain": plain, "compiled": compiled})
        what = f"training step of {name}, compiled"
        found.append(Row(what, "the same, not compiled", took["plain"], took["compiled"], note=note))
    return found


def _compile(model: nn.Module) -> nn.Module:
    model.compile()
    return model


def _plain_step(model: nn.Module) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters())
    ready = random_part(BATCH, LENGTH, CLASSES)
    return lambda: train_step(lambda x, y: functional.cross_entropy(model(x), y), optimizer, ready.x, ready.y)
