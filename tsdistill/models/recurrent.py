"""Recurrent classifiers: LSTM and GRU."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from tsdistill.kernels import choice
from tsdistill.models.starts import Start, start_recurrent
from tsdistill.models.taps import taps_of
from tsdistill.saliency.windows import Windows

State = Tensor | tuple[Tensor, ...]


class Recurrent(nn.Module):
    """Recurrent layers with dropout between them and a linear classifier on the last true step.

    The layers are modules of their own, so that the hidden sequence of each, (B, T, hidden), can be hooked;
    where the compiled kernel computes them, taps see it with None for the layer's last state.

    Attributes:
        hint_layer: the middle layer, whose output is the pair of its hidden sequence and its last state.
    """

    hint_layer: str

    def __init__(
        self,
        cell: type[nn.LSTM] | type[nn.GRU],
        in_channels: int,
        n_classes: int,
        hidden: int,
        layers: int,
        dropout: float,
        init: Start,
        series_length: int,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, not {layers}")
        made = [cell(in_channels if i == 0 else hidden, hidden, batch_first=True) for i in range(layers)]
        self.layers = nn.ModuleList(made)
        for layer in made:
            start_recurrent(layer, init, series_length)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, n_classes)
        self.hint_layer = f"layers.{layers // 2}"

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify.

        Args:
            x: series, (B, C, T).
            lengths: true lengths, (B,) int64, or None where all have length T.

        Returns:
            Logits, (B, K).
        """
        if self._is_fused(x):
            return cast(Tensor, self.head(self._last_states(x, None, lengths)))
        h = x.transpose(1, 2)
        for i, layer in enumerate(self.layers):
            h, _ = layer(self.dropout(h) if i else h)
        # Steps after the last true one cannot reach back to it, so padding needs no mask.
        last = h[:, -1] if lengths is None else h[torch.arange(len(h), device=h.device), lengths - 1]
        return cast(Tensor, self.head(last))

    def forward_perturbed(
        self, x: Tensor, windows: Windows, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Classify series and their perturbed copies in one pass that shares the clean prefixes.

        A copy equals its series up to its window, so it starts at the state that the clean series has there.
        Time is cut into chunks; a copy joins the batch in the chunk in which its window starts. The result is
        that of ``windows.apply`` and an ordinary forward pass, up to rounding, and a copy shares the dropout
        mask of its series. Taps see the clean series where ``shows_clean`` says so; elsewhere no hook fires:
        what it would see is neither clean nor whole.

        Args:
            x: series, (B, C, T).
            windows: M perturbations of each series.
            lengths: true lengths, (B,) int64, or None where all have length T.

        Returns:
            Logits of the clean series, (B, K), and of their copies, (B, M, K).
        """
        (B, _, T), M = x.shape, windows.starts.shape[1]
        if not x.requires_grad and self._is_fused(x):
            both: Tensor = self.head(
                self._last_states(windows.stack(x).flatten(0, 1), windows.starts, lengths)
            )
            return both[:B], both[B:].view(M, B, -1).transpose(0, 1)
        last = torch.full((B,), T - 1, device=x.device) if lengths is None else lengths - 1
        entry, order = torch.minimum(windows.starts, last[:, None]).T.flatten().sort(stable=True)
        chunk = _chunk_length(B * M, T, windows.width, self.head.in_features)
        ends = torch.arange(chunk, T + chunk, chunk, device=x.device)
        counts = [B + joined for joined in torch.searchsorted(entry, ends).tolist()]
        # Rows are the clean series, then the copies in the order in which they join.
        clean = torch.arange(B, device=x.device)
        series = torch.cat([clean, order % B])
        rows = windows.stack(x).flatten(0, 1).index_select(0, torch.cat([clean, B + order])).transpose(1, 2)
        features = self._grow(rows, series, counts, chunk, last[series], self._dropout_masks(B, rows))
        logits: Tensor = self.head(features)
        joined_at = torch.empty_like(order).scatter_(0, order, torch.arange(B * M, device=x.device))
        return logits[:B], logits[B:].index_select(0, joined_at).view(M, B, -1).transpose(0, 1)

    def shows_clean(self, x: Tensor) -> bool:
        """Whether taps see all steps of the clean series in ``forward_perturbed``."""
        return not x.requires_grad and self._is_fused(x)

    def _is_fused(self, x: Tensor) -> bool:
        """Whether the compiled kernel takes a pass."""
        plain = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0
        if not plain or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
            return False
        if self.head.weight.dtype != x.dtype:
            return False
        taps = [taps_of(layer) for layer in self.layers]
        if None in taps or (x.requires_grad and any(taps)):
            return False
        return choice.takes(self.head.in_features, x.dtype == torch.float32)

    def _last_states(self, rows: Tensor, starts: Tensor | None, lengths: Tensor | None) -> Tensor:
        """Top states of series and copies at their last steps by the compiled kernel, (B (M + 1), hidden)."""
        from tsdistill.kernels import recurrent, twice  # compiled code takes a second to load

        masks = self._dropout_masks(len(rows if starts is None else starts), rows.transpose(1, 2))
        last = None if lengths is None else lengths - 1
        weights: list[Tensor] = [weight for layer in self.layers for weight in layer.parameters()]
        if rows.requires_grad:
            return twice.last_states(isinstance(self, GRU), rows, last, masks, weights)
        taps = {i: found for i, layer in enumerate(self.layers) if (found := taps_of(layer))}
        states, sequences = recurrent.last_states(
            isinstance(self, GRU), rows, last, starts, masks, weights, tuple(taps)
        )
        for (i, at_layer), sequence in zip(taps.items(), sequences, strict=True):
            for tap in at_layer:
                tap(self.layers[i], None, (sequence, None))
        return states

    def _dropout_masks(self, series: int, rows: Tensor) -> list[Tensor]:
        """Draw the factors (B, T, hidden) on the inputs of all layers but the first; none where all are 1."""
        if not (self.training and self.dropout.p):
            return []
        ones = rows.new_ones(series, rows.shape[1], self.head.in_features)
        return [self.dropout(ones) for _ in range(len(self.layers) - 1)]

    def _grow(
        self,
        rows: Tensor,
        series: Tensor,
        counts: list[int],
        chunk: int,
        last: Tensor,
        masks: list[Tensor],
    ) -> Tensor:
        """Run the layers over chunks of time with a batch that grows.

        Args:
            rows: inputs, (R, T, C), in the order in which they join.
            series: the clean row that each row shares its prefix with, (R,) int64.
            counts: number of rows present in each chunk.
            chunk: timesteps of a chunk.
            last: timestep at which each row is read, (R,) int64, in or after the chunk in which it joins.
            masks: dropout masks of the clean rows at the inputs of all layers but the first, or none.

        Returns:
            Top hidden state of each row at its last step, (R, hidden).
        """
        states: list[State | None] = [None] * len(self.layers)
        read, features, present = [], [], counts[0]
        for begin, count in zip(range(0, rows.shape[1], chunk), counts, strict=True):
            h = rows[:count, begin : begin + chunk]
            for i, layer in enumerate(self.layers):
                if i and masks:
                    h = h * masks[i - 1][series[:count], begin : begin + chunk]
                h, states[i] = layer.forward(h, _join(states[i], series[present:count]))
            ending = (last[:count] // chunk == begin // chunk).nonzero().squeeze(1)
            if len(ending):  # reading nothing would still send zeros back through the whole chunk
                read.append(ending)
                features.append(h[ending, last[ending] - begin])
            present = count
        return torch.cat(features).index_select(0, torch.cat(read).argsort())


class LSTM(Recurrent):
    """Long short-term memory, read at the last step; the default is the teacher of the TSD paper."""

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        hidden: int = 100,
        layers: int = 3,
        dropout: float = 0.0,
        init: Start = "torch",
        series_length: int = 2,
    ) -> None:
        super().__init__(nn.LSTM, in_channels, n_classes, hidden, layers, dropout, init, series_length)


class GRU(Recurrent):
    """Gated recurrent unit, read at the last step."""

    def __init__(
        self,
        in_channels: int,
        n_classes: int,
        hidden: int = 100,
        layers: int = 3,
        dropout: float = 0.0,
        init: Start = "torch",
        series_length: int = 2,
    ) -> None:
        super().__init__(nn.GRU, in_channels, n_classes, hidden, layers, dropout, init, series_length)


def _chunk_length(copies: int, length: int, width: int, hidden: int) -> int:
    """Choose the timesteps of a chunk by what a pass will cost, in timesteps of one series.

    A copy costs the steps from its chunk's begin to the end, (length + width + chunk) / 2 on average over
    uniform starts, and each of the length / chunk chunks its overhead. Where that is no less than the
    ordinary pass, one chunk takes all. Measured on one CPU core, forward and backward through one LSTM layer:
    a timestep of one series takes 0.25 us (1 + (hidden / 20)^2), a chunk 0.35 ms and 1 us for each row.
    """
    overhead = (1400 + 2 * copies) / (1 + (hidden / 20) ** 2)
    chunk = min(length, max(1, round(math.sqrt(2 * overhead * length / copies))))
    shared = copies * (length + width + chunk) / 2 + overhead * length / chunk
    return chunk if shared < copies * length else length


def _join(state: State | None, series: Tensor) -> State | None:
    """Append to a state, (1, rows, hidden), those of the rows ``series``, which join the batch."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        return torch.cat([state, state.index_select(1, series)], dim=1)
    return tuple(torch.cat([part, part.index_select(1, series)], dim=1) for part in state)
