"""What a model costs: parameters, multiplications, bytes and, measured, time."""

import time
import warnings
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from tsdistill.evaluation.predict import evaluating
from tsdistill.kernels.choice import by_torch


def parameters(model: nn.Module) -> int:
    """Number of trainable and frozen parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())


def size_bytes(model: nn.Module) -> int:
    """Bytes of the float32 weights on disk: parameters and floating-point buffers, no file header."""
    return 4 * (parameters(model) + sum(b.numel() for b in model.buffers() if b.is_floating_point()))


def macs(model: nn.Module, channels: int, length: int) -> int:
    """Count the multiply-accumulates of one series.

    Matrix products and convolutions are counted as they run; additions of biases, activations and
    normalisations are not. A recurrent layer of h units gives T 4h(in + h) (LSTM) or T 3h(in + h) (GRU).

    Args:
        model: (B, C, T) to logits (B, K); it is copied to the CPU.
        channels: C.
        length: T.

    Returns:
        The count.
    """
    from torch.utils.flop_counter import FlopCounterMode

    model = deepcopy(model).cpu().float()
    # The counter does not see inside a fused layer, oneDNN's or ours; here it runs as matrix products.
    with warnings.catch_warnings(), evaluating(model), torch.no_grad(), by_torch():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, channels, length))
    return int(counter.get_total_flops()) // 2


def cost(student: nn.Module, teacher: nn.Module | None, channels: int, length: int) -> dict[str, float]:
    """Count what student and teacher cost: everything that does not depend on the machine.

    Args:
        student: (B, C, T) to logits (B, K).
        teacher: the same; None for a teacher that is no network.
        channels: C.
        length: T.

    Returns:
        ``parameters``, ``macs`` (one series), ``size_bytes``; where the teacher is a network, also the same
        with ``teacher_`` before them, and ``compression``, the teacher's parameters over the student's.
    """
    values: dict[str, float] = {}
    for prefix, model in (("", student), ("teacher_", teacher)):
        if model is None:
            return values
        values[f"{prefix}parameters"] = parameters(model)
        values[f"{prefix}macs"] = macs(model, channels, length)
        values[f"{prefix}size_bytes"] = size_bytes(model)
    values["compression"] = values["teacher_parameters"] / values["parameters"]
    return values


def latency(
    model: nn.Module, channels: int, length: int, *, repeats: int = 200, warmup: int = 20
) -> dict[str, float]:
    """Measure the time of one series on one CPU thread, in eval mode.

    Args:
        model: (B, C, T) to logits (B, K); it is copied to the CPU.
        channels: C.
        length: T.
        repeats: number of timed passes.
        warmup: number of passes before them.

    Returns:
        ``latency_ms`` (median) and ``latency_p95_ms``.
    """
    model = deepcopy(model).cpu().float()
    x = torch.zeros(1, channels, length)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with evaluating(model), torch.inference_mode():
            for _ in range(warmup):
                model(x)
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                model(x)
                seconds.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    median, p95 = np.percentile(seconds, [50, 95]) * 1e3
    return {"latency_ms": float(median), "latency_p95_ms": float(p95)}
