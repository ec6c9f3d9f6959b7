"""Perturbed series of which only the stretch that differs from the clean series is kept.

A convolution carries a change of L steps over at most L + k - 1 steps; beyond them its output is that of the
clean series. All copies of a batch have stretches of one length, moved inwards at the ends of the series.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tsdistill.saliency.windows import Windows

__neutral__ = "computes what a pass over whole series computes, up to rounding; a pool names the way"


@dataclass(frozen=True)
class Stretches:
    """Sequences of B series, and of N = B M copies where they may differ from their series'.

    Attributes:
        clean: (B, D, T).
        copies: (N, D, L), the copies of the first series first; L <= T.
        starts: first step of each stretch, (N,) int64, 0..T - L.
    """

    clean: Tensor
    copies: Tensor
    starts: Tensor

    @classmethod
    def of(cls, x: Tensor, windows: Windows) -> "Stretches":
        """Begin with the replaced windows.

        Args:
            x: clean series, (B, C, T).
            windows: M perturbations of each.
        """
        starts = windows.starts.flatten()
        segments = windows.segments.flatten(0, 1)
        if windows.channels is not None:
            own = _cut(x.transpose(1, 2), starts, windows.width).transpose(1, 2)
            chosen = torch.arange(x.shape[1], device=x.device) == windows.channels.flatten()[:, None]
            segments = torch.where(chosen[..., None], segments, own)
        return cls(x, segments, starts)

    @property
    def length(self) -> int:
        """L."""
        return int(self.copies.shape[-1])

    def pooled(self, keepdim: bool = False) -> "Rows":
        """Mean over time: the clean mean, and for a copy the mean change on top of it."""
        own = _cut(self.clean.transpose(1, 2), self.starts, self.length).transpose(1, 2)
        change = (self.copies - own).sum(dim=-1, keepdim=keepdim) / self.clean.shape[-1]
        mean = self.clean.mean(dim=-1, keepdim=keepdim)
        copies = len(self.copies) // len(self.clean)
        return Rows(mean, mean.repeat_interleave(copies, dim=0) + change)


@dataclass(frozen=True)
class Rows:
    """Values without a time axis.

    Attributes:
        clean: of the B series, (B, ...).
        copies: of the N copies, (N, ...).
    """

    clean: Tensor
    copies: Tensor


def slide(
    sequence: Stretches,
    clean: Tensor,
    function: Callable[[Tensor], Tensor],
    reach: int,
    stride: int,
    padding: tuple[int, int],
    fill: float = 0.0,
) -> Stretches:
    """Apply a function that slides along time.

    Output o reads the inputs from ``o * stride - padding[0]`` on, ``reach`` of them. A change from a to
    a + L - 1 therefore reaches the outputs from ceil((a + padding[0] - reach + 1) / stride) to
    floor((a + L - 1 + padding[0]) / stride).

    Args:
        sequence: what it is applied to.
        clean: what it makes of the clean series, (B, D', T').
        function: the same without padding, (N, D, S) to (N, D', L').
        reach: number of steps that one output spans.
        stride: steps between two outputs' inputs.
        padding: steps of ``fill`` before and after the series.
        fill: what stands beyond the ends.

    Returns:
        The output, with L' <= (L + reach - 2) // stride + 1.
    """
    before, after = padding
    length = min(clean.shape[-1], (sequence.length + reach - 2) // stride + 1)
    first = -((reach - 1 - before - sequence.starts) // stride)
    starts = first.clamp(0, clean.shape[-1] - length)
    around = functional.pad(sequence.clean.transpose(1, 2), (0, 0, before, after), value=fill)
    inputs = _cut(around, starts * stride, (length - 1) * stride + reach)
    _paste(inputs, sequence, sequence.starts + before - starts * stride)
    return Stretches(clean, function(inputs.transpose(1, 2)), starts)


def aligned(sequences: Sequence[Stretches]) -> list[Stretches]:
    """Widen sequences of one length T to the same stretches."""
    starts = torch.stack([each.starts for each in sequences]).amin(dim=0)
    ends = torch.stack([each.starts + each.length for each in sequences]).amax(dim=0)
    length = int((ends - starts).max())
    starts = starts.clamp(max=sequences[0].clean.shape[-1] - length)
    return [_widened(each, starts, length) for each in sequences]


def _widened(sequence: Stretches, starts: Tensor, length: int) -> Stretches:
    if length == sequence.length:
        return sequence
    copies = _cut(sequence.clean.transpose(1, 2), starts, length)
    _paste(copies, sequence, sequence.starts - starts)
    return Stretches(sequence.clean, copies.transpose(1, 2), starts)


def _cut(steps: Tensor, starts: Tensor, length: int) -> Tensor:
    """Cut stretches out of (B, T, D): (N, length, D), contiguous, which is how oneDNN likes convolutions."""
    rows = torch.arange(len(steps), device=steps.device).repeat_interleave(len(starts) // len(steps))
    return steps.unfold(1, length, 1).transpose(2, 3)[rows, starts]


def _paste(inputs: Tensor, sequence: Stretches, places: Tensor) -> None:
    """Lay copies into (N, S, D) from given places on; what falls outside is left out."""
    steps = places[:, None] + torch.arange(sequence.length, device=places.device)
    rows = torch.arange(len(places), device=places.device)[:, None].expand_as(steps)
    values = sequence.copies.transpose(1, 2)
    inside = (steps >= 0) & (steps < inputs.shape[1])
    if not inside.all():
        rows, steps, values = rows[inside], steps[inside], values[inside]
    inputs[rows, steps] = values
