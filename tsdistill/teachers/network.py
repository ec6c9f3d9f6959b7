"""A network as a teacher: its answers and its input gradients, frozen."""

import torch
from torch import Tensor, nn

from tsdistill.data.tensors import TensorPart
from tsdistill.training.supervised import EVALUATION_BATCH, answers


class Answers:
    """A frozen network's answers on any series.

    Args:
        network: in eval mode.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    @torch.no_grad()
    def logits(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K) float32 of series (B, C, T)."""
        return answers(self.network, TensorPart(x, x.new_zeros(len(x), dtype=torch.int64), lengths)).float()


def input_gradients(network: nn.Module, part: TensorPart) -> Tensor:
    """Gradients of a frozen network's logits with respect to its input.

    Args:
        network: in eval mode.
        part: N series.

    Returns:
        (N, K, C, T) float32, on the device of the series.
    """
    found = []
    with torch.backends.cudnn.flags(
        enabled=False
    ):  # its recurrent kernels refuse a backward pass in eval mode
        for batch in part.chunks(EVALUATION_BATCH):
            x = batch.x.detach().clone().requires_grad_()
            logits = answers(network, TensorPart(x, batch.y, batch.lengths)).float()
            rows = [
                torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0]
                for k in range(logits.shape[1])
            ]
            found.append(torch.stack(rows, dim=1))
    return torch.cat(found).float()
