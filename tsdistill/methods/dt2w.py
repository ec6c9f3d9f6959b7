"""DT2W: feature sequences aligned by soft dynamic time warping (Qiao et al. 2023)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsdistill.kernels import choice
from tsdistill.methods.base import Models
from tsdistill.methods.pairs import FeaturePair
from tsdistill.methods.step import Step


class _SoftDTW(torch.autograd.Function):
    """Soft-DTW of cost matrices by anti-diagonals (Cuturi and Blondel 2017, arXiv 1703.01541).

    Diagonal k holds the cells (i, j) with i + j = k, counted from 1; row 0 and column 0 are the border. All
    cells of a diagonal are computed at once, so there are 2 T - 1 steps where a double loop has T^2. The
    compiled kernel, where there is one, takes the double loop.
    """

    @staticmethod
    def forward(ctx: Any, costs: Tensor, ends: Tensor, gamma: float) -> Tensor:
        """Costs (B, T, T), ends (B,) int64, the cell (n, n) where each path ends; gives (B,)."""
        B, T, _ = costs.shape
        scaled = _skew(costs / gamma)
        # -R / gamma, so that the soft minimum of three cells is the sum of their exponentials.
        found = costs.new_full((2 * T + 1, B, T + 1), -torch.inf)
        found[0, :, 0] = 0.0
        for k in range(2, 2 * T + 1):
            low, high = max(1, k - T), min(T, k - 1) + 1
            here, above = slice(low, high), slice(low - 1, high - 1)
            straight = torch.logaddexp(found[k - 1, :, here], found[k - 1, :, above])
            reached = torch.logaddexp(straight, found[k - 2, :, above])
            torch.sub(reached, scaled[k, :, here], out=found[k, :, here])
        ctx.save_for_backward(found, scaled, ends)
        return -gamma * found[2 * ends, torch.arange(B, device=ends.device), ends]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """How much each cost counts in the soft minimum over all paths, times the gradient (B,)."""
        found, scaled, ends = ctx.saved_tensors
        size, B, width = found.shape
        T, series = width - 1, torch.arange(B, device=ends.device)
        # Weights of the three cells before each cell, all diagonals at once: exp(theirs - the sum of all).
        whole = (found + scaled).masked_fill_(~torch.isfinite(found), torch.inf)
        padded = functional.pad(found, (1, 0, 0, 0, 2, 0), value=-torch.inf)
        before = (padded[1:-1, :, 1:], padded[1:-1, :, :-1], padded[:-2, :, :-1])
        grown = [functional.pad((theirs - whole).exp_(), (0, 1, 0, 0, 0, 2)) for theirs in before]
        left, down, across = grown
        flow = found.new_zeros(size + 2, B, width + 1)
        flow[2 * ends, series, ends] = gradients[0].to(flow)
        for k in range(2 * T - 1, 1, -1):
            low, high = max(1, k - T), min(T, k - 1) + 1
            here, above = slice(low, high), slice(low + 1, high + 1)
            came = flow[k, :, here]
            came.addcmul_(flow[k + 1, :, here], left[k + 1, :, here])
            came.addcmul_(flow[k + 1, :, above], down[k + 1, :, above])
            came.addcmul_(flow[k + 2, :, above], across[k + 2, :, above])
        return _unskew(flow[:size, :, :width], T), None, None


def _cells(T: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Diagonal i + j and row i of each cell, counted from 1, (T, T) each."""
    steps = torch.arange(1, T + 1, device=device)
    return steps[:, None] + steps, steps[:, None].expand(T, T)


def _skew(costs: Tensor) -> Tensor:
    """From (B, T, T) to diagonals, (2 T + 1, B, T + 1)."""
    B, T, _ = costs.shape
    skewed = costs.new_zeros(2 * T + 1, T + 1, B)
    skewed[_cells(T, costs.device)] = costs.permute(1, 2, 0)
    return skewed.transpose(1, 2).contiguous()


def _unskew(diagonals: Tensor, T: int) -> Tensor:
    """The inverse of ``_skew``."""
    return diagonals.transpose(1, 2)[_cells(T, diagonals.device)].permute(2, 0, 1)


def soft_dtw(student: Tensor, teacher: Tensor, gamma: float, inside: Tensor | None = None) -> Tensor:
    """Soft-DTW with squared Euclidean costs between two sequences of each series.

    Args:
        student: (B, D, T), with gradient.
        teacher: (B, D, T).
        gamma: softness, positive.
        inside: which timesteps are no padding, (B, T) bool; None where none is. Both sequences end there.

    Returns:
        (B,); can be negative.
    """
    ours, theirs = student.transpose(1, 2), teacher.detach()
    squared = ours.square().sum(2)[:, :, None] + theirs.square().sum(1)[:, None]
    return _soft_minimum(torch.baddbmm(squared, ours, theirs, alpha=-2), gamma, inside)


def projected_soft_dtw(
    student: Tensor,
    weight: Tensor,
    bias: Tensor,
    teacher: Tensor,
    gamma: float,
    inside: Tensor | None = None,
) -> Tensor:
    """``soft_dtw`` of a student's sequence under a linear map, which is not computed itself.

    With the map V = [W b] of g = [h 1], a squared distance is ||t||^2 + g' V' V g - 2 g' V' t: products as
    wide as the student's sequence instead of the teacher's.

    Args:
        student: (B, D, T), with gradient.
        weight: (E, D), with gradient.
        bias: (E,), with gradient.
        teacher: (B, E, T).
        gamma: see ``soft_dtw``.
        inside: see ``soft_dtw``.

    Returns:
        (B,).
    """
    ours, theirs = functional.pad(student, (0, 0, 0, 1), value=1.0), teacher.detach()
    whole = torch.cat([weight, bias[:, None]], dim=1)
    own = (ours * torch.matmul(whole.T @ whole, ours)).sum(1)
    squared = own[:, :, None] + theirs.square().sum(1)[:, None]
    narrow = torch.bmm(
        whole.T.expand(len(theirs), -1, -1), theirs
    )  # matmul would copy the teacher's sequences
    costs = torch.baddbmm(squared, ours.transpose(1, 2), narrow, alpha=-2)
    return _soft_minimum(costs, gamma, inside)


def _soft_minimum(costs: Tensor, gamma: float, inside: Tensor | None) -> Tensor:
    """Soft minimum over the paths through costs (B, T, T) up to the last true step; (B,)."""
    B, T, _ = costs.shape
    full = torch.full((B,), T, device=costs.device)
    ends = full if inside is None else inside.sum(1).clamp_min(1)
    if costs.device.type == "cpu" and choice.compiled():
        from tsdistill.kernels.soft_dtw import soft_minimum  # needs numba

        return soft_minimum(costs, ends, gamma)
    found: Tensor = _SoftDTW.apply(costs, ends, gamma)  # type: ignore[no-untyped-call]
    return found


class TimeWarping(FeaturePair):
    """Mean ``soft_dtw`` of a batch, the student's sequence under a learned 1x1 convolution.

    Args:
        teacher_layer: see ``FeaturePair``.
        student_layer: see ``FeaturePair``.
        gamma: softness, positive.
    """

    def __init__(
        self, teacher_layer: str | None = None, student_layer: str | None = None, gamma: float = 1.0
    ) -> None:
        super().__init__(teacher_layer, student_layer)
        if not gamma > 0:
            raise ValueError(f"gamma={gamma:g} should be above 0")
        self.gamma = gamma

    def bind(self, models: Models) -> None:
        """See ``LossTerm``."""
        super().bind(models)
        self.projection = nn.Conv1d(*self.widths, kernel_size=1)

    def forward(self, step: Step) -> Tensor:
        """See ``LossTerm``."""
        ours, theirs, inside = self.sequences(step)
        weight, bias = self.projection.weight[:, :, 0], self.projection.bias
        assert bias is not None
        return projected_soft_dtw(ours, weight, bias, theirs, self.gamma, inside).mean()
