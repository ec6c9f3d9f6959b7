"""What a model looks at, by methods that no student was trained with.

TSD trains on perturbation saliency, so its students must be judged by other means too: integrated gradients,
from captum, and occlusion. Explained is the class that the TEACHER predicts, for both models.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.data.types import FloatArray, IntArray, Part
from tsdistill.errors import TsdistillError
from tsdistill.evaluation.predict import evaluating, predict
from tsdistill.evaluation.reasoning import baseline_of
from tsdistill.saliency.draws import Draws, References
from tsdistill.saliency.measure import saliency_map
from tsdistill.saliency.pools import pool_logits

Baseline = Literal["mean", "zero"]


class CentredLogits(nn.Module):
    """A model's logits less their mean over the classes.

    A constant added to all logits changes no probability, yet it would show in the attribution of one raw
    logit; and unlike a probability a centred logit does not saturate.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Series (B, C, T) to centred logits (B, K)."""
        logits = self.model(x) if lengths is None else self.model(x, lengths)
        centred: Tensor = logits - logits.mean(dim=1, keepdim=True)
        return centred


def integrated_gradients(
    model: nn.Module,
    x: FloatArray,
    explained: IntArray,
    lengths: IntArray | None = None,
    *,
    baseline: Baseline = "mean",
    steps: int = 50,
    batch_size: int = 256,
) -> FloatArray:
    """Integrated gradients of the explained class's centred logit (Sundararajan et al. 2017, eq. 1).

    Args:
        model: (B, C, T) [, lengths (B,)] to logits (B, K).
        x: series, (N, C, T) float32.
        explained: the class explained, the teacher's prediction, (N,) int64.
        lengths: true lengths, (N,) int64, or None; then the model is not given any.
        baseline: where the path begins: each channel's mean over time, or zero.
        steps: points of the Gauss-Legendre quadrature.
        batch_size: series (times points of the path) a pass.

    Returns:
        Signed attributions, (N, C, T) float32; over C and T they add up to the difference of the logit
        between the series and the baseline.

    Raises:
        TsdistillError: captum is not installed.
    """
    method = _captum().IntegratedGradients

    def explain(wrapped: nn.Module, part: dict[str, Any]) -> Tensor:
        attributed: Tensor = method(wrapped).attribute(**part, n_steps=steps, internal_batch_size=batch_size)
        return attributed

    return _attribute(explain, model, x, explained, lengths, baseline, batch_size)


def over_channels(attributions: FloatArray) -> FloatArray:
    """How much each timestep matters, whatever the sign: the mean magnitude over channels.

    Args:
        attributions: signed, (N, C, T).

    Returns:
        (N, T), of the same dtype.
    """
    magnitude: FloatArray = np.abs(attributions).mean(axis=1)
    return magnitude


def occlusion(
    model: nn.Module,
    x: FloatArray,
    explained: IntArray,
    lengths: IntArray | None = None,
    *,
    window: int,
    baseline: Baseline = "mean",
    by_channel: bool = False,
) -> FloatArray:
    """Drop of the explained class's centred logit where a window is blanked (Zeiler and Fergus 2014).

    Unlike the saliency that TSD trains on, the window is filled with a constant, not with a segment of
    another series, and the answer is one class's logit, not a divergence. A timestep's value is the mean
    over the windows that cover it. Only what a window can change is computed again (``joint_logits``).

    Args:
        model: (B, C, T) [, lengths (B,)] to logits (B, K).
        x: series, (N, C, T) float32.
        explained: the class explained, (N,) int64.
        lengths: true lengths, (N,) int64, or None.
        window: width in timesteps, at most T.
        baseline: what a blanked timestep holds: its channel's mean over time, or zero.
        by_channel: blank one channel at a time instead of all.

    Returns:
        Signed attributions, (N, C, T) float32; without ``by_channel`` the channels of a timestep are equal.

    Raises:
        TsdistillError: the window is longer than the series.
    """
    N, C, T = x.shape
    if not 1 <= window <= T:
        raise TsdistillError(
            f"occlusion: a window of {window} steps does not fit series of {T}; choose 1..{T}"
        )
    blank, inside = _blanked(x, lengths, baseline)
    layers, places = C if by_channel else 1, T - window + 1
    starts = torch.arange(places).repeat(layers).expand(N, -1)
    channels = torch.arange(C).repeat_interleave(places).expand(N, -1) if by_channel else None
    clean = torch.from_numpy(predict(model, x, lengths))
    with evaluating(model) as device:
        part = TensorPart.of(Part(x, explained, lengths), device)
        filled = References(torch.from_numpy(blank).to(device), part.y)
        draws = Draws(starts, torch.arange(N)[:, None].expand_as(starts), channels)
        occluded = pool_logits(model, part, draws, filled, window)
    change = (clean[:, None] - occluded).double()
    change -= change.mean(dim=-1, keepdim=True)
    drop = change[torch.arange(N), :, torch.from_numpy(explained)].reshape(N * layers, places)
    maps = saliency_map(starts.reshape(N * layers, places), drop, window, T)
    return np.where(inside, maps.reshape(N, layers, T).float().numpy(), np.float32(0)).repeat(
        C // layers, axis=1
    )


def _attribute(
    explain: Callable[[nn.Module, dict[str, Any]], Tensor],
    model: nn.Module,
    x: FloatArray,
    explained: IntArray,
    lengths: IntArray | None,
    baseline: Baseline,
    batch_size: int,
) -> FloatArray:
    """Run a captum method over batches of series; padding gets 0."""
    blank, inside = _blanked(x, lengths, baseline)
    found: list[NDArray[np.float32]] = []
    with evaluating(model) as device, _backward_in_eval():
        for start in range(0, len(x), batch_size):
            some = slice(start, start + batch_size)
            part: dict[str, Any] = {
                "inputs": torch.from_numpy(x[some].copy()).to(device),
                "baselines": torch.from_numpy(blank[some].copy()).to(device),
                "target": torch.from_numpy(explained[some].copy()).to(device),
            }
            if lengths is not None:
                part["additional_forward_args"] = torch.from_numpy(lengths[some].copy()).to(device)
            found.append(explain(CentredLogits(model), part).detach().float().cpu().numpy())
    return np.where(inside, np.concatenate(found), np.float32(0))


def _blanked(
    x: FloatArray, lengths: IntArray | None, baseline: Baseline
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Series (N, C, T) with the baseline in place of all true steps, and which steps are true, (N, 1, T)."""
    true = np.full(len(x), x.shape[2]) if lengths is None else lengths
    inside = np.arange(x.shape[2]) < true[:, None, None]
    return np.where(inside, baseline_of(x, lengths, baseline), x), inside


@contextmanager
def _backward_in_eval() -> Iterator[None]:
    """Take gradients in eval mode: cuDNN's recurrent layers refuse it, PyTorch's own do not."""
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


def _captum() -> Any:
    try:
        import captum.attr
    except ImportError as error:
        raise TsdistillError(
            "attributions need captum, which is not installed: pip install tsdistill[attribution]"
        ) from error
    return captum.attr
