"""The fit of a trained student's logits: one scale and K biases, found on the clean training part.

Differences of logits don't determine their bias, and saliency divided by its own scale doesn't determine
their size, so a student may rank well with a wrong threshold. The fit is convex, takes milliseconds and folds
into the last layer: it adds no parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tsdistill.config.schema import CalibrationConf, CalibrationTarget

_SMALLEST_SCALE = 1e-3
"""The fit may flatten the logits but not turn their order round."""


@dataclass(frozen=True)
class Affine:
    """Logits z become ``scale`` * z + ``bias``.

    Attributes:
        scale: above 0.
        bias: (K,) float64, of sum 0.
    """

    scale: float
    bias: NDArray[np.float64]

    def __call__(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fitted logits, (N, K) float64."""
        return self.scale * logits + self.bias


def fit_affine(
    logits: NDArray[np.float64], targets: NDArray[np.float64], *, scale: bool = True, ridge: float = 0.0
) -> Affine:
    """Minimise the mean cross-entropy of fitted logits with target distributions, plus a ridge.

    The ridge, ``ridge`` ((u' - u)^2 + mean(shift^2)), holds the fit to the logits as they are: u and u' are
    the deviations of the logits about their means before and after, shift is how far the means move.

    Args:
        logits: (N, K), finite.
        targets: distributions over the classes, (N, K): one-hot labels, or a teacher's probabilities.
        scale: fit the scale too; else it stays 1.
        ridge: 0 or more.

    Returns:
        The best scale, above 0, and biases.
    """
    from scipy.optimize import minimize  # here, because it takes long to import
    from scipy.special import log_softmax, softmax

    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.mean(axis=1, keepdims=True)
    means = logits.mean(axis=0)
    unit = max(float((logits - means).std()), 1e-9)
    standard, classes = (logits - means) / unit, logits.shape[1]

    def objective(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        fitted = free[0] * standard + means + free[1:]
        gap = (softmax(fitted, axis=1) - targets) / len(logits)
        loss = -(targets * log_softmax(fitted, axis=1)).sum(axis=1).mean()
        loss += ridge * ((free[0] - unit) ** 2 + (free[1:] ** 2).mean())
        slope = np.concatenate([[(gap * standard).sum()], gap.sum(axis=0)])
        slope += 2 * ridge * np.concatenate([[free[0] - unit], free[1:] / classes])
        return float(loss), slope

    lowest = unit * _SMALLEST_SCALE
    bounds = [(lowest, None) if scale else (unit, unit), *[(None, None)] * classes]
    start = np.concatenate([[unit], np.zeros(classes)])
    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-8}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    factor = float(found.x[0] / unit)
    bias = means + found.x[1:] - factor * means
    return Affine(factor, bias - bias.mean())


def one_hot(y: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Labels (N,) as distributions, (N, K) float64."""
    return np.eye(classes)[y]


class Calibrated(nn.Module):
    """A model whose logits are scaled and shifted; for one whose last layer the fit cannot be folded into.

    Args:
        model: gives logits (B, K).
        classes: K.
    """

    def __init__(self, model: nn.Module, classes: int) -> None:
        super().__init__()
        self.model = model
        self.scale: Tensor
        self.bias: Tensor
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K) of series (B, C, T)."""
        logits: Tensor = self.model(x) if lengths is None else self.model(x, lengths)
        return logits * self.scale + self.bias


@torch.no_grad()
def calibrate(model: nn.Module, affine: Affine, answer: Callable[[nn.Module], Tensor]) -> nn.Module:
    """Make a model answer with fitted logits.

    The fit is folded into the last linear layer of K outputs; where the answers then are not the fitted ones
    (that layer is not the last step to the logits), the layer is put back and the model is wrapped.

    Args:
        model: changed in place.
        affine: the fit.
        answer: logits (N, K) of a model on some series.

    Returns:
        The model, or a ``Calibrated`` around it.
    """
    bias = torch.from_numpy(affine.bias).float()
    wanted = affine.scale * answer(model).double() + torch.from_numpy(affine.bias)
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(bias)]
    if heads and heads[-1].bias is not None:
        head = heads[-1]
        before = head.weight.clone(), head.bias.clone()
        head.weight.mul_(affine.scale)
        head.bias.mul_(affine.scale).add_(bias.to(head.bias))
        if torch.allclose(
            answer(model).double(), wanted, rtol=1e-3, atol=1e-3 * float(1 + wanted.abs().max())
        ):
            return model
        head.weight.copy_(before[0])
        head.bias.copy_(before[1])
    wrapped = Calibrated(model, len(bias)).to(next(model.parameters()).device)
    wrapped.scale.fill_(affine.scale)
    wrapped.bias.copy_(bias)
    return wrapped


def fit_and_fold(
    model: nn.Module,
    conf: CalibrationConf,
    y: Tensor,
    teacher: Tensor,
    answer: Callable[[nn.Module], Tensor],
) -> tuple[nn.Module, dict[str, Any] | None]:
    """Fit a trained student's logits on the clean training part.

    Args:
        model: the student; changed in place.
        conf: the settings.
        y: classes of the training part, (N,) int64.
        teacher: the teacher's logits there, (N, K).
        answer: a model's logits there, (N, K).

    Returns:
        The student that answers with fitted logits, and the fit: ``scale``, ``bias`` and whether it was
        ``folded`` into the model. The student as it is, and None, where nothing is fitted: ``target`` is
        none, or a logit is not finite.
    """
    from scipy.special import softmax

    if conf.target is CalibrationTarget.none:
        return model, None
    logits = answer(model).double().numpy()
    if not np.isfinite(logits).all():
        return model, None
    if conf.target is CalibrationTarget.teacher:
        targets = softmax(teacher.cpu().double().numpy(), axis=1)
    else:
        targets = one_hot(y.cpu().numpy(), logits.shape[1])
    fit = fit_affine(logits, targets, scale=conf.scale, ridge=conf.ridge)
    fitted = calibrate(model, fit, answer)
    return fitted, {"scale": fit.scale, "bias": fit.bias.tolist(), "folded": fitted is model}
