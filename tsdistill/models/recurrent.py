"""Recurrent classifiers: LSTM and GRU."""

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """Recurrent layers with dropout between them and a linear classifier on the last true step.

    The layers are modules of their own, so that the hidden sequence of each, (B, T, hidden), can be hooked.
    They keep PyTorch's initialisation, uniform within 1 / sqrt(hidden).

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
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, not {layers}")
        self.layers = nn.ModuleList(
            cell(in_channels if i == 0 else hidden, hidden, batch_first=True) for i in range(layers)
        )
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
        h = x.transpose(1, 2)
        for i, layer in enumerate(self.layers):
            h, _ = layer(self.dropout(h) if i else h)
        # Steps after the last true one cannot reach back to it, so padding needs no mask.
        last = h[:, -1] if lengths is None else h[torch.arange(len(h), device=h.device), lengths - 1]
        logits: Tensor = self.head(last)
        return logits


class LSTM(Recurrent):
    """Long short-term memory, read at the last step; the default is the teacher of the TSD paper."""

    def __init__(
        self, in_channels: int, n_classes: int, hidden: int = 100, layers: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__(nn.LSTM, in_channels, n_classes, hidden, layers, dropout)


class GRU(Recurrent):
    """Gated recurrent unit, read at the last step."""

    def __init__(
        self, in_channels: int, n_classes: int, hidden: int = 100, layers: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__(nn.GRU, in_channels, n_classes, hidden, layers, dropout)
