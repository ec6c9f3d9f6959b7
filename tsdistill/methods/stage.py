"""A stage of a method at work: a weighted sum of terms, computed for one student under one teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.data.tensors import TensorPart
from tsdistill.methods.base import Features, LossTerm, Need, StepFacts
from tsdistill.methods.features import captured, feature_shape, forward_to, hint_layer
from tsdistill.saliency.joint import Statistics, joint_logits, stacked_logits
from tsdistill.saliency.source import WindowSource
from tsdistill.saliency.windows import Windows

EVALUATION_BATCH = 512


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
        return frozenset[Need]().union(*(term.needs for term in self.terms.values()))


@dataclass
class TeacherView:
    """What a student sees of its teacher.

    Attributes:
        logits: the teacher's, by part name, (N, K), on the device.
        model: the frozen network in eval mode; only there when features are needed.
        windows: perturbations and the teacher's logits on them; only there when they are needed.
    """

    logits: Mapping[str, Tensor] = field(default_factory=dict)
    model: nn.Module | None = None
    windows: WindowSource | None = None


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
    """

    def __init__(
        self,
        student: nn.Module,
        stage: Stage,
        teacher: TeacherView,
        parts: Mapping[str, TensorPart],
        statistics: Statistics = "clean",
        score: Callable[[Tensor, Tensor], Mapping[str, float]] | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        self.terms = nn.ModuleDict(dict(stage.terms))
        self.stage = stage
        self.parts = parts
        self._teacher = (teacher,)  # a tuple hides the network from nn.Module
        self._statistics: Statistics = statistics
        self._score = score
        self._layers = self._bind()
        self._guided = {guided for _, guided in self._layers.values()}
        self._logits_wanted = any(term.needs_logits for term in stage.terms.values())

    @property
    def teacher(self) -> TeacherView:
        """The teacher's answers."""
        return self._teacher[0]

    def _bind(self) -> dict[str, tuple[str, str]]:
        """Tell the terms what they will work on; layers (teacher, student) of those that compare features."""
        layers: dict[str, tuple[str, str]] = {}
        train = self.parts["train"]
        for name, term in self.stage.terms.items():
            term.meet(train.y)
            if "features" not in term.needs:
                continue
            assert self.teacher.model is not None
            hint = hint_layer(self.teacher.model, term.teacher_layer, "the teacher's layer (teacher_layer)")
            guided = hint_layer(self.student, term.student_layer, "the student's layer (student_layer)")
            layers[name] = (hint, guided)
            shapes = [
                feature_shape(model, layer, train.x, train.lengths)
                for model, layer in ((self.teacher.model, hint), (self.student, guided))
            ]
            term.bind(Features(*shapes))
            term.to(train.x.device)
        return layers

    def step(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Loss of one batch.

        Args:
            rows: rows of the training part, (B,) int64, on the CPU.
            epoch: counted from 1.

        Returns:
            ``loss``, and the unweighted value of each term by its name; scalars.
        """
        batch = self.parts["train"].rows(rows.to(self.parts["train"].y.device))
        facts = StepFacts(batch.y, epoch, teacher_logits=self._teacher_logits("train", rows))
        if "windows" in self.stage.needs:
            assert self.teacher.windows is not None
            windows, answers = self.teacher.windows.draw(rows, batch.x)
            passes = stacked_logits if self._layers else joint_logits
            with captured(self.student, self._guided) as stacked:
                clean, perturbed = passes(self.student, batch.x, windows, batch.lengths, self._statistics)
            caught = {layer: rows_[: len(batch)] for layer, rows_ in stacked.items()}
            facts = replace(
                facts,
                student_logits=clean.float(),
                student_perturbed=perturbed.float(),
                teacher_perturbed=answers,
                rows=rows,
                teacher_elsewhere=partial(self._elsewhere, windows),
            )
        else:
            logits, caught = self._clean_pass(batch)
            facts = replace(facts, student_logits=logits)
        return self._losses(facts, batch, caught)

    def _elsewhere(self, windows: Windows, rows: Tensor) -> tuple[Tensor, Tensor]:
        """See ``StepFacts.teacher_elsewhere``."""
        assert self.teacher.windows is not None
        logits = self.teacher.logits["train"]
        return logits[rows.to(logits.device)], self.teacher.windows.elsewhere(rows, windows)

    def _clean_pass(self, batch: TensorPart) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Student's logits and features of clean series; only up to the guided layers if that is all."""
        if not self._logits_wanted:
            return None, forward_to(self.student, self._guided, batch.x, batch.lengths)
        with captured(self.student, self._guided) as caught:
            logits: Tensor = (
                self.student(batch.x) if batch.lengths is None else self.student(batch.x, batch.lengths)
            )
        return logits.float(), caught

    def _losses(self, facts: StepFacts, batch: TensorPart, caught: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Evaluate the terms that these facts suffice for, and their weighted sum."""
        parts: dict[str, Tensor] = {}
        hints = self._hints(batch)
        for name, term in self.stage.terms.items():
            if "windows" in term.needs and facts.student_perturbed is None:
                continue
            seen = facts
            if name in self._layers:
                hint, guided = self._layers[name]
                seen = replace(
                    facts,
                    student_features=caught[guided],
                    teacher_features=hints[hint],
                    inside=batch.inside,
                )
            parts[name] = term(seen)
        if not parts:
            return {}
        loss = torch.stack([self.stage.weights[name] * value for name, value in parts.items()]).sum()
        return {"loss": loss, **parts}

    @torch.no_grad()
    def _hints(self, batch: TensorPart) -> dict[str, Tensor]:
        """The teacher's hidden sequences by layer; nothing is run where no term compares features."""
        layers = {hint for hint, _ in self._layers.values()}
        if not layers:
            return {}
        assert self.teacher.model is not None
        found = forward_to(self.teacher.model, layers, batch.x, batch.lengths)
        return {layer: sequence.float() for layer, sequence in found.items()}

    def _teacher_logits(self, part: str, rows: Tensor | slice) -> Tensor | None:
        if "teacher_logits" not in self.stage.needs:
            return None
        logits = self.teacher.logits[part]
        return logits[rows.to(logits.device) if isinstance(rows, Tensor) else rows]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Values on the validation part; the caller has set eval mode.

        Returns:
            ``loss`` (without the terms that need windows, which only the training part has), each such term,
            ``ce``, and whatever ``score`` adds.
        """
        part = self.parts["validation"]
        totals: dict[str, float] = {}
        outputs = []
        for i, batch in enumerate(part.chunks(EVALUATION_BATCH)):
            stretch = slice(i * EVALUATION_BATCH, i * EVALUATION_BATCH + len(batch))
            logits, caught = self._clean_pass(batch)
            facts = StepFacts(
                batch.y, 1, student_logits=logits, teacher_logits=self._teacher_logits("validation", stretch)
            )
            for name, value in self._losses(facts, batch, caught).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(batch) / len(part)
            if logits is not None:
                outputs.append(logits)
        if outputs:
            joined = torch.cat(outputs)
            totals.setdefault("ce", float(functional.cross_entropy(joined, part.y)))
            if self._score is not None:
                totals.update(self._score(joined, part.y))
        return totals
