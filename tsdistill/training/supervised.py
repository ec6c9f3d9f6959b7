"""Training with labels alone: how a teacher's network learns."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.data.tensors import TensorPart
from tsdistill.training.generators import generators_in

EVALUATION_BATCH = 512
"""Series in one forward pass without gradients."""

Score = Callable[[Tensor, Tensor], Mapping[str, float]]
"""Further validation metrics of (logits, y)."""


class Supervised(nn.Module):
    """A classifier that minimises the cross-entropy with the labels; what the training loop trains.

    Args:
        model: trained in place.
        parts: ``train`` and, if there is one, ``validation``.
        score: further validation metrics, for monitors other than the loss.
    """

    def __init__(self, model: nn.Module, parts: Mapping[str, TensorPart], score: Score | None = None) -> None:
        super().__init__()
        self.model = model
        self.parts = parts
        self._score = score

    def step(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """Loss of one batch: ``loss``, which is ``ce``."""
        batch = self.parts["train"].rows(rows.to(self.parts["train"].y.device))
        loss = functional.cross_entropy(answers(self.model, batch).float(), batch.y)
        return {"loss": loss, "ce": loss}

    def generators(self) -> dict[str, torch.Generator]:
        """Those that the model holds."""
        return generators_in(self)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """``loss``, ``ce`` and whatever ``score`` adds; the caller has set eval mode."""
        part = self.parts["validation"]
        chunks = part.chunks(EVALUATION_BATCH)
        outputs = [answers(self.model, batch).float() for batch in chunks]
        loss = sum(
            float(functional.cross_entropy(logits, batch.y)) * len(batch) / len(part)
            for logits, batch in zip(outputs, chunks, strict=True)
        )
        further = {} if self._score is None else self._score(torch.cat(outputs), part.y)
        return {"loss": loss, "ce": loss, **further}


def answers(model: nn.Module, batch: TensorPart) -> Tensor:
    """Logits (B, K) of a batch; a model is given lengths where there is padding."""
    logits: Tensor = model(batch.x) if batch.lengths is None else model(batch.x, batch.lengths)
    return logits
