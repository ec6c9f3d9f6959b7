"""What any teacher has to do."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.methods.features import hint_layer
from tsdistill.teachers.base import ANSWERS, FitTask, Teacher
from tsdistill.training.state import FitResult

N, V, CHANNELS, CLASSES, LENGTH = 12, 6, 2, 3, 20


def check_teacher(build: Callable[[], Teacher]) -> None:
    """Check a teacher: its answers, whether they repeat, restoring, what it provides.

    Args:
        build: makes it, without arguments, such as its class.

    Raises:
        AssertionError: one line that says what is wrong.
    """
    teacher, task = build(), _task(0)
    assert isinstance(teacher, Teacher), f"{type(teacher).__name__} is not a tsdistill.teachers.base.Teacher"
    assert teacher.provides >= ANSWERS, "provides lacks what every teacher has: write ANSWERS | {...}"
    teacher.fit(task)
    _check_answers(teacher, task)
    _check_again(build, teacher, task)
    _check_provided(teacher, task)


def _check_answers(teacher: Teacher, task: FitTask) -> None:
    x, y = task.parts["train"].x, task.parts["train"].y
    before = x.clone()
    logits = teacher.logits(x)
    assert isinstance(logits, Tensor), f"logits are a {type(logits).__name__}, not a tensor"
    wanted = (N, CLASSES)
    assert tuple(logits.shape) == wanted, f"logits have shape {tuple(logits.shape)}, not (B, K) = {wanted}"
    assert logits.dtype is torch.float32, f"logits are {logits.dtype}, not torch.float32"
    assert torch.isfinite(logits).all(), "logits are not finite; clip probabilities before the logarithm"
    assert torch.equal(x, before), "logits changes the series that it is given"
    assert torch.equal(logits, teacher.logits(x)), "the same series get different logits"
    assert torch.allclose(logits[:1], teacher.logits(x[:1]), atol=1e-4), (
        "a series' logits depend on the batch"
    )
    right = float((logits.argmax(1) == y).float().mean())
    assert right > 1.5 / CLASSES, (
        f"after fit, {right:.0%} of easy training series are right: is the order of classes kept?"
    )


def _check_again(build: Callable[[], Teacher], teacher: Teacher, task: FitTask) -> None:
    x, state = task.parts["validation"].x, teacher.state()
    assert all(isinstance(value, Tensor) for value in state.values()), "state holds more than tensors"
    again = build()
    again.restore(state, task)
    same = torch.allclose(again.logits(x), teacher.logits(x), atol=1e-5)
    how = "from its state" if state else "by fitting again (take every random draw from task.seeds)"
    assert same, f"restored {how}, it answers differently"


def _check_provided(teacher: Teacher, task: FitTask) -> None:
    part = task.parts["train"]
    if "teacher_gradients" in teacher.provides:
        shape = tuple(teacher.input_gradients(part).shape)
        wanted = (N, CLASSES, CHANNELS, LENGTH)
        assert shape == wanted, f"input_gradients have shape {shape}, not (N, K, C, T) = {wanted}"
    if "teacher_features" in teacher.provides:
        assert not teacher.network.training, "its network is not in eval mode"
        trained = [name for name, p in teacher.network.named_parameters() if p.requires_grad]
        assert not trained, f"its network is not frozen: {', '.join(trained[:3])}"
        hint_layer(teacher.network, None, "the teacher's hint_layer")


def _task(seed: int) -> FitTask:
    """Three classes that differ in level, so that any classifier tells them apart."""
    generator = torch.Generator().manual_seed(seed)

    def part(rows: int) -> TensorPart:
        y = torch.arange(rows) % CLASSES
        noise = 0.1 * torch.randn(rows, CHANNELS, LENGTH, generator=generator)
        return TensorPart(noise + y[:, None, None].float(), y)

    def optimise(network: nn.Module, start: int, watched: bool) -> FitResult:
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(50):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(parts["train"].x), parts["train"].y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return FitResult(epochs=50, best_epoch=50)

    parts = {"train": part(N), "validation": part(V)}
    return FitTask(parts, CLASSES, torch.device("cpu"), (seed,), optimise)
