"""The optimiser of a training, by its settings."""

import inspect
from collections.abc import Callable, Iterable

import torch
from torch import nn

from tsdistill.config.schema import Optimizer, TrainingConf
from tsdistill.errors import TsdistillError

_WRAPPED = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")


def without_compiler(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The same optimiser, which doesn't load PyTorch's compiler.

    PyTorch shields these methods from its compiler by wrappers that load it at their first call: one to two
    seconds of every process, though nothing here is compiled. ``differentiable=True`` no longer works.

    Args:
        kind: an optimiser's class.

    Returns:
        A subclass whose methods are those that were wrapped; its step runs without gradients.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    methods["step"] = torch.no_grad()(methods["step"])
    return type(kind.__name__, (kind,), methods)


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
