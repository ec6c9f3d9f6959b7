"""A model's logits as an array, for metrics that ask a model again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tsdistill.data.types import FloatArray, IntArray

Predict = Callable[[FloatArray], FloatArray]
"""Series (N, C, T) float32 to logits (N, K), always called with all N series in the same order."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Put a model into eval mode for a while and give its device; each module's own mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield next((p.device for p in model.parameters()), torch.device("cpu"))
    finally:
        for module, mode in modes:
            module.training = mode


def predict(
    model: nn.Module, x: FloatArray, lengths: IntArray | None = None, *, batch_size: int = 256
) -> FloatArray:
    """Ask a model for the logits of series, in eval mode and without gradients.

    Args:
        model: (B, C, T) [, lengths (B,)] to logits (B, K), on any device.
        x: series, (N, C, T) float32.
        lengths: true lengths, (N,) int64, or None; then the model is not given any.
        batch_size: series a pass.

    Returns:
        Logits, (N, K) float32.
    """
    rows: list[NDArray[np.float32]] = []
    with evaluating(model) as device, torch.inference_mode():
        for start in range(0, len(x), batch_size):
            some = slice(start, start + batch_size)
            args = [torch.from_numpy(np.ascontiguousarray(x[some])).to(device)]
            if lengths is not None:
                args.append(torch.from_numpy(np.ascontiguousarray(lengths[some])).to(device))
            rows.append(model(*args).float().cpu().numpy())
    return np.concatenate(rows)


def predictor(model: nn.Module, lengths: IntArray | None = None, *, batch_size: int = 256) -> Predict:
    """Bind a model and the lengths of the series to a function of the series alone.

    Args:
        model: see :func:`predict`.
        lengths: true lengths of the series that will be asked about, (N,) int64, or None.
        batch_size: series a pass.

    Returns:
        Series (N, C, T) to logits (N, K).
    """
    return lambda x: predict(model, x, lengths, batch_size=batch_size)
