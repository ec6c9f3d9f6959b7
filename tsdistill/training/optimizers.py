"""The optimiser of a training, by its settings."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from tsdistill.config.schema import Optimizer, TrainingConf
from tsdistill.errors import TsdistillError

_WRAPPED = ("step", "add_param_group", "state_dict", "load_state_dict")


def without_compiler(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The same optimiser, without PyTorch's compiler and its profiler's marks.

    PyTorch shields these methods from its compiler by wrappers that load it at their first call: one to two
    seconds of every process, though nothing here is compiled. The steps of small models are so short that
    the profiler's marks count, too. ``differentiable=True`` no longer works, nor do hooks on steps.

    Args:
        kind: an optimiser's class.

    Returns:
        A subclass whose methods are those that were wrapped; its step runs without gradients.
    """
    methods: dict[str, Callable[..., Any]] = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    methods["step"] = torch.no_grad()(methods["step"])
    methods["step"].hooked = True  # type: ignore[attr-defined]  # else PyTorch wraps it again
    methods["zero_grad"] = _drop_gradients
    return type(kind.__name__, (kind,), methods)


def _drop_gradients(optimizer: torch.optim.Optimizer, set_to_none: bool = True) -> None:
    """Forget all gradients; they are never set to zero instead."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


_KINDS: dict[Optimizer, tuple[Callable[..., torch.optim.Optimizer], dict[str, float]]] = {
    Optimizer.adam: (without_compiler(torch.optim.Adam), {}),
    Optimizer.adamw: (without_compiler(torch.optim.AdamW), {}),
    Optimizer.sgd: (without_compiler(torch.optim.SGD), {"momentum": 0.9}),
}


def build_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingConf) -> torch.optim.Optimizer:
    """The optimiser that the settings name.

    Args:
        parameters: of the model; those that need no gradient are left out.
        settings: its kind, rate and weight decay.

    Raises:
        TsdistillError: if nothing is left to train.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise TsdistillError("the model has no parameters to train")
    # One kernel for all parameters; elsewhere than on the CPU PyTorch's own choice stands.
    fused = True if all(parameter.device.type == "cpu" for parameter in trained) else None
    kind, own = _KINDS[settings.optimizer]
    return kind(trained, lr=settings.lr, weight_decay=settings.weight_decay, fused=fused, **own)
