"""What any loss term has to do in a stage."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

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

N, V, CHANNELS, CLASSES, LENGTH, WINDOW = 12, 5, 1, 3, 16, 4


def check_loss_term(build: Callable[[], LossTerm]) -> None:
    """Check a loss term with a small convolutional teacher and student.

    The loss is a finite scalar with a gradient for the student, the teacher stays as it is, validation
    changes no state, two equal runs give equal weights, and a short training lowers the loss.

    Args:
        build: makes a new term, such as its class.

    Raises:
        AssertionError: one line that says what is wrong.
    """
    teacher, parts = _network(1, (6, 8, 6)).eval().requires_grad_(False), _parts()
    before = copy.deepcopy(teacher.state_dict())
    task = _task(build, teacher, parts)
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
    history = _trained(build, teacher, parts)
    assert history[0] == _trained(build, teacher, parts)[0], "two equal runs end in different weights"
    assert history[1][-1] <= history[1][0], "30 epochs of training do not lower the loss"
    same = all(torch.equal(value, teacher.state_dict()[name]) for name, value in before.items())
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
    build: Callable[[], LossTerm], teacher: FCN, parts: dict[str, TensorPart]
) -> tuple[list[list[float]], list[float]]:
    """Weights after a short training, and the training loss of each epoch."""
    task = _task(build, teacher, parts)
    result = fit(
        task,
        TrainingConf(epochs=30, batch_size=6, lr=0.01, patience=0, monitor="train_loss"),
        rows=N,
        validated=False,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )
    losses = [float(row["value"]) for row in result.history if row["name"] == "train/loss"]
    smooth = [sum(losses[:3]) / 3, sum(losses[-3:]) / 3]
    return [p.detach().flatten().tolist() for p in task.student.parameters()], smooth


def _task(build: Callable[[], LossTerm], teacher: FCN, parts: dict[str, TensorPart]) -> StageTask:
    torch.manual_seed(0)
    student, term = _network(0, (4, 6, 5)), build()
    view = TeacherView(
        {name: _answers(teacher, part) for name, part in parts.items()},
        _provider(teacher).input_gradients(parts["train"]) if "teacher_gradients" in term.needs else None,
        _windows(teacher, parts["train"]) if "windows" in term.needs else None,
        teacher,
        _provider(teacher),
    )
    return StageTask(student, Stage("train", {"term": term}, {"term": 1.0}), view, parts, epochs=30)


def _provider(network: FCN) -> NetworkTeacher:
    return NetworkTeacher.around(network)


def _network(seed: int, filters: tuple[int, int, int]) -> FCN:
    torch.manual_seed(seed)
    return FCN(CHANNELS, CLASSES, filters=filters, kernels=(3, 3, 3))


def _parts() -> dict[str, TensorPart]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: TensorPart(
            torch.randn(rows, CHANNELS, LENGTH, generator=generator), torch.arange(rows) % CLASSES
        )
        for name, rows in (("train", N), ("validation", V))
    }


@torch.no_grad()
def _answers(teacher: FCN, part: TensorPart) -> Tensor:
    logits: Tensor = teacher(part.x)
    return logits


def _windows(teacher: FCN, train: TensorPart) -> CachedWindows:
    references, starts = References(train.x, train.y), LENGTH - WINDOW + 1
    generator = torch.Generator().manual_seed(0)
    pool = draw_pool(references, train.y, torch.full((N,), starts), starts, generator)
    logits = pool_logits(teacher, train, pool, references, WINDOW)
    return CachedWindows(pool, logits, references, WINDOW, 4, "uniform", torch.Generator().manual_seed(1))
