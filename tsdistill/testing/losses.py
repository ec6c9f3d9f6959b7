"""What any loss term has to do in a stage."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from tsdistill.config.schema import TrainingConf
from tsdistill.data.tensors import TensorPart
from tsdistill.methods.base import LossTerm
from tsdistill.methods.stage import Stage, StageTask
from tsdistill.methods.step import TeacherView
from tsdistill.models.fcn import FCN
from tsdistill.saliency.draws import References, draw_pool
from tsdistill.saliency.pools import pool_logits
from tsdistill.saliency.source import CachedWindows
from tsdistill.teachers.network import NetworkTeacher
from tsdistill.training.loop import fit
from tsdistill.training.state import Captured, FitResult, NoKeeper, TrainingState

BROKEN_AFTER = 7
"""Steps, in the middle of an epoch, after which a training is broken off and resumed."""
N, V, CHANNELS, CLASSES, LENGTH, WINDOW = 12, 5, 1, 3, 16, 4

Network = Callable[[int, int], nn.Module]
"""Builds a classifier from the number of channels and of classes."""


def _small_teacher(channels: int, classes: int) -> nn.Module:
    return FCN(channels, classes, filters=(6, 8, 6), kernels=(3, 3, 3))


def _small_student(channels: int, classes: int) -> nn.Module:
    return FCN(channels, classes, filters=(4, 6, 5), kernels=(3, 3, 3))


def check_loss_term(
    build: Callable[[], LossTerm],
    *,
    teacher: Network = _small_teacher,
    student: Network = _small_student,
    padded: bool = False,
    weight: float = 1.0,
) -> None:
    """Check a loss term with a small teacher and student, convolutional ones unless you say otherwise.

    The loss is a finite scalar with a gradient for the student, the teacher stays as it is, validation
    changes no state, two equal runs give equal weights, even if one is broken off and resumed, and a short
    training lowers the loss.

    Args:
        build: makes a new term, such as its class.
        teacher: builds the teacher's network.
        student: builds the student.
        padded: whether series have unequal lengths; both models then take ``lengths``.
        weight: of the term in its method. Adam does not see gradients below 1e-8.

    Raises:
        AssertionError: one line that says what is wrong.
    """
    network, parts = _seeded(teacher, 1).eval().requires_grad_(False), _parts(padded)
    before = copy.deepcopy(network.state_dict())
    task = _task(build, network, student, parts, weight)
    found = task.step(torch.arange(6), 1)
    loss = found["term"]
    assert loss.dim() == 0, f"the loss has shape {tuple(loss.shape)}; it must be a scalar"
    assert torch.isfinite(loss), f"the loss is {loss.item()}"
    assert loss.requires_grad, "the loss does not depend on the student"
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in task.student.parameters() if p.grad is not None]
    assert gradients, "the loss has no gradient for the student"
    assert all(torch.isfinite(gradient).all() for gradient in gradients), "the gradient is not finite"
    _check_validation(task)
    history = _trained(build, network, student, parts, weight)
    if history[0] != _trained(build, network, student, parts, weight, BROKEN_AFTER)[0]:
        assert history[0] == _trained(build, network, student, parts, weight)[0], (
            "two equal runs end in different weights"
        )
        raise AssertionError(
            "a run that is broken off and resumed ends in other weights; keep state in buffers or generators"
        )
    assert history[1][-1] <= history[1][0], "30 epochs of training do not lower the loss"
    same = all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert same, "the term changes the teacher"


def _check_validation(task: StageTask) -> None:
    task.train(False)
    state = {name: value.clone() for name, value in task.terms.state_dict().items()}
    task.validate()
    kept = task.terms.state_dict()
    same = all(
        value.shape == kept[name].shape and torch.equal(value, kept[name]) for name, value in state.items()
    )
    assert same, "validation changes the term's state; change it only if self.training"


def _trained(
    build: Callable[[], LossTerm],
    teacher: nn.Module,
    student: Network,
    parts: dict[str, TensorPart],
    weight: float,
    broken_after: int = 0,
) -> tuple[list[list[float]], list[float]]:
    """Weights after a short training, and its smoothed loss at the beginning and the end.

    Training is broken off after the step ``broken_after`` (0: never) and resumed with everything new.
    """
    keeper = _Break(broken_after)

    def attempt() -> tuple[StageTask, FitResult]:
        task = _task(build, teacher, student, parts, weight)
        conf = TrainingConf(epochs=30, batch_size=6, lr=0.01, patience=0, monitor="train_loss")
        order, device = torch.Generator().manual_seed(0), torch.device("cpu")
        return task, fit(task, conf, rows=N, validated=False, generator=order, device=device, keeper=keeper)

    try:
        task, result = attempt()
    except _BrokenOffError:
        task, result = attempt()
    losses = [float(row["value"]) for row in result.history if row["name"] == "train/loss"]
    smooth = [sum(losses[:3]) / 3, sum(losses[-3:]) / 3]
    return [p.detach().flatten().tolist() for p in task.student.parameters()], smooth


class _BrokenOffError(Exception):
    """Breaks a training off."""


class _Break(NoKeeper):
    """Breaks a training off after a step, and restores it when it begins the next time.

    Args:
        after: the step; 0 for none.
    """

    def __init__(self, after: int) -> None:
        self._left = after
        self._captured: Captured | None = None

    def begin(self, state: TrainingState) -> bool:
        """See ``Keeper``."""
        if self._captured is not None:
            state.restore(self._captured)
        return False

    def step(self, state: TrainingState) -> None:
        """See ``Keeper``."""
        self._left -= 1
        if self._left == 0:
            self._captured = copy.deepcopy(state.capture())
            raise _BrokenOffError


def _task(
    build: Callable[[], LossTerm],
    teacher: nn.Module,
    student: Network,
    parts: dict[str, TensorPart],
    weight: float,
) -> StageTask:
    built, term = _seeded(student, 0), build()
    provider = NetworkTeacher.around(teacher)
    view = TeacherView(
        {name: provider.logits(part.x, part.lengths) for name, part in parts.items()},
        provider.input_gradients(parts["train"]) if "teacher_gradients" in term.needs else None,
        _windows(teacher, parts["train"]) if "windows" in term.needs else None,
        teacher,
        provider,
    )
    return StageTask(built, Stage("train", {"term": term}, {"term": weight}), view, parts, epochs=30)


def _seeded(network: Network, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return network(CHANNELS, CLASSES)


def _parts(padded: bool) -> dict[str, TensorPart]:
    generator = torch.Generator().manual_seed(0)
    parts = {}
    for name, rows in (("train", N), ("validation", V)):
        x = torch.randn(rows, CHANNELS, LENGTH, generator=generator)
        lengths = None
        if padded:
            lengths = LENGTH - torch.arange(rows) % (LENGTH - WINDOW)
            x = x.masked_fill(torch.arange(LENGTH) >= lengths[:, None, None], 0.0)
        parts[name] = TensorPart(x, torch.arange(rows) % CLASSES, lengths)
    return parts


def _windows(teacher: nn.Module, train: TensorPart) -> CachedWindows:
    references, starts = References(train.x, train.y, train.lengths), LENGTH - WINDOW + 1
    generator = torch.Generator().manual_seed(0)
    lengths = torch.full((N,), LENGTH) if train.lengths is None else train.lengths
    pool = draw_pool(references, train.y, lengths - WINDOW + 1, starts, generator)
    logits = pool_logits(teacher, train, pool, references, WINDOW)
    return CachedWindows(pool, logits, references, WINDOW, 4, "uniform", torch.Generator().manual_seed(1))
