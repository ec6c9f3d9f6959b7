"""The yardsticks: what the product does, done the plain way, without a thought for speed."""

import random
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tsdistill.data.tensors import TensorPart
from tsdistill.methods.tsd import tsd_loss

Step = Callable[[Tensor, Tensor], Tensor]
"""Series (B, C, T) and their classes (B,) to the loss."""

TAU = 8.0


def perturbed_one_by_one(x: Tensor, y: Tensor, train: TensorPart, copies: int, window: int) -> Tensor:
    """Build the perturbed copies of a batch in a loop.

    Returns:
        (B, M, C, T), M being ``copies`` or the number of starts if that is less.
    """
    starts_there = x.shape[-1] - window + 1
    batch = []
    for series, label in zip(x, y, strict=True):
        opposing = [i for i in range(len(train)) if train.y[i] != label]
        rows = []
        for start in random.sample(range(starts_there), min(copies, starts_there)):
            reference = train.x[random.choice(opposing)]
            row = series.clone()
            row[:, start : start + window] = reference[:, start : start + window]
            rows.append(row)
        batch.append(torch.stack(rows))
    return torch.stack(batch)


def ce_loss(student: nn.Module) -> Step:
    """The plain student's loss."""
    return lambda x, y: functional.cross_entropy(student(x), y)


def tsd_with_teacher(
    student: nn.Module, teacher: nn.Module, train: TensorPart, copies: int, window: int
) -> Step:
    """Cross-entropy and TSD with fresh perturbations and the teacher in the loop."""

    def loss(x: Tensor, y: Tensor) -> Tensor:
        copied = perturbed_one_by_one(x, y, train, copies, window)
        rows = copied.flatten(0, 1)
        with torch.no_grad():
            taught, taught_perturbed = teacher(x), teacher(rows)
        clean, perturbed = student(x), student(rows)
        saliency = tsd_loss(
            clean,
            perturbed.view(*copied.shape[:2], -1),
            taught,
            taught_perturbed.view(*copied.shape[:2], -1),
            TAU,
            "classwise",
        )
        return functional.cross_entropy(clean, y) + saliency

    return loss


def train_step(loss: Step, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """One step of any loss."""
    optimizer.zero_grad()
    loss(x, y).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def loader_epochs(
    student: nn.Module, loss: Step, parts: Mapping[str, TensorPart], epochs: int, workers: int = 4
) -> None:
    """Train with a DataLoader of worker processes for each part; all parts are gone through each epoch."""
    optimizer = torch.optim.Adam(student.parameters(), 0.005, weight_decay=1e-5)
    loaders = {
        name: DataLoader(
            TensorDataset(part.x, part.y), batch_size=32, shuffle=name == "train", num_workers=workers
        )
        for name, part in parts.items()
    }
    for _ in range(epochs):
        student.train()
        for x, y in loaders["train"]:
            train_step(loss, optimizer, x, y)
        student.eval()
        with torch.no_grad():
            for name in ("validation", "test"):
                for x, y in loaders[name]:
                    functional.cross_entropy(student(x), y).item()
