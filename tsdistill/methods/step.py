"""One training step as a loss term sees it: everything is computed when first asked for, then kept."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol
from weakref import proxy

import torch
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.errors import TsdistillError
from tsdistill.methods.base import Layer, Need, as_rows
from tsdistill.methods.features import captured, forward_to
from tsdistill.saliency.joint import Statistics, joint_logits
from tsdistill.saliency.source import WindowSource
from tsdistill.saliency.windows import Windows


class Answering(Protocol):
    """The part of the teacher protocol that a step needs (see ``tsdistill.teachers``)."""

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K) of any series (B, C, T)."""
        ...


@dataclass
class TeacherView:
    """What a student sees of its teacher.

    Attributes:
        logits: by part, (N, K), on the device.
        gradients: of the training part, (N, K, C, T); only where a term needs them.
        windows: perturbations and the teacher's logits on them; only where a term needs them.
        network: in eval mode, frozen; only where a term needs features.
        teacher: for answers on any series; only where a term needs them.
        features: of a whole part, (N, D, T) by layer and part, where they were computed once for all steps.
    """

    logits: Mapping[str, Tensor] = field(default_factory=dict)
    gradients: Tensor | None = None
    windows: WindowSource | None = None
    network: nn.Module | None = None
    teacher: Answering | None = None
    features: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What the terms of a stage ask of each step, known before the first.

    Attributes:
        needs: the union of the terms' needs.
        student_layers: paths of the student's layers to capture.
        teacher_layers: of the teacher's.
        logits: whether some term reads the student's logits.
        statistics: batch normalisation in the joint pass, see ``joint_logits``.
        epochs: number of epochs of the stage.
    """

    needs: frozenset[Need] = frozenset()
    student_layers: frozenset[str] = frozenset()
    teacher_layers: frozenset[str] = frozenset()
    logits: bool = True
    statistics: Statistics = "clean"
    epochs: int = 1


class StudentSide:
    """The student in one step. All its logits and features come from one forward pass, on first use."""

    def __init__(self, step: "Step", model: nn.Module) -> None:
        self._step: Step = _unowned(step)
        self.model = model

    @property
    def logits(self) -> Tensor:
        """Logits on the clean series, (B, K) float32, with gradient."""
        logits = self._pass[0]
        if logits is None:
            raise TsdistillError("a loss term with needs_logits = False asks for the student's logits")
        return logits

    @property
    def perturbed(self) -> Tensor:
        """Logits on the perturbed copies, (B, M, K) float32, with gradient."""
        self._step.require("windows")
        perturbed = self._pass[1]
        assert perturbed is not None
        return perturbed

    def features(self, layer: Layer) -> Tensor:
        """Hidden sequence of the clean series at a layer, (B, D, T), with gradient."""
        return _captured_at(layer, self._pass[2])

    def input_gradients(self, classes: Tensor | None = None) -> Tensor:
        """Gradient of a logit with respect to the clean series, (B, C, T), which can be differentiated again.

        Args:
            classes: whose logit, (B,) int64; None takes each series' label.
        """
        chosen = self._step.y if classes is None else classes
        return self.gradients_of(self.logits.gather(1, chosen[:, None].to(self.logits.device)))

    def gradients_of(self, answers: Tensor) -> Tensor:
        """Gradient with respect to the clean series, (B, C, T), which can be differentiated again.

        Args:
            answers: what is computed from each series' logits alone, (B, ...).
        """
        self._step.require("student_gradients")
        (gradient,) = torch.autograd.grad(answers.sum(), self._step.x, create_graph=True)
        return gradient

    @cached_property
    def _pass(self) -> tuple[Tensor | None, Tensor | None, Mapping[str, Tensor]]:
        """Clean logits, perturbed logits and captured layers."""
        step, plan, model = self._step, self._step.plan, self.model
        with _twice_differentiable(step):
            if step.windowed:
                tapped = bool(plan.student_layers)
                with captured(model, plan.student_layers) as stacked:
                    clean, perturbed = joint_logits(
                        model, step.x, step.windows, step.lengths, plan.statistics, tapped=tapped
                    )
                caught = {layer: rows[: len(step.y)] for layer, rows in stacked.items()}
                return clean.float(), perturbed.float(), caught
            if not plan.logits:
                return None, None, forward_to(model, plan.student_layers, step.x, step.lengths)
            with captured(model, plan.student_layers) as found:
                logits: Tensor = model(step.x) if step.lengths is None else model(step.x, step.lengths)
            return logits.float(), None, found


class TeacherSide:
    """The teacher in one step; everything is constant."""

    def __init__(self, step: "Step", view: TeacherView) -> None:
        self._step: Step = _unowned(step)
        self._view = view

    @cached_property
    def logits(self) -> Tensor:
        """Logits on the clean series, (B, K) float32."""
        self._step.require("teacher_logits")
        logits = self._view.logits[self._step.part]
        return logits[as_rows(self._step.rows, logits)]

    @property
    def perturbed(self) -> Tensor:
        """Logits on the perturbed copies, (B, M, K) float32."""
        return self._step.drawn[1]

    def elsewhere(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits on other training series, perturbed at the places of this step's windows.

        Args:
            rows: rows of the training part, (B,) int64.

        Returns:
            Clean logits (B, K) and perturbed logits (B, M, K).
        """
        logits, windows = self._view.logits["train"], self._step.windows
        assert self._view.windows is not None
        return logits[rows.to(logits.device)], self._view.windows.elsewhere(rows, windows)

    def features(self, layer: Layer) -> Tensor:
        """Hidden sequence of the clean series at a layer, (B, D, T) float32."""
        return _captured_at(layer, self._features)

    @torch.no_grad()
    def answers(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K) on any series (B, C, T) that the term made itself."""
        self._step.require("teacher_answers")
        assert self._view.teacher is not None
        return self._view.teacher.logits(x, lengths)

    @cached_property
    def input_gradients(self) -> Tensor:
        """Gradients of all logits with respect to the clean series, (B, K, C, T)."""
        self._step.require("teacher_gradients")
        assert self._view.gradients is not None
        return self._view.gradients[as_rows(self._step.rows, self._view.gradients)]

    @cached_property
    def _features(self) -> Mapping[str, Tensor]:
        step = self._step
        if step.part in self._view.features:
            whole = self._view.features[step.part]
            return {layer: kept[as_rows(step.rows, kept)] for layer, kept in whole.items()}
        assert self._view.network is not None
        with torch.no_grad():
            found = forward_to(self._view.network, step.plan.teacher_layers, step.x.detach(), step.lengths)
        return {layer: sequence.float() for layer, sequence in found.items()}


class Step:
    """What a loss term may ask of one step.

    Attributes:
        part: ``train`` or ``validation``.
        rows: the series' rows in that part, (B,) int64 on the CPU, or a slice.
        epoch: counted from 1 within the stage.
        x: the clean series, (B, C, T).
        y: their classes, (B,) int64.
        lengths: true lengths, (B,) int64, or None.
        student: the student's side.
        teacher: the teacher's side.
        plan: what the stage's terms declared.
    """

    def __init__(
        self,
        plan: Plan,
        part: Literal["train", "validation"],
        rows: Tensor | slice,
        batch: TensorPart,
        epoch: int,
        student: nn.Module,
        teacher: TeacherView,
    ) -> None:
        self.plan, self.part, self.rows, self.epoch = plan, part, rows, epoch
        self._batch, self._view = batch, teacher
        self.windowed = part == "train" and "windows" in plan.needs
        differentiated = part == "train" and "student_gradients" in plan.needs
        self.x = batch.x.detach().clone().requires_grad_() if differentiated else batch.x
        self.y, self.lengths = batch.y, batch.lengths
        self.student, self.teacher = StudentSide(self, student), TeacherSide(self, teacher)

    @property
    def progress(self) -> float:
        """Fraction of the stage's training that is done at the beginning of this epoch, 0 <= progress < 1."""
        return (self.epoch - 1) / self.plan.epochs

    @property
    def inside(self) -> Tensor | None:
        """Which timesteps are not padding, (B, T) bool; None where none is."""
        return self._batch.inside

    @property
    def windows(self) -> Windows:
        """The M windows that perturb each series of the batch."""
        return self.drawn[0]

    @cached_property
    def drawn(self) -> tuple[Windows, Tensor]:
        """The windows, and the teacher's logits on the perturbed copies."""
        self.require("windows")
        assert self._view.windows is not None and isinstance(self.rows, Tensor)
        return self._view.windows.draw(self.rows, self._batch.x)

    def require(self, need: Need) -> None:
        """Refuse what no term of the stage declared.

        Raises:
            TsdistillError: the need was not declared.
        """
        if need not in self.plan.needs:
            raise TsdistillError(f"a loss term asks for '{need}' without declaring it; add it to its needs")


def _unowned(step: "Step") -> "Step":
    """The step of a side of it, which does not keep it alive.

    A cycle would keep what each step computed, megabytes of it, until Python's collector comes by.
    """
    unowned: Step = proxy(step)
    return unowned


def _captured_at(layer: Layer, found: Mapping[str, Tensor]) -> Tensor:
    if layer.path not in found:
        raise TsdistillError(f"a loss term asks for layer '{layer.path}' that it did not ask for in bind()")
    return found[layer.path]


def _twice_differentiable(step: Step) -> AbstractContextManager[None]:
    """CuDNN's recurrent kernels cannot be differentiated twice; PyTorch's own can."""
    if "student_gradients" in step.plan.needs and step.x.is_cuda:
        return torch.backends.cudnn.flags(enabled=False)
    return nullcontext()


def union(needs: Collection[frozenset[Need]]) -> frozenset[Need]:
    """Everything that one of several needs."""
    return frozenset[Need]().union(*needs)
