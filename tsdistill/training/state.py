"""Where a training run stands: all that its next step depends on, captured and restored as one thing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tsdistill.training.generators import captured_generators, restore_generators

Captured = dict[str, Any]
"""Plain values, mappings, lists, tuples and tensors: what ``tsdistill.store.checkpoints`` can write."""


class Trainable(Protocol):
    """What the loop asks of the thing it trains; ``tsdistill.methods.stage.StageTask`` is one."""

    def step(self, rows: Tensor, epoch: int) -> Mapping[str, Tensor]:
        """Loss of a batch of training rows: ``loss`` and its named parts."""
        ...

    def validate(self) -> Mapping[str, float]:
        """Values on the validation part."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Everything that may be trained."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch between training and evaluation mode."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Weights and buffers."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Put weights and buffers back."""
        ...

    def generators(self) -> Mapping[str, torch.Generator]:
        """Generators of its own that its steps draw from."""
        ...


@dataclass
class FitResult:
    """How a training run went.

    Attributes:
        epochs: epochs run.
        best_epoch: the epoch whose weights were kept, counted from 1.
        best: the monitored value there; None where nothing was monitored.
        stopped: ``patience``, ``epochs`` or ``plateau``.
        history: rows of epoch, name, value; training parts are named ``train/...``.
    """

    epochs: int = 0
    best_epoch: int = 0
    best: float | None = None
    stopped: str = "epochs"
    history: list[dict[str, Any]] = field(default_factory=list)

    def capture(self) -> Captured:
        """All of it; the history by columns, which are smaller."""
        names = list(dict.fromkeys(row["name"] for row in self.history))
        history = {
            "names": names,
            "epoch": torch.tensor([row["epoch"] for row in self.history], dtype=torch.int64),
            "name": torch.tensor([names.index(row["name"]) for row in self.history], dtype=torch.int64),
            "value": torch.tensor([row["value"] for row in self.history], dtype=torch.float64),
        }
        return {**vars(self), "history": history}

    def restore(self, captured: Captured) -> None:
        """Become what ``capture`` gave."""
        columns = captured["history"]
        rows = zip(*(columns[key].tolist() for key in ("epoch", "name", "value")), strict=True)
        history = [
            {"epoch": epoch, "name": columns["names"][name], "value": value} for epoch, name, value in rows
        ]
        vars(self).update({**captured, "history": history})


@dataclass
class Kept:
    """The best weights so far.

    Attributes:
        value: the monitored value that they reached; None before there are any.
        epoch: the epoch that they come from.
        weights: state dict of what is trained.
    """

    value: float | None = None
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class TrainingState:
    """A training run between two steps.

    Attributes:
        task: what is trained.
        optimizer: of its parameters.
        scheduler: of the optimiser's rate, or None.
        order: draws the batches of an epoch, on the CPU.
        device: where the task lies.
        epochs: the most that it may take.
        best: the best weights so far.
        result: how it has gone so far.
        epoch: the epoch under way, counted from 1.
        steps: how many of its batches are done.
        totals: sums over these of the loss and its parts.
    """

    task: Trainable
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler | ReduceLROnPlateau | None
    order: torch.Generator
    device: torch.device
    epochs: int
    best: Kept = field(default_factory=Kept)
    result: FitResult = field(default_factory=FitResult)
    epoch: int = 1
    steps: int = 0
    totals: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order_began = self.order.get_state()

    def batches_left(self, epoch: int, rows: int, size: int) -> list[Tensor]:
        """Draw the batches of an epoch; of one that was broken off, those that are still to come."""
        if epoch != self.epoch:
            self.epoch, self.steps, self.totals = epoch, 0, {}
        self._order_began = self.order.get_state()
        return batches(rows, size, self.order)[self.steps :]

    def add(self, parts: Mapping[str, Tensor], share: float) -> None:
        """Count a step whose batch holds that share of the series."""
        self.steps += 1
        for name, value in parts.items():
            scaled = value.detach() * share
            self.totals[name] = self.totals[name] + scaled if name in self.totals else scaled

    def capture(self) -> Captured:
        """Everything that the next step depends on; tensors are shared, not copied."""
        return {
            **self.capture_end(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "order": self._order_began,
            "best": vars(self.best),
            "epoch": self.epoch,
            "steps": self.steps,
            "totals": self.totals,
        }

    def restore(self, captured: Captured) -> None:
        """Become what ``capture`` gave; the task, optimiser and scheduler are fresh ones of the same make.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: it was captured from another make.
        """
        self.optimizer.load_state_dict(captured["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(captured["scheduler"])
            # The mark by which PyTorch knows that a step came first; else it warns that the order is wrong.
            self.optimizer._opt_called = True  # type: ignore[attr-defined]
        self.order.set_state(captured["order"])
        best = captured["best"]
        weights = {name: tensor.to(self.device) for name, tensor in best["weights"].items()}
        self.best = Kept(best["value"], best["epoch"], weights)
        self.epoch, self.steps = captured["epoch"], captured["steps"]
        self.totals = {name: total.to(self.device) for name, total in captured["totals"].items()}
        self.restore_end(captured)

    def capture_end(self) -> Captured:
        """What is left of a run that has ended: its task and result, and the generators for what follows."""
        return {
            "task": dict(self.task.state_dict()),
            "result": self.result.capture(),
            "generators": captured_generators(self.task.generators(), self.device),
        }

    def restore_end(self, captured: Captured) -> None:
        """Become what ``capture_end`` gave; raises as ``restore`` does."""
        self.task.load_state_dict(captured["task"])
        self.result.restore(captured["result"])
        restore_generators(captured["generators"], self.task.generators(), self.device)


def batches(rows: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Shuffle the rows into batches.

    A last batch of one series joins the one before it: batch normalisation cannot learn from it.

    Args:
        rows: number of training series.
        size: batch size.
        generator: order, on the CPU.

    Returns:
        Row indices, each (B,) int64, every row once.
    """
    order = torch.randperm(rows, generator=generator)
    cut = list(torch.split(order, size))
    if len(cut) > 1 and len(cut[-1]) == 1:
        cut[-2:] = [torch.cat(cut[-2:])]
    return cut


class Keeper(Protocol):
    """Keeps where a training run stands, so that one that is killed goes on."""

    def begin(self, state: TrainingState) -> bool:
        """Restore what is kept of this run, if anything; returns whether it had ended."""
        ...

    def step(self, state: TrainingState) -> None:
        """Hear of a step that is done."""
        ...

    def end(self, state: TrainingState) -> None:
        """Hear that the run has ended, its best weights put back."""
        ...


class NoKeeper:
    """Keeps nothing."""

    def begin(self, state: TrainingState) -> bool:
        """See ``Keeper``."""
        return False

    def step(self, state: TrainingState) -> None:
        """See ``Keeper``."""

    def end(self, state: TrainingState) -> None:
        """See ``Keeper``."""
