"""An exponential moving average of what is trained, from which validation and the kept weights are taken."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

WARM_UP = 9
"""An average of n steps keeps at most n / (n + 9) of itself: its mean age stays below a tenth of them."""


@dataclass
class Average:
    """The average of a task's weights over the steps so far.

    Buffers of floating point (batch normalisation's statistics) are averaged too; others, and those that
    have grown, are copied.

    Attributes:
        decay: the share of the average in its next value, below 1; 0 for no average.
        steps: how many it is of.
        weights: state dict of the task, averaged; empty before the first step.
    """

    decay: float
    steps: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, task: Any) -> None:
        """Take in the weights after a step."""
        if not self.decay:
            return
        self.steps += 1
        now: Mapping[str, Tensor] = task.state_dict()
        averaged = [name for name, tensor in now.items() if self._averages(name, tensor)]
        if averaged:
            take_in = get_ema_multi_avg_fn(min(self.decay, self.steps / (self.steps + WARM_UP)))  # type: ignore[no-untyped-call]
            take_in([self.weights[name] for name in averaged], [now[name] for name in averaged], self.steps)
        self.weights |= {name: tensor.clone() for name, tensor in now.items() if name not in averaged}

    def _averages(self, name: str, tensor: Tensor) -> bool:
        """Whether there is something to average a tensor with."""
        before = self.weights.get(name)
        return before is not None and before.shape == tensor.shape and tensor.is_floating_point()

    @contextmanager
    def put_into(self, task: Any) -> Iterator[None]:
        """Give the task the average for a while, then its own weights again; nothing where there is none."""
        if not self.weights:
            yield
            return
        own = {name: tensor.clone() for name, tensor in task.state_dict().items()}
        task.load_state_dict(self.weights)
        try:
            yield
        finally:
            task.load_state_dict(own)

    def capture(self) -> dict[str, Any]:
        """All but the decay; tensors are shared, not copied."""
        return {"steps": self.steps, "weights": self.weights}

    def restore(self, captured: Mapping[str, Any], device: torch.device) -> None:
        """Become what ``capture`` gave."""
        self.steps = captured["steps"]
        self.weights = {name: tensor.to(device) for name, tensor in captured["weights"].items()}
