"""A student with its preprocessing as one PyTorch module, for forms that hold graphs."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.data.prepare import Preparation
from tsdistill.deploy.student import Student
from tsdistill.errors import TsdistillError
from tsdistill.models.recurrent import LSTM, Recurrent


class _Scaling(nn.Module):
    """Scales each channel by moments that are given, in two parts so that a large mean costs no digits."""

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        assert preparation.moments is not None
        mean, deviation = (torch.tensor(one, dtype=torch.float64) for one in preparation.moments)
        scale = torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation))
        for name, values in (
            ("mean", mean.float()),
            ("rest", (mean - mean.float().double()).float()),
            ("scale", scale.float()),
        ):
            self.register_buffer(name, values[None, :, None])

    def forward(self, x: Tensor) -> Tensor:
        """Scale (B, C, T)."""
        mean, rest, scale = self.get_buffer("mean"), self.get_buffer("rest"), self.get_buffer("scale")
        return (x - mean - rest) * scale


class WholeGraph(nn.Module):
    """Series before preprocessing, (B, C, T) with NaN for gaps, to logits (B, K).

    Series of one batch have one length, which may be another in the next; under ``dataset.lengths=pad`` a
    second input ``lengths``, (B,) int64, gives the true lengths instead, and T is the student's own.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.model = student.model
        self.preparation = student.preparation
        given = student.preparation.moments is not None
        self.scaling = _Scaling(student.preparation) if given else None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify."""
        how, preparation = self.preparation.how, self.preparation
        mask = None if lengths is None else torch.arange(x.shape[-1]) < lengths[:, None]
        x = _filled(x, mask) if how.gaps == "interpolate" else torch.nan_to_num(x, nan=0.0)
        if preparation.cut is not None:
            x = x[:, :, : preparation.cut]
        if lengths is None:
            x = _resampled(x, preparation.length)
        if self.scaling is not None:
            x = self.scaling(x)
        elif how.scaling == "per_series":
            x = _standardised(x, lengths, mask)
        if mask is not None:
            x = torch.where(mask[:, None], x, torch.zeros(()))
        if lengths is not None and isinstance(self.model, Recurrent):
            return _last_true_step(self.model, x, lengths)
        logits: Tensor = self.model(x) if lengths is None else self.model(x, lengths)
        return logits


def _last_true_step(model: Recurrent, x: Tensor, lengths: Tensor) -> Tensor:
    """What the model gives, with the last steps gathered in a way whose batch stays dynamic in a graph."""
    h = x.transpose(1, 2)
    for layer in model.layers:
        h, _ = layer(h)
    last = h.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, h.shape[2]))
    return functional.linear(last[:, 0], model.head.weight, model.head.bias)


def _filled(x: Tensor, mask: Tensor | None) -> Tensor:
    """Fill gaps linearly from the values before and after, at the ends with the nearest one."""
    there = ~torch.isnan(x)
    if mask is not None:
        there = there & mask[:, None]
    steps = torch.arange(x.shape[-1]).expand_as(x)
    # Places of the values in order, those of gaps after them; a gap's rank is the number of values before it.
    order = torch.argsort(torch.where(there, steps, steps + x.shape[-1]), dim=-1)
    rank, count = there.long().cumsum(-1), there.long().sum(-1, keepdim=True)
    left = order.gather(-1, (rank - 1).clamp_min(0))
    right = order.gather(-1, torch.minimum(rank, (count - 1).clamp_min(0)))
    start, end = x.gather(-1, left), x.gather(-1, right)
    weight = ((steps - left).float() / (right - left).clamp_min(1).float()).clamp(0.0, 1.0)
    return torch.where(there, x, start + weight * (end - start))


def _resampled(x: Tensor, length: int) -> Tensor:
    """Bring (B, C, T) of any T to ``length`` steps, linearly, both ends kept."""
    place = torch.arange(length) * (x.shape[-1] - 1)
    left = place // max(length - 1, 1)
    weight = (place - left * (length - 1)).float() / max(length - 1, 1)
    right = torch.minimum(left + 1, torch.ones_like(left) * (x.shape[-1] - 1))
    start = x[:, :, left]
    return start + weight * (x[:, :, right] - start)


def _standardised(x: Tensor, lengths: Tensor | None, mask: Tensor | None) -> Tensor:
    """Each channel of each series to mean 0 and deviation 1; 0 where all values are equal."""
    inside = torch.ones_like(x) if mask is None else mask[:, None].to(x).expand_as(x)
    count = inside.sum(-1, keepdim=True)
    away = (x - x[:, :, :1]) * inside  # exact where values are near each other
    away = (away - away.sum(-1, keepdim=True) / count) * inside
    away = (away - away.sum(-1, keepdim=True) / count) * inside
    variance = away.square().sum(-1, keepdim=True) / count
    flat = ((x - x[:, :, :1]) * inside).abs().amax(-1, keepdim=True) == 0
    return torch.where(flat, torch.zeros_like(x), away / torch.where(flat, torch.ones(()), variance).sqrt())


class StepGraph(nn.Module):
    """One step of a stream, (B, C), and the state before it, to logits (B, K) and the state after it.

    States are (layers, B, hidden): ``h``, and of an LSTM ``c``.

    Raises:
        TsdistillError: the student is not recurrent, or its preprocessing needs the whole series.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        if not isinstance(student.model, Recurrent):
            raise TsdistillError(
                f"stream=true: {type(student.model).__name__} has no state; only LSTM and GRU students stream"
            )
        reason = student.preparation.needs_whole_series()
        if reason:
            raise TsdistillError(f"stream=true: {reason}; export the whole graph instead")
        self.model = student.model
        self.length = student.preparation.length
        self.zero = student.preparation.how.gaps == "zero"
        given = student.preparation.moments is not None
        self.scaling = _Scaling(student.preparation) if given else None

    def forward(self, x: Tensor, h: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        """Take the step."""
        x = torch.nan_to_num(x, nan=0.0) if self.zero else x
        step = x[:, :, None]
        step = self.scaling(step) if self.scaling is not None else step
        value = step.transpose(1, 2)
        hs, cs = [], []
        for at, layer in enumerate(self.model.layers):
            if c is None:
                value, new = layer(value, h[at : at + 1])
                hs.append(new)
            else:
                value, (new, cell) = layer(value, (h[at : at + 1], c[at : at + 1]))
                hs.append(new)
                cs.append(cell)
        logits = functional.linear(value[:, 0], self.model.head.weight, self.model.head.bias)
        return (logits, torch.cat(hs)) if c is None else (logits, torch.cat(hs), torch.cat(cs))

    def start(self, batch: int) -> tuple[Tensor, ...]:
        """The state before the first step."""
        shape = (len(self.model.layers), batch, self.model.head.in_features)
        return tuple(torch.zeros(shape) for _ in range(2 if isinstance(self.model, LSTM) else 1))
