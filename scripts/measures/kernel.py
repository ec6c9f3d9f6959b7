"""The compiled recurrent kernel against PyTorch's layers: epochs, and arithmetic against a matrix product."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from measures.base import Goal, Row, by_pytorch, side_by_side
from measures.setting import default_copies, fit_epochs, real_parts, student, task

EPOCHS, CLASSES = 10, 2
MOST_PLAIN = {"lstm_8": 0.4}
MOST_TSD = {"lstm_8": 2.0, "lstm_16": 4.0}
ROWS, LENGTH, SIDE = 544, 96, 1024


def measure(folder: Path) -> list[Row]:
    """Rows of both."""
    return [*_epochs(folder), *_arithmetic()]


def _epochs(folder: Path) -> list[Row]:
    found = []
    for name in ("ECG200", "MoteStrain"):
        parts, note = real_parts(name, folder)
        for size in ("lstm_8", "lstm_16"):
            plain = partial(fit_epochs, task(student(size, CLASSES), parts, None), EPOCHS)
            tsd = partial(fit_epochs, task(student(size, CLASSES), parts, default_copies()), EPOCHS)
            took = side_by_side({}, {"torch": by_pytorch(plain), "plain": plain, "TSD": tsd})
            took = {kind: milliseconds / EPOCHS for kind, milliseconds in took.items()}
            for kind, what, goals in (
                ("plain", "plain epoch", MOST_PLAIN),
                ("TSD", f"TSD epoch at M = {default_copies()}", MOST_TSD),
            ):
                goal = Goal("ratio", goals[size]) if size in goals else None
                what = f"{what} by the kernel, {size}, {name}"
                found.append(Row(what, "nn.LSTM's plain epoch", took["torch"], took[kind], goal, note=note))
    return found


def _arithmetic() -> list[Row]:
    """Multiplications and additions of products a second, forward and backward, against a large product's."""
    found = []
    square, x = torch.randn(SIDE, SIDE), torch.randn(ROWS, 1, LENGTH)
    for size, hidden in (("lstm_8", 8), ("lstm_16", 16)):
        model = student(size, CLASSES)
        took = side_by_side(
            {}, {"product": partial(torch.mm, square, square), "kernel": partial(_pass, model, x)}
        )
        operations = 3 * 2 * ROWS * LENGTH * 4 * hidden * (1 + hidden)
        most, ours = 2 * SIDE**3 / took["product"] / 1e6, operations / took["kernel"] / 1e6
        what = f"arithmetic of a pass and its gradients, {size}, {ROWS} x {LENGTH}"
        found.append(Row(what, f"matrix product of {SIDE} x {SIDE}", most, ours, unit="GFLOP/s"))
    return found


def _pass(model: nn.Module, x: Tensor) -> None:
    model(x).sum().backward()
