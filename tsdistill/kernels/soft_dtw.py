"""Soft-DTW of cost matrices by the compiled kernel, as a differentiable function of the costs."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tsdistill.kernels import warping
from tsdistill.kernels.announce import announce


def soft_minimum(costs: Tensor, ends: Tensor, gamma: float) -> Tensor:
    """Soft minimum over all monotone paths of the sum of costs along a path.

    Args:
        costs: (B, T, T), on the CPU.
        ends: the cell (n, n) where each path ends, counted from 1, (B,) int64.
        gamma: softness, positive.

    Returns:
        (B,), of the dtype of ``costs``, with a gradient that can't be differentiated again.
    """
    announce(warping.backward, "the warping kernel")
    found: Tensor = _SoftMinimum.apply(costs, ends, gamma)  # type: ignore[no-untyped-call]
    return found


class _SoftMinimum(torch.autograd.Function):
    """``soft_minimum``."""

    @staticmethod
    def forward(ctx: Any, costs: Tensor, ends: Tensor, gamma: float) -> Tensor:
        B, T, _ = costs.shape
        wide = torch.promote_types(costs.dtype, torch.float32)
        halvings = costs.detach().to(wide).permute(1, 2, 0).contiguous().div_(gamma * math.log(2))
        whole = halvings.floor()
        rest = torch.exp2(whole - halvings)
        shares = torch.zeros(3, T + 1, T + 1, B, dtype=wide)
        found = torch.empty(B, dtype=torch.float64)
        warping.forward(whole.long().numpy(), rest.numpy(), ends.numpy(), shares.numpy(), found.numpy())
        ctx.save_for_backward(shares, ends)
        return found.mul_(-gamma * math.log(2)).to(costs.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        shares, ends = ctx.saved_tensors
        _, width, _, B = shares.shape
        flow = shares.new_zeros(width, width, B)
        flow[ends - 1, ends - 1, torch.arange(B)] = gradients[0].to(flow)
        warping.backward(shares.numpy(), flow.numpy())
        return flow[:-1, :-1].permute(2, 0, 1).to(gradients[0].dtype), None, None
