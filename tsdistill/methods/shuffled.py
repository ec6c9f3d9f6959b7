"""Controls of TSD: the teacher's saliency of another series, so that only its general shape can help."""

from typing import Literal

import torch
from torch import Tensor

from tsdistill.methods.base import Models
from tsdistill.methods.step import Step
from tsdistill.methods.tsd import Scale, TemporalSaliency, tsd_loss
from tsdistill.saliency.measure import Form

Partner = Literal["within", "across"]
PARTNERS_SEED = 0
"""One fixed draw of partners, whatever the student's seed: part of what the control is."""


def partners(y: Tensor, partner: Partner) -> Tensor:
    """Give every series another one, by a fixed permutation.

    Args:
        y: classes of the training part, (N,) int64.
        partner: ``within``: one of its own class (a class of one series keeps its own); ``across``: one of
            another class. Where one class holds more than half of the series no permutation does that;
            then some series are partners more than once.

    Returns:
        Rows, (N,) int64, on the CPU.
    """
    generator = torch.Generator().manual_seed(PARTNERS_SEED)
    y = y.cpu()
    shuffled = torch.randperm(len(y), generator=generator)
    order = shuffled[y[shuffled].argsort(stable=True)]
    found = torch.empty_like(order)
    if partner == "within":
        for label in torch.unique(y).tolist():
            members = order[y[order] == label]
            found[members] = members.roll(1)
        return found
    # Sorted by class, whoever stands the largest class's size further on is of another class.
    found[order] = order.roll(-int(torch.bincount(y).max()))
    for row in (y[found] == y).nonzero().flatten().tolist():
        others = (y != y[row]).nonzero().flatten()
        found[row] = others[torch.randint(len(others), (1,), generator=generator)]
    return found


class ShuffledSaliency(TemporalSaliency):
    """``tsd_loss`` against the teacher's saliency of a partner series at the very same windows' places.

    The student sees its own series and their perturbed copies, as under TSD; only the target is another's.

    Args:
        tau: temperature.
        form: form of the saliency, see ``TemporalSaliency``.
        scale: see ``TemporalSaliency``.
        partner: see ``partners``.
    """

    def __init__(
        self,
        tau: float = 8.0,
        form: Form = "classwise",
        scale: Scale = "own",
        partner: Partner = "across",
    ) -> None:
        super().__init__(tau, form, scale)
        self.partner = partner
        self._partners = torch.empty(0, dtype=torch.int64)

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        self._partners = partners(models.y, self.partner)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        assert isinstance(step.rows, Tensor)
        clean, perturbed = step.teacher.elsewhere(self._partners[step.rows.cpu()])
        return tsd_loss(
            step.student.logits, step.student.perturbed, clean, perturbed, self.tau, self.form, self.scale
        )
