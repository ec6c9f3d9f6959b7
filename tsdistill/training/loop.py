"""The training loop: epochs over batches of rows, early stopping, the best weights restored."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tsdistill.config.schema import Precision, Stepping, TrainingConf
from tsdistill.config.targets import check_target, locate
from tsdistill.errors import TsdistillError, nearest
from tsdistill.training.optimizers import build_optimizer
from tsdistill.training.state import FitResult, Keeper, Kept, NoKeeper, Trainable, TrainingState

HIGHER_IS_BETTER = frozenset({"accuracy", "average_precision"})
TRAIN_LOSS = "train_loss"
FEWEST_BEFORE_RESTART = 10
"""Epochs after which a model can be said to stay on the plateau."""
LAST = "last"
"""As ``monitor``: nothing is monitored, and the last weights are kept."""

Listener = Callable[[int, Mapping[str, float]], None]
"""Told the epoch, counted from 1, and its values."""


def fit(
    task: Trainable,
    settings: TrainingConf,
    *,
    rows: int,
    validated: bool,
    generator: torch.Generator,
    device: torch.device,
    precision: Precision = Precision.fp32,
    listener: Listener | None = None,
    has_left: Callable[[], bool] | None = None,
    keeper: Keeper | None = None,
) -> FitResult:
    """Train, watch the monitored value, and restore the best weights.

    Without a validation part the run has a fixed number of epochs and its last weights are kept, unless
    ``monitor`` is ``train_loss``.

    Args:
        task: what is trained, in place.
        settings: optimiser, rate, epochs, patience, monitor, scheduler.
        rows: number of training series.
        validated: whether there is a validation part.
        generator: order of the batches, on the CPU.
        device: for autocast.
        precision: ``bf16`` runs forward passes under autocast.
        listener: told of each epoch.
        has_left: asked once, after a fifth of the epochs, whether the model has left the plateau; training
            ends there if it has not. Never asked where a fifth is fewer than 10 epochs.
        keeper: keeps where training stands, and restores it at the beginning.

    Returns:
        The run's history; the task holds the best weights.

    Raises:
        TsdistillError: impossible settings, or a loss that is no longer finite.
    """
    check_settings(settings)
    optimizer = build_optimizer(task.parameters(), settings)
    scheduler = _build_scheduler(optimizer, settings)
    keeper = keeper or NoKeeper()
    state = TrainingState(task, optimizer, scheduler, generator, device, settings.epochs)
    watch = _Watch(settings, settings.monitor == TRAIN_LOSS or (validated and settings.monitor != LAST))
    if keeper.begin(state):
        return state.result

    def run_epoch(epoch: int) -> dict[str, float]:
        for batch in state.batches_left(epoch, rows, settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            with autocast(device, precision):
                parts = task.step(batch, epoch)
            parts["loss"].backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if scheduler is not None and settings.schedule_by is Stepping.step:
                scheduler.step()
            state.add(parts, len(batch) / rows)
            keeper.step(state)
        return {f"train/{name}": float(total) for name, total in state.totals.items()}

    for epoch in range(state.epoch, settings.epochs + 1):
        task.train()
        values = run_epoch(epoch)
        _check_finite(values["train/loss"], epoch, settings)
        task.train(False)
        if validated:
            with autocast(device, precision):
                values |= task.validate()
        state.result.epochs = epoch
        state.result.history += [{"epoch": epoch, "name": name, "value": v} for name, v in values.items()]
        watch.see(epoch, values, state)
        if scheduler is not None and settings.schedule_by is Stepping.epoch:
            _step_by_epoch(scheduler, values, settings.monitor)
        if listener is not None:
            listener(epoch, values)
        if watch.patience_is_out(epoch, state):
            state.result.stopped = "patience"
            break
        due = epoch == math.ceil(settings.epochs / 5) >= FEWEST_BEFORE_RESTART
        if has_left is not None and due and not has_left():
            state.result.stopped = "plateau"
            break
    if state.best.weights:
        task.load_state_dict(state.best.weights)
    state.result.best, state.result.best_epoch = state.best.value, state.best.epoch or state.result.epochs
    keeper.end(state)
    return state.result


@dataclass(frozen=True)
class _Watch:
    """Watches the monitored value; not ``active`` where nothing is monitored."""

    settings: TrainingConf
    active: bool

    def see(self, epoch: int, values: Mapping[str, float], state: TrainingState) -> None:
        """Keep the weights if this epoch is strictly better than all before."""
        if not self.active:
            return
        seen, best = _monitored(values, self.settings.monitor), state.best.value
        higher = self.settings.monitor in HIGHER_IS_BETTER
        if math.isnan(seen):  # against which nothing would ever be better
            return
        if best is None or (seen > best if higher else seen < best):
            weights = {name: tensor.detach().clone() for name, tensor in state.task.state_dict().items()}
            state.best = Kept(seen, epoch, weights)

    def patience_is_out(self, epoch: int, state: TrainingState) -> bool:
        """Whether nothing has got better for ``patience`` epochs (0: never)."""
        return self.active and 0 < self.settings.patience <= epoch - state.best.epoch


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Forward passes in bfloat16 where that is asked for."""
    if precision is Precision.bf16 and device.type == "cpu" and not _onednn_has_bf16():
        return _without_onednn()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.bf16)


@cache
def _onednn_has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def _without_onednn() -> Iterator[None]:
    """bfloat16 on a CPU without its instructions: oneDNN's recurrent kernels refuse it, PyTorch's do not."""
    before = bool(torch._C._get_mkldnn_enabled())
    torch._C._set_mkldnn_enabled(False)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield
    finally:
        torch._C._set_mkldnn_enabled(before)


def check_settings(settings: TrainingConf, path: str = "training") -> None:
    """Refuse settings under which nothing could be trained.

    Args:
        settings: of one training run.
        path: their place in the config, for the message.

    Raises:
        TsdistillError: a number out of its range.
    """
    for name in ("epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise TsdistillError(f"{path}.{name}={getattr(settings, name)} should be 1 or more")
    if not settings.lr > 0 or math.isinf(settings.lr):
        raise TsdistillError(f"{path}.lr={settings.lr:g} should be a number above 0")
    for name in ("patience", "weight_decay", "restarts"):
        if getattr(settings, name) < 0:
            raise TsdistillError(f"{path}.{name}={getattr(settings, name)} should be 0 or more")


def _build_scheduler(
    optimizer: torch.optim.Optimizer, settings: TrainingConf
) -> LRScheduler | ReduceLROnPlateau | None:
    if not settings.scheduler:
        return None
    if not isinstance(settings.scheduler, Mapping):
        raise TsdistillError(
            f"training.scheduler={settings.scheduler!r} is no scheduler's settings; "
            "choose one by scheduler@training.scheduler=cosine"
        )
    node = dict(settings.scheduler)
    check_target(node, "training.scheduler", supplied=("optimizer",))
    found = locate(node.pop("_target_"), "training.scheduler")
    if found is ReduceLROnPlateau:
        node.setdefault("mode", "max" if settings.monitor in HIGHER_IS_BETTER else "min")
        if settings.schedule_by is Stepping.step:
            raise TsdistillError("training.schedule_by=step cannot watch a plateau; use schedule_by=epoch")
    return found(optimizer, **node)  # type: ignore[no-any-return]


def _step_by_epoch(
    scheduler: LRScheduler | ReduceLROnPlateau, values: Mapping[str, float], monitor: str
) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(_monitored(values, monitor) if monitor in values else values["train/loss"])
    else:
        scheduler.step()


def _monitored(values: Mapping[str, float], monitor: str) -> float:
    name = "train/loss" if monitor == TRAIN_LOSS else monitor
    if name not in values:
        known = [key for key in values if not key.startswith("train/")] + [
            TRAIN_LOSS,
            LAST,
            *HIGHER_IS_BETTER,
        ]
        raise TsdistillError(f"training.monitor={monitor} is not measured here; {nearest(monitor, known)}")
    return values[name]


def _check_finite(loss: float, epoch: int, settings: TrainingConf) -> None:
    if not math.isfinite(loss):
        raise TsdistillError(
            f"the training loss became {loss} in epoch {epoch}; try a lower training.lr (now {settings.lr:g})"
        )
