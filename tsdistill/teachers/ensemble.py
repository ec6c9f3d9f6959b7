"""Several teachers that answer together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.errors import TsdistillError
from tsdistill.teachers.base import ANSWERS, AnswerModule, FitTask, Teacher
from tsdistill.training.seeds import generator_of


@dataclass(frozen=True)
class Member:
    """A teacher by its settings.

    Attributes:
        name: its name among the teachers.
        build: makes it.
        task: what it learns from, under a seed.
    """

    name: str
    build: Callable[[], Teacher]
    task: Callable[[int], FitTask]


class Ensemble(Teacher):
    """The mean of several teachers, each trained from ``size`` seeds.

    It provides what follows from answers, as far as each member does: with a file of answers among them it
    answers no new series either.

    Args:
        members: the teachers of ``teacher.members``.
        size: how many of each; the first has the ensemble's own seed.
        combine: ``probabilities`` answers the logarithm of the mean probabilities, as InceptionTime's
            ensemble (arXiv 1909.04939) does; ``logits`` the mean of the logits.
    """

    def __init__(
        self,
        members: Sequence[Member],
        size: int = 1,
        combine: Literal["probabilities", "logits"] = "probabilities",
    ) -> None:
        if size < 1:
            raise TsdistillError(f"teacher.kind.size={size} should be 1 or more")
        # Before anything is trained, so that a method that needs more is refused; to build one costs nothing.
        self.provides = ANSWERS.intersection(*(member.build().provides for member in members))  # type: ignore[misc]
        self._members = [(member, number) for number in range(size) for member in members]
        self._combine = combine
        self._teachers: list[Teacher] = []

    def fit(self, task: FitTask) -> Mapping[str, Any]:
        """Train every member."""
        self._teachers, went = [], []
        for member, number in self._members:
            teacher = member.build()
            went.append(dict(teacher.fit(member.task(_seed(task, number)))))
            self._teachers.append(teacher)
        return {"members": went}

    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """See ``Teacher``."""
        return self._mean([teacher.logits for teacher in self._teachers], x, lengths)

    def training_modules(self, rows: int) -> Sequence[tuple[Tensor, nn.Module]]:
        """See ``Teacher``: a module for each combination of the members' own."""
        answering = [teacher.training_modules(rows) for teacher in self._teachers]
        owner = torch.zeros(rows, len(answering), dtype=torch.int64)
        for column, modules in enumerate(answering):
            for number, (some, _) in enumerate(modules):
                owner[some, column] = number
        found: list[tuple[Tensor, nn.Module]] = []
        for choice in torch.unique(owner, dim=0):
            chosen = [answering[column][number][1] for column, number in enumerate(choice.tolist())]
            some = (owner == choice).all(dim=1).nonzero().squeeze(1)
            found.append((some, AnswerModule(partial(self._mean, [_asked(module) for module in chosen]))))
        return found

    def _mean(
        self, answers: Sequence[Callable[..., Tensor]], x: Tensor, lengths: Tensor | None = None
    ) -> Tensor:
        found = torch.stack([answer(x, lengths) for answer in answers])
        if self._combine == "logits":
            return found.mean(dim=0)
        log_p = functional.log_softmax(found.double(), dim=-1)
        return (log_p.exp().mean(dim=0).clamp_min(torch.finfo(torch.float64).tiny)).log().float()

    def parameters(self) -> int | None:
        """See ``Teacher``; None if a member has none to count."""
        counts = [teacher.parameters() for teacher in self._teachers]
        return None if None in counts else sum(count for count in counts if count is not None)

    def notes(self) -> list[str]:
        """See ``Teacher``; each note begins with its member's name."""
        told = zip(self._members, self._teachers, strict=True)
        return [f"{member.name}: {note}" for (member, _), teacher in told for note in teacher.notes()]

    def state(self) -> Mapping[str, Tensor]:
        """Every member's, behind its number."""
        return {
            f"{number}.{name}": tensor
            for number, teacher in enumerate(self._teachers)
            for name, tensor in teacher.state().items()
        }

    def restore(self, state: Mapping[str, Tensor], task: FitTask) -> None:
        """See ``Teacher``."""
        self._teachers = []
        for place, (member, number) in enumerate(self._members):
            prefix = f"{place}."
            own = {
                name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
            }
            teacher = member.build()
            teacher.restore(own, member.task(_seed(task, number)))
            self._teachers.append(teacher)


def _seed(task: FitTask, number: int) -> int:
    seed = task.seeds[0]
    return seed if number == 0 else generator_of(seed, f"member {number}").initial_seed() % 2**31


def _asked(module: nn.Module) -> Callable[..., Tensor]:
    """A module as a function of series and lengths; a network without padding takes no lengths."""

    @torch.no_grad()
    def answer(x: Tensor, lengths: Tensor | None = None) -> Tensor:
        logits: Tensor = module(x) if lengths is None else module(x, lengths)
        return logits.float()

    return answer
