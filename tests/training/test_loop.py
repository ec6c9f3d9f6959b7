"""The loop: what it visits, what it keeps, when it stops; a small task stands in for a student."""

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from tsdistill.config.schema import Optimizer, Precision, Stepping, TrainingConf
from tsdistill.errors import TsdistillError
from tsdistill.training.loop import autocast, fit
from tsdistill.training.state import batches

CPU = torch.device("cpu")


class Task(nn.Module):
    """One weight pulled to 0 at the optimiser's rate; validation values are as told."""

    def __init__(self, values=(), name="ce", rows=8):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(10.0))
        self.register_buffer("steps", torch.tensor(0))
        self.name, self.values, self.rows = name, list(values), rows
        self.visited, self.modes, self.epochs, self.validated_in = [], [], [], []

    def step(self, rows, epoch):
        self.visited.append(rows)
        self.modes.append(self.training)
        self.epochs.append(epoch)
        self.steps += 1
        return {"loss": self.weight.abs() * rows.float().mean(), "part": self.weight * 2}

    def validate(self):
        self.validated_in.append(self.training)
        return {self.name: self.values[len(self.validated_in) - 1], "loss": 0.0}


def run(task, *, validated=True, rows=8, seed=0, precision=Precision.fp32, listener=None, **settings):
    conf = TrainingConf(**{"epochs": 5, "batch_size": 4, "lr": 0.1, "weight_decay": 0.0, **settings})
    return fit(
        task,
        conf,
        rows=rows,
        validated=validated,
        generator=torch.Generator().manual_seed(seed),
        device=CPU,
        precision=precision,
        listener=listener,
    )


@pytest.mark.parametrize(
    ("rows", "size", "sizes"),
    [
        (8, 4, [4, 4]),
        (9, 4, [4, 5]),  # a last batch of one joins the one before
        (10, 4, [4, 4, 2]),
        (5, 4, [5]),
        (1, 4, [1]),
        (3, 100, [3]),
    ],
)
def test_batches_cover_every_row_once(rows, size, sizes):
    cut = batches(rows, size, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in cut] == sizes
    assert sorted(torch.cat(cut).tolist()) == list(range(rows))


def test_every_epoch_has_an_order_of_its_own_and_a_seed_repeats_it():
    task, same = Task([1.0] * 3), Task([1.0] * 3)
    run(task, epochs=3, rows=20, batch_size=20)
    run(same, epochs=3, rows=20, batch_size=20)
    orders = [batch.tolist() for batch in task.visited]
    assert orders == [batch.tolist() for batch in same.visited]
    assert len({tuple(order) for order in orders}) == 3
    assert task.epochs == [1, 2, 3]


def test_the_student_is_in_train_mode_again_after_each_validation():
    task = Task([1.0] * 4)
    run(task, epochs=4)
    assert task.modes == [True] * 8
    assert task.validated_in == [False] * 4


def test_history_holds_means_over_series_and_every_part():
    task = Task([3.0, 2.0])
    result = run(task, epochs=2, rows=9, lr=1e-12)
    names = {row["name"] for row in result.history}
    assert names == {"train/loss", "train/part", "ce", "loss"}
    first = {row["name"]: row["value"] for row in result.history if row["epoch"] == 1}
    assert first["train/loss"] == pytest.approx(10 * 4.0)  # the mean of rows 0..8 is 4
    assert first["train/part"] == pytest.approx(20.0)
    assert first["ce"] == 3.0


def after(task, epochs, **settings):
    """The state of an equal task after so many epochs, with no early stopping."""
    fresh = Task(task.values, task.name)
    run(fresh, epochs=epochs, patience=0, monitor="train_loss", **settings)
    return fresh


@pytest.mark.parametrize(
    ("values", "monitor", "patience", "epochs", "best"),
    [
        ([5, 4, 3, 3.5, 3.2, 3.1, 0], "ce", 3, 6, 3),
        ([5, 4, 4, 4, 4, 4, 4], "ce", 2, 4, 2),  # ties keep the first
        ([0.1, 0.5, 0.5, 0.4, 0.3, 0.9, 0.9], "accuracy", 3, 5, 2),  # which goes up
        ([0.1, 0.5, 0.5, 0.4, 0.3, 0.9, 0.9], "average_precision", 0, 7, 6),  # 0: never stops early
        ([5, math.nan, 4, math.nan, math.nan, 3, 3], "ce", 2, 5, 3),
        ([math.nan, 5, 6, 7, 8, 8, 8], "ce", 2, 4, 2),
    ],
)
def test_early_stopping_restores_exactly_the_best_epoch(values, monitor, patience, epochs, best):
    task = Task(values, monitor)
    result = run(task, epochs=7, patience=patience, monitor=monitor)
    assert (result.epochs, result.best_epoch, result.best) == (epochs, best, values[best - 1])
    assert result.stopped == ("epochs" if epochs == 7 else "patience")
    kept = Task([math.inf] * 7)
    snapshots = []
    run(kept, epochs=best, patience=0, listener=lambda *_: snapshots.append(kept.weight.item()))
    assert task.weight.item() == snapshots[-1]
    assert task.steps == 2 * best  # buffers too


def test_without_validation_the_epochs_are_fixed_and_the_last_weights_stay():
    task = Task()
    result = run(task, validated=False, epochs=4, patience=1)
    assert (result.epochs, result.best_epoch, result.best) == (4, 4, None)
    assert task.steps == 8 and not task.validated_in


def test_the_training_loss_can_be_watched_without_validation():
    task = Task()
    # At this rate the weight falls to about 0 and swings about it, so an early epoch is the best.
    result = run(
        task, validated=False, epochs=9, patience=2, monitor="train_loss", lr=6.0, optimizer=Optimizer.sgd
    )
    losses = [row["value"] for row in result.history if row["name"] == "train/loss"]
    assert result.best == min(losses) and result.best_epoch == losses.index(min(losses)) + 1
    assert result.epochs == result.best_epoch + 2
    assert task.steps == 2 * result.best_epoch


def test_a_monitor_that_is_not_measured_is_refused():
    with pytest.raises(TsdistillError) as error:
        run(Task([1.0]), monitor="acuracy")
    assert str(error.value) == "training.monitor=acuracy is not measured here; did you mean 'accuracy'?"


MILESTONES = {"_target_": "torch.optim.lr_scheduler.MultiStepLR", "milestones": [25, 30, 35], "gamma": 0.5}


class Rated(Task):
    """Notes how far plain gradient descent went at each step: the rate, as the gradient is 1."""

    def step(self, rows, epoch):
        self.walked = [*getattr(self, "walked", []), self.weight.item()]
        return {"loss": self.weight}


def rates(by, steps_an_epoch, epochs):
    task = Rated()
    task.weight.data = torch.tensor(0.0, dtype=torch.float64)
    run(
        task,
        validated=False,
        epochs=epochs,
        rows=4 * steps_an_epoch,
        scheduler=MILESTONES,
        schedule_by=by,
        optimizer=Optimizer.sgd,
        lr=1.0,
    )
    ends = [*task.walked, task.weight.item()]
    # Momentum 0.9 sums the gradients; taking it out leaves the rate.
    speed, found = 0.0, []
    for before, now in pairwise(ends):
        speed = 0.9 * speed + 1.0
        found.append((before - now) / speed)
    return found


def test_the_reference_s_scheduler_has_an_eighth_of_the_rate_after_35_batches():
    found = rates(Stepping.step, steps_an_epoch=10, epochs=4)
    assert found == pytest.approx([1.0] * 25 + [0.5] * 5 + [0.25] * 5 + [0.125] * 5)


def test_by_epoch_the_same_milestones_count_epochs():
    found = rates(Stepping.epoch, steps_an_epoch=2, epochs=36)
    assert found == pytest.approx([1.0] * 50 + [0.5] * 10 + [0.25] * 10 + [0.125] * 2)


@pytest.mark.parametrize("monitor", ["ce", "accuracy", "train_loss"])
def test_a_plateau_is_seen_in_the_monitored_value(monitor):
    plateau = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "factor": 0.5, "patience": 0}
    improving = [0.1 * i for i in range(1, 7)] if monitor == "accuracy" else [1 / i for i in range(1, 7)]

    class Still(Task):
        def step(self, rows, epoch):
            return {"loss": self.weight * 0.0 + 1.0}

    lowered = {}
    for name, values in (("improving", improving), ("still", [1.0] * 6)):
        task = Still(values, monitor)
        seen = []
        original = torch.optim.lr_scheduler.ReduceLROnPlateau.step

        def spy(self, value, seen=seen, original=original):
            original(self, value)
            seen.append(self.optimizer.param_groups[0]["lr"])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.lr_scheduler.ReduceLROnPlateau, "step", spy)
            run(task, epochs=6, scheduler=plateau, monitor=monitor, patience=0)
        lowered[name] = seen[-1] < 0.1
    assert lowered == {"improving": monitor == "train_loss", "still": True}  # the training loss stands still


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"epochs": 0}, "training.epochs=0 should be 1 or more"),
        ({"batch_size": 0}, "training.batch_size=0 should be 1 or more"),
        ({"lr": 0.0}, "training.lr=0 should be a number above 0"),
        ({"patience": -1}, "training.patience=-1 should be 0 or more"),
        ({"weight_decay": -1.0}, "training.weight_decay=-1.0 should be 0 or more"),
        (
            {"scheduler": {"_target_": "torch.optim.lr_scheduler.MultiStepLR", "milestone": [3]}},
            "training.scheduler.milestone: torch.optim.lr_scheduler.MultiStepLR takes no such setting; "
            "did you mean 'milestones'?",
        ),
        (
            {"scheduler": {"_target_": "torch.optim.lr_scheduler.MultiStepLR"}},
            "training.scheduler: torch.optim.lr_scheduler.MultiStepLR needs milestones; "
            "set training.scheduler.milestones=...",
        ),
        (
            {"scheduler": "cosine"},
            "training.scheduler='cosine' is no scheduler's settings; "
            "choose one by scheduler@training.scheduler=cosine",
        ),
        (
            {
                "scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"},
                "schedule_by": Stepping.step,
            },
            "training.schedule_by=step cannot watch a plateau; use schedule_by=epoch",
        ),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, told):
    with pytest.raises(TsdistillError) as error:
        run(Task([1.0] * 5), **settings)
    assert str(error.value) == told


def test_a_loss_that_is_no_number_ends_the_run_in_one_line():
    class Diverges(Task):
        def step(self, rows, epoch):
            return {"loss": self.weight * (math.nan if epoch == 2 else 1.0)}

    with pytest.raises(TsdistillError) as error:
        run(Diverges([1.0] * 5))
    assert str(error.value) == "the training loss became nan in epoch 2; try a lower training.lr (now 0.1)"


def test_a_model_without_parameters_is_refused():
    task = Task([1.0])
    task.weight.requires_grad_(False)
    with pytest.raises(TsdistillError, match="the model has no parameters to train"):
        run(task)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_every_optimiser_trains_and_the_settings_stay_as_they_were(optimizer):
    conf = TrainingConf(epochs=2, batch_size=4, lr=0.1, optimizer=optimizer, scheduler=dict(MILESTONES))
    before = copy.deepcopy(conf)
    task = Task([1.0, 1.0])
    fit(task, conf, rows=8, validated=True, generator=torch.Generator().manual_seed(0), device=CPU)
    assert conf == before
    assert task.weight.item() < 10


def test_bfloat16_runs_forward_passes_under_autocast_and_keeps_float32_weights():
    kinds = []

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def step(self, rows, epoch):
            out = self.layer(torch.ones(len(rows), 3))
            kinds.append(out.dtype)
            return {"loss": out.float().sum()}

        def validate(self):
            kinds.append(self.layer(torch.ones(1, 3)).dtype)
            return {"ce": 0.0}

    for precision, kind in ((Precision.bf16, torch.bfloat16), (Precision.fp32, torch.float32)):
        kinds.clear()
        task = Linear()
        run(task, precision=precision, epochs=1)
        assert set(kinds) == {kind} and len(kinds) == 3
        assert task.layer.weight.dtype == torch.float32
    with autocast(CPU, Precision.fp32):
        assert not torch.is_autocast_enabled("cpu")
