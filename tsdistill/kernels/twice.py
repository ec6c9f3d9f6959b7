"""Recurrent layers by the compiled kernel whose input's gradient can be differentiated again."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from tsdistill.errors import TsdistillError
from tsdistill.kernels import cells
from tsdistill.kernels.announce import announce
from tsdistill.kernels.cells import ROWS
from tsdistill.kernels.recurrent import Layer, whole_plan


def last_states(
    gru: bool, rows: Tensor, last: Tensor | None, masks: list[Tensor], weights: list[Tensor]
) -> Tensor:
    """Run recurrent layers and read the top one at each row's last step.

    The gradient of the series can be differentiated again with respect to weights, series and whatever the
    states go into; the weights' gradient can't.

    Args:
        gru: whether they are GRUs; else LSTMs.
        rows: the series, (B, C, T).
        last: last true step of each series, (B,) int64; None if it is the last one there is.
        masks: factors on the inputs of all layers but the first, (B, T, units) each; or none.
        weights: of each layer w_ih, w_hh, b_ih, b_hh as PyTorch has them, of the dtype of ``rows``.

    Returns:
        (B, units).
    """
    announce(cells.backward_twice, "the recurrent kernel's second gradient")
    B, _, T = rows.shape
    x, hs = _blocks(rows.transpose(1, 2)), rows
    for i in range(0, len(weights), 4):
        if i:
            x = hs[:, 1:] * _blocks(masks[i // 4 - 1]) if masks else hs[:, 1:]
        hs = _States.apply(gru, B, x.contiguous(), *weights[i : i + 4])  # type: ignore[no-untyped-call]
    at = torch.arange(B)
    return hs[at // ROWS, T if last is None else last + 1, 1:, at % ROWS]


def _blocks(sequences: Tensor) -> Tensor:
    """From (B, T, C) to (blocks, T, 1 + C, 16), channel 0 all ones."""
    B, T, C = sequences.shape
    filled = functional.pad(sequences, (1, 0), value=1.0)
    filled = functional.pad(filled, (0, 0, 0, 0, 0, -B % ROWS))
    return filled.view(-1, ROWS, T, 1 + C).permute(0, 2, 3, 1)


class _States(torch.autograd.Function):
    """States of a layer, (blocks, T + 1, 1 + units, 16), as a function of its input and its weights."""

    @staticmethod
    def forward(ctx: Any, gru: bool, series: int, x: Tensor, *weights: Tensor) -> Tensor:
        layer = Layer(gru, whole_plan(series, x.shape[1]), x.shape[1] + 1, list(weights), keep=True)
        layer.forward(x.detach().numpy(), 0)
        ctx.layer = layer
        ctx.save_for_backward(x, *weights)
        return torch.from_numpy(layer.hs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *_Gradients.apply(ctx.layer, gradients[0], *ctx.saved_tensors)  # type: ignore[no-untyped-call]


class _Gradients(torch.autograd.Function):
    """Gradients of a layer's input and weights as a function of its states' gradient, input and weights."""

    @staticmethod
    def forward(ctx: Any, layer: Layer, d_hs: Tensor, x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.layer, ctx.d_hs = layer, d_hs.detach().contiguous().numpy().reshape(-1)
        found, d_x = layer.backward(np.zeros((0, 0), layer.dtype), ctx.d_hs, further=True)
        return torch.from_numpy(d_x.reshape(layer.x.shape)), *found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *factors: Tensor | None) -> tuple[Tensor | None, ...]:
        of_input, *of_weights = factors
        if any(each is not None for each in of_weights):
            raise TsdistillError(
                "the compiled kernel has no second gradient by way of the weights; use hardware.kernel=torch"
            )
        if of_input is None:
            return (None,) * (2 + len(factors))
        h_dots, d_x, d_weights = ctx.layer.twice(of_input.contiguous().numpy(), ctx.d_hs)
        return None, torch.from_numpy(h_dots), torch.from_numpy(d_x), *d_weights
