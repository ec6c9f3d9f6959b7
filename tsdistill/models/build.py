"""From a configuration to a model, and what others ask of any model."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from tsdistill.errors import TsdistillError, nearest


def build_model(conf: Mapping[str, Any], channels: int, classes: int, length: int) -> nn.Module:
    """Build the model that a configuration describes.

    Args:
        conf: ``_target_``, the import path of the model's class, and its settings.
        channels: number of channels C of the series.
        classes: number of classes K.
        length: number of timesteps T, handed on as ``series_length`` where the target takes it.

    Returns:
        The model, freshly initialised, in train mode.

    Raises:
        TsdistillError: the target does not exist, refuses its settings, or is no ``nn.Module``.
    """
    target = str(conf["_target_"])
    sizes = {"in_channels": channels, "n_classes": classes}
    found = _locate(target)
    try:
        if "series_length" in inspect.signature(found).parameters:
            sizes["series_length"] = length
        model = instantiate(dict(conf), _convert_="all", **sizes)
    except Exception as error:  # whatever a user's constructor may raise
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        reason = (str(cause).splitlines() or [""])[0]
        raise TsdistillError(f"model {target} cannot be built: {type(cause).__name__}: {reason}") from error
    if not isinstance(model, nn.Module):
        raise TsdistillError(f"model {target} gives a {type(model).__name__}; it must give a torch.nn.Module")
    return model


def _locate(target: str) -> Callable[..., Any]:
    """Import what ``package.module.Name`` stands for."""
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise TsdistillError(f"model target '{target}' is no import path: write package.module.ClassName")
    try:
        module = import_module(module_name)
    except Exception as error:  # a user's module may fail in any way
        raise TsdistillError(
            f"model {target}: cannot import {module_name}: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        classes = [
            key for key, value in vars(module).items() if getattr(value, "__module__", "") == module_name
        ]
        raise TsdistillError(f"model {target}: {module_name} has no class {name}; {nearest(name, classes)}")
    return found  # type: ignore[no-any-return]


def count_parameters(model: nn.Module) -> int:
    """Count the trainable parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def takes_lengths(model: nn.Module) -> bool:
    """Say whether a model's ``forward`` takes the true lengths of padded series."""
    return "lengths" in inspect.signature(model.forward).parameters
