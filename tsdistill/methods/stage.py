"""A stage of a method at work: a weighted sum of terms, computed for one student under one teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.data.tensors import TensorPart
from tsdistill.methods.base import LossTerm, Models, Need
from tsdistill.methods.features import forward_to
from tsdistill.methods.step import Plan, Step, TeacherView, union
from tsdistill.saliency.joint import Statistics
from tsdistill.training.generators import generators_in

EVALUATION_BATCH = 512
LARGEST_KEPT = 2**26
"""Most numbers in the teacher's features that are kept for a part; above, each step computes its own."""
TRAINING_ONLY: frozenset[Need] = frozenset({"windows", "teacher_gradients", "student_gradients"})
"""What only steps on the training part bring."""


@dataclass
class Stage:
    """What one stage minimises.

    Attributes:
        name: key in the method's config.
        terms: loss terms by name.
        weights: factor of each, by the same names.
        monitor: validation value that early stopping watches; None leaves it to the training settings.
        epochs: most epochs of this stage; None leaves it to the training settings.
    """

    name: str
    terms: Mapping[str, LossTerm]
    weights: Mapping[str, float]
    monitor: str | None = None
    epochs: int | None = None

    @property
    def needs(self) -> frozenset[Need]:
        """Everything that one of the terms needs."""
        return union([term.needs for term in self.terms.values()])


class StageTask(nn.Module):
    """A student in one stage; what the training loop trains.

    Its parameters are the student's and those of the terms (a regressor, say). The teacher is no submodule,
    so that neither an optimiser nor ``train()`` can touch it.

    Args:
        student: trained in place.
        stage: the loss.
        teacher: answers of the teacher.
        parts: ``train`` and, if there is one, ``validation``.
        statistics: batch normalisation in the joint pass, see ``joint_logits``.
        score: further validation metrics of (logits, y), for monitors that are no term of the loss.
        epochs: number of epochs of the stage, for terms whose weight follows a schedule.
    """

    def __init__(
        self,
        student: nn.Module,
        stage: Stage,
        teacher: TeacherView,
        parts: Mapping[str, TensorPart],
        statistics: Statistics = "clean",
        score: Callable[[Tensor, Tensor], Mapping[str, float]] | None = None,
        epochs: int = 1,
    ) -> None:
        super().__init__()
        self.student = student
        self.terms = nn.ModuleDict(dict(stage.terms))
        self.stage = stage
        self.parts = parts
        self._teacher = (teacher,)  # a tuple hides the network from nn.Module
        self._score = score
        self._plan = self._bind(statistics, epochs)

    @property
    def teacher(self) -> TeacherView:
        """The teacher's answers."""
        return self._teacher[0]

    def _bind(self, statistics: Statistics, epochs: int) -> Plan:
        """Let the terms ask for layers and build their modules; returns what every step has to bring."""
        train, needs = self.parts["train"], self.stage.needs
        lengths = None if train.lengths is None else train.lengths[:1]
        network = self.teacher.network if "teacher_features" in needs else None
        models = Models(train.y, self.student, network, train.x[:1], lengths)
        for term in self.stage.terms.values():
            term.bind(models)
            term.to(train.x.device)
        self._numbers = sum(layer.shape[0] * layer.shape[1] for layer in models.teacher_layers.values())
        return Plan(
            needs,
            frozenset(models.student_layers),
            frozenset(models.teacher_layers),
            any(term.needs_logits for term in self.stage.terms.values()),
            statistics,
            epochs,
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Put weights and buffers back; a term's buffer (a memory bank) may have grown meanwhile."""
        for name, buffer in list(self.terms.named_buffers(prefix="terms")):
            stored = state_dict.get(name)
            if stored is not None and stored.shape != buffer.shape:
                owner, _, key = name.rpartition(".")
                setattr(self.get_submodule(owner), key, torch.empty_like(stored))
        return super().load_state_dict(state_dict, strict, assign)

    def generators(self) -> dict[str, torch.Generator]:
        """Those that the student and the terms hold, and the one that draws windows."""
        windows = self.teacher.windows
        return generators_in(self) | ({} if windows is None else {"windows": windows.generator})

    def step(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            rows: rows of the training part, (B,) int64, on the CPU.
            epoch: counted from 1.

        Returns:
            ``loss``, and the unweighted value of each term by its name; scalars.
        """
        self._keep_features("train")
        batch = self.parts["train"].rows(rows.to(self.parts["train"].y.device))
        return self._losses(Step(self._plan, "train", rows, batch, epoch, self.student, self.teacher))

    @torch.no_grad()
    def _keep_features(self, name: str) -> None:
        """Compute the teacher's features on a whole part once: it is frozen, and the series don't change."""
        layers, kept, part = self._plan.teacher_layers, self.teacher.features, self.parts[name]
        if not layers or layers <= set(kept.get(name, ())):
            return
        if self._numbers * len(part) > LARGEST_KEPT:
            kept.pop(name, None)  # an earlier stage's, of other layers
            return
        assert self.teacher.network is not None
        found = [
            forward_to(self.teacher.network, layers, batch.x, batch.lengths)
            for batch in part.chunks(EVALUATION_BATCH)
        ]
        kept[name] = {layer: torch.cat([each[layer] for each in found]).float() for layer in layers}

    def _losses(self, step: Step) -> dict[str, Tensor]:
        """Evaluate the terms that this part of the data suffices for, and their weighted sum."""
        parts = {
            name: term(step)
            for name, term in self.stage.terms.items()
            if step.part == "train" or not term.needs & TRAINING_ONLY
        }
        if not parts:
            return {}
        loss = torch.stack([self.stage.weights[name] * value for name, value in parts.items()]).sum()
        return {"loss": loss, **parts}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Values on the validation part; the caller has set eval mode.

        Returns:
            ``loss`` (without the terms that need what only the training part has), each such term, ``ce``,
            and whatever ``score`` adds.
        """
        self._keep_features("validation")
        part = self.parts["validation"]
        totals: dict[str, float] = {}
        outputs = []
        for i, batch in enumerate(part.chunks(EVALUATION_BATCH)):
            rows = slice(i * EVALUATION_BATCH, i * EVALUATION_BATCH + len(batch))
            step = Step(self._plan, "validation", rows, batch, 1, self.student, self.teacher)
            for name, value in self._losses(step).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(batch) / len(part)
            if self._plan.logits:
                outputs.append(step.student.logits)
        if outputs:
            joined = torch.cat(outputs)
            totals.setdefault("ce", float(functional.cross_entropy(joined, part.y)))
            if self._score is not None:
                totals.update(self._score(joined, part.y))
        return totals
