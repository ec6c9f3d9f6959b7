"""Hidden sequences at named submodules, brought to (B, D, T) whatever the model's family."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tsdistill.errors import TsdistillError, nearest
from tsdistill.models.taps import Tap


class _ReachedLayers(Exception):  # noqa: N818
    """Ends a forward pass of which only the layers up to here were wanted."""


def hint_layer(model: nn.Module, named: str | None, setting: str) -> str:
    """Path of the layer at which features are taken.

    Args:
        model: teacher or student.
        named: the user's choice, or None for the model's own ``hint_layer``.
        setting: name of the setting, for the message.

    Returns:
        A path that ``model.get_submodule`` knows.

    Raises:
        TsdistillError: if there is no such submodule, or none is named at all.
    """
    path = named or getattr(model, "hint_layer", None)
    kind = type(model).__name__
    layers = [name for name, _ in model.named_modules() if name]
    if path is None:
        raise TsdistillError(f"{kind} names no hint_layer; set {setting} to one of: {', '.join(layers[:12])}")
    if path not in layers:
        raise TsdistillError(f"{setting}: {kind} has no layer '{path}'; {nearest(str(path), layers)}")
    return str(path)


@contextmanager
def captured(model: nn.Module, layers: Collection[str], *, stop: bool = False) -> Iterator[dict[str, Tensor]]:
    """Catch the output of named layers during forward passes.

    Args:
        model: the model whose passes are watched.
        layers: paths of submodules.
        stop: end the pass as soon as all of them are reached, leaving what lies above untouched.

    Yields:
        The last pass's hidden sequence, (B, D, T), by layer.
    """
    caught: dict[str, Tensor] = {}

    def watch(layer: str, module: nn.Module) -> RemovableHandle:
        def read(module: nn.Module, output: Any) -> None:
            caught[layer] = _as_sequence(module, output)
            if stop and len(caught) == len(layers):
                raise _ReachedLayers

        return Tap.at(module, read)

    handles = [watch(layer, model.get_submodule(layer)) for layer in sorted(layers)]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _as_sequence(module: nn.Module, output: Any) -> Tensor:
    """Bring a layer's output to (B, D, T): recurrent layers put time before width, a flat one has T = 1."""
    sequence: Tensor = output[0] if isinstance(output, tuple) else output
    if isinstance(module, nn.RNNBase):
        return sequence.transpose(1, 2)
    return sequence[..., None] if sequence.dim() == 2 else sequence


def forward_to(
    model: nn.Module, layers: Collection[str], x: Tensor, lengths: Tensor | None = None
) -> dict[str, Tensor]:
    """Hidden sequences (B, D, T) at named layers; what lies above them is not run."""
    with captured(model, layers, stop=True) as caught, suppress(_ReachedLayers):
        model(x) if lengths is None else model(x, lengths)
    return caught


@torch.no_grad()
def feature_shape(model: nn.Module, layer: str, x: Tensor, lengths: Tensor | None = None) -> tuple[int, int]:
    """Shape (D, T) of the hidden sequence at a layer, from one series in eval mode."""
    training = model.training
    model.eval()
    features = forward_to(model, [layer], x[:1], None if lengths is None else lengths[:1])[layer]
    model.train(training)
    return int(features.shape[1]), int(features.shape[2])
