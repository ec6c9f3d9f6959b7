"""Saliency from logits: pure functions that know no model and no method.

Source of the formulas: Temporal Saliency Distillation, arXiv 2601.04263, section on temporal saliency.
"""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

Form = Literal["classwise", "summed", "root", "logit"]
FORMS: tuple[Form, ...] = get_args(Form)
_EPS = 1e-8


def window_saliency(clean: Tensor, perturbed: Tensor, tau: float, form: Form) -> Tensor:
    """How far each window moves the predictive distribution.

    With p = softmax(clean / tau) and q_m = softmax(perturbed_m / tau):

    - ``classwise``: the K terms p_k (log p_k - log q_mk) of the divergence, kept apart (can be negative);
    - ``summed``: KL(p || q_m), their sum over the classes;
    - ``root``: the square root of the divergence;
    - ``logit``: the change of the logits, centred over the classes (tau cancels in the normalisation).

    Args:
        clean: logits of the clean series, (B, K).
        perturbed: logits of their perturbed copies, (B, M, K).
        tau: temperature, positive.
        form: one of ``FORMS``.

    Returns:
        Saliency, (B, M, K) for ``classwise`` and ``logit``, (B, M) for ``summed`` and ``root``.
    """
    if form == "logit":
        change = (clean[:, None] - perturbed) / tau
        return change - change.mean(dim=-1, keepdim=True)
    log_p = functional.log_softmax(clean / tau, dim=-1)[:, None]
    log_q = functional.log_softmax(perturbed / tau, dim=-1)
    terms = log_p.exp() * (log_p - log_q)
    if form == "classwise":
        return terms
    divergence = terms.sum(dim=-1)
    if form == "root":
        # The floor keeps the gradient of the root finite where a window changes nothing.
        return divergence.clamp_min(_EPS**2).sqrt().masked_fill(divergence <= _EPS**2, 0.0)
    return divergence


def saliency_scale(saliency: Tensor, form: Form) -> Tensor:
    """Scale of a batch's saliency, by which it is divided so that teacher and student compare.

    The mean of the positive entries (0 where none is positive); for ``logit``, whose entries have both signs
    by design, the mean absolute value.

    Args:
        saliency: as ``window_saliency`` returns it.
        form: the form it has.

    Returns:
        Scalar, at least 1e-8, so that quotients are finite.
    """
    if form == "logit":
        return saliency.abs().mean() + _EPS
    positive = saliency > 0
    # clamp_min keeps the empty mean at 0 where the reference implementation divides 0 by 0.
    return (saliency * positive).sum() / positive.sum().clamp_min(1) + _EPS


def saliency_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 (beta 1, mean) between two normalised saliencies.

    Args:
        student: the student's, any shape; carries the gradient.
        teacher: the teacher's, the same shape; taken as a constant.

    Returns:
        Scalar.
    """
    return functional.smooth_l1_loss(student, teacher.detach())


def saliency_map(starts: Tensor, saliency: Tensor, window: int, length: int) -> Tensor:
    """Spread the saliency of windows over the timesteps they cover.

    Args:
        starts: first timestep of each window, (N, P) int64.
        saliency: one value a window, (N, P).
        window: window length w in steps.
        length: number of timesteps T.

    Returns:
        Map (N, T): the mean saliency of the windows that cover a timestep, 0 where none does.
    """
    N, P = starts.shape
    steps = (starts[:, :, None] + torch.arange(window, device=starts.device)).reshape(N, P * window)
    spread = saliency[:, :, None].expand(N, P, window).reshape(N, P * window)
    total = torch.zeros(N, length, dtype=saliency.dtype, device=saliency.device).scatter_add_(
        1, steps, spread
    )
    count = torch.zeros_like(total).scatter_add_(1, steps, torch.ones_like(spread))
    return total / count.clamp_min(1)
