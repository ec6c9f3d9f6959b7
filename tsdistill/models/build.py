"""From a configuration to a model, and what others ask of any model."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from tsdistill.config.targets import build, locate, takes
from tsdistill.errors import TsdistillError

BUILT_IN_SIZES = ("in_channels", "n_classes", "series_length")
"""Arguments of a model's constructor that come from the data."""


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
    found = locate(target, "model")
    try:
        if takes(found, "series_length"):
            sizes["series_length"] = length
        model = build(dict(conf), "model", **sizes)
    except TsdistillError:
        raise
    except Exception as error:  # whatever a user's constructor may raise
        reason = (str(error).splitlines() or [""])[0]
        raise TsdistillError(f"model {target} cannot be built: {type(error).__name__}: {reason}") from error
    if not isinstance(model, nn.Module):
        raise TsdistillError(f"model {target} gives a {type(model).__name__}; it must give a torch.nn.Module")
    return model


def count_parameters(model: nn.Module) -> int:
    """Count the trainable parameters of a model."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def takes_lengths(model: nn.Module) -> bool:
    """Say whether a model's ``forward`` takes the true lengths of padded series."""
    return takes(model.forward, "lengths")
