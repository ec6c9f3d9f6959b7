"""How a recurrent layer starts: what its gates remember before anything is learnt."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

Start = Literal["torch", "forget", "keras", "chrono"]
STARTS: tuple[Start, ...] = get_args(Start)


@torch.no_grad()
def start_recurrent(layer: nn.LSTM | nn.GRU, start: Start, length: int) -> None:
    """Initialise an LSTM or GRU layer in place.

    - ``torch``: PyTorch's own, uniform within 1 / sqrt(hidden); its gates forget half of the state a step;
    - ``forget``: the same with a bias of 1 on the gate that keeps the state (Gers et al. 2000; Jozefowicz et
      al. 2015);
    - ``keras``: input weights Glorot uniform, recurrent weights orthogonal, biases 0 but 1 on that gate;
    - ``chrono``: weights as ``keras``, that gate's bias log U(1, T - 1), so that units remember for spans up
      to the series' length; an LSTM's input gate gets its negative (Tallec and Ollivier 2018, arXiv
      1804.11188, equations 15 and 16).

    The gate that keeps the state is an LSTM's forget gate and a GRU's update gate.

    Args:
        layer: one layer of ``nn.LSTM`` or ``nn.GRU``, freshly made.
        start: one of ``STARTS``.
        length: number of timesteps T; used by ``chrono``.

    Raises:
        ValueError: an unknown start.
    """
    if start not in STARTS:
        raise ValueError(f"init={start} is not one of {', '.join(STARTS)}")
    if start == "torch":
        return
    # PyTorch's order of gates: input, forget, cell, output; for a GRU: reset, update, new.
    kept, hidden = slice(layer.hidden_size, 2 * layer.hidden_size), layer.hidden_size
    parameters = dict(layer.named_parameters())
    inputs, recurrent = parameters["bias_ih_l0"], parameters["bias_hh_l0"]
    if start != "forget":
        nn.init.xavier_uniform_(parameters["weight_ih_l0"])
        nn.init.orthogonal_(parameters["weight_hh_l0"])
        inputs.zero_()
        recurrent.zero_()
    if start != "chrono":
        inputs[kept] = 1.0
        recurrent[kept] = 0.0
        return
    spans = _log_spans(inputs[kept], length)
    inputs[kept] = spans
    if isinstance(layer, nn.LSTM):
        inputs[:hidden] = -spans


def _log_spans(like: Tensor, length: int) -> Tensor:
    """Draw log U(1, T - 1) for each unit; 0 where the series has fewer than 3 steps."""
    return torch.empty_like(like).uniform_(1.0, max(1.0, length - 1.0)).log_()
