"""Saliency maps of a frozen model by perturbation."""

import torch
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.saliency.draws import Draws, References
from tsdistill.saliency.measure import saliency_map, window_saliency
from tsdistill.saliency.pools import pool_logits


@torch.no_grad()
def perturbation_map(
    model: nn.Module, part: TensorPart, clean: Tensor, draws: Draws, references: References, window: int
) -> Tensor:
    """How much each timestep matters: the summed divergence of the windows that cover it, on average.

    Args:
        model: in eval mode.
        part: n series, (n, C, T).
        clean: the model's logits on them, (n, K).
        draws: their perturbations, (n, P).
        references: the donors.
        window: w in steps.

    Returns:
        (n, T) float64, on the CPU; (n, C, T) where the draws are by channel.
    """
    perturbed = pool_logits(model, part, draws, references, window).double()
    saliency = window_saliency(clean.cpu().double(), perturbed, tau=1.0, form="summed")
    n, C, T = part.x.shape
    layers = 1 if draws.channels is None else C
    starts = draws.starts.cpu().reshape(n * layers, -1)
    maps = saliency_map(starts, saliency.reshape(n * layers, -1), window, T)
    return maps.reshape((n, T) if draws.channels is None else (n, C, T))
