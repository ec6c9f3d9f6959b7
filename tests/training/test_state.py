"""A training that is broken off after any step and resumed with everything new is the same training."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from tsdistill.config.schema import Optimizer, Stepping, TrainingConf
from tsdistill.store.checkpoints import read_checkpoint, write_checkpoint
from tsdistill.training.generators import generators_in
from tsdistill.training.loop import fit
from tsdistill.training.state import NoKeeper

ROWS, SIZE, EPOCHS = 10, 4, 4
STEPS = 3 * EPOCHS


class Task(nn.Module):
    """Three weights whose gradients come from every generator that there is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.own = torch.Generator().manual_seed(5)
        self.register_buffer("seen", torch.zeros(()))

    def generators(self):
        return generators_in(self)

    def step(self, rows, epoch):
        self.seen += rows.sum()
        drawn = [torch.rand(()), torch.rand((), generator=self.own), np.random.rand(), random.gauss(0, 1)]
        scaled = self.weight * sum(map(float, drawn))
        return {"loss": scaled.square().sum() + self.weight.sum(), "part": self.seen}

    def validate(self):
        return {"ce": self.weight.square().sum().item(), "odd": float("nan")}


class Breaks(NoKeeper):
    """Breaks off after a step; what is resumed went through the disk."""

    def __init__(self, after, folder):
        self.after, self.folder, self.steps, self.broken = after, folder, 0, 0

    def begin(self, state):
        if self.broken:
            state.restore(read_checkpoint(self.folder, lambda state: None))
        return False

    def step(self, state):
        self.steps += 1
        if self.steps in self.after:
            write_checkpoint(self.folder, state.capture())
            self.broken += 1
            raise InterruptedError


def trained(conf, keeper):
    """Weights, the result, and the next numbers of all generators."""
    while True:
        torch.manual_seed(1)
        np.random.seed(2)
        random.seed(3)
        task = Task()
        try:
            result = fit(
                task,
                copy.deepcopy(conf),
                rows=ROWS,
                validated=True,
                generator=torch.Generator().manual_seed(4),
                device=torch.device("cpu"),
                keeper=keeper,
            )
        except InterruptedError:
            continue
        after = torch.rand(()), torch.rand((), generator=task.own), np.random.rand(), random.random()
        return task.weight.tolist(), task.seen.item(), repr(result), [float(number) for number in after]


def scheduler(name, **settings):
    return {"_target_": f"torch.optim.lr_scheduler.{name}", **settings}


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": Optimizer.sgd},
        {"optimizer": Optimizer.adamw, "monitor": "last"},
        {"scheduler": scheduler("MultiStepLR", milestones=[2, 3]), "patience": 2},
        {"scheduler": scheduler("MultiStepLR", milestones=[2, 5, 7]), "schedule_by": Stepping.step},
        {"scheduler": scheduler("CosineAnnealingLR", T_max=4), "monitor": "train_loss"},
        {"scheduler": scheduler("OneCycleLR", max_lr=0.1, total_steps=STEPS), "schedule_by": Stepping.step},
        {"scheduler": scheduler("ReduceLROnPlateau", patience=0, factor=0.5)},
    ],
)
def test_a_training_that_is_broken_off_ends_in_the_same_bits(settings, tmp_path):
    conf = TrainingConf(epochs=EPOCHS, batch_size=SIZE, lr=0.01, **settings)
    keeper = Breaks({2, 3, 8}, tmp_path / "c")
    assert trained(conf, keeper) == trained(conf, None)
    assert keeper.broken == 3


@pytest.mark.parametrize("after", range(1, STEPS + 1))
def test_it_may_be_broken_off_after_any_step(after, tmp_path):
    conf = TrainingConf(epochs=EPOCHS, batch_size=SIZE, lr=0.01, patience=3)
    assert trained(conf, Breaks({after}, tmp_path / "c")) == trained(conf, None)
