"""Hooks that read what a layer computes and change nothing, so that compiled code may serve them."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle


class Tap:
    """A forward hook that hands a layer and its output on.

    A model that computes a layer outside the layer's own ``forward`` calls it with what the layer would have
    returned for the clean series; any other hook makes it leave that layer to PyTorch.
    """

    def __init__(self, read: Callable[[nn.Module, Any], None]) -> None:
        self._read = read

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Read the output; the inputs may be missing."""
        self._read(module, output)

    @classmethod
    def at(cls, module: nn.Module, read: Callable[[nn.Module, Any], None]) -> RemovableHandle:
        """Put one at a module."""
        return module.register_forward_hook(cls(read))


def taps_of(module: nn.Module) -> list[Tap] | None:
    """The taps at a module; None if it has hooks of another kind."""
    hooks = list(module._forward_hooks.values())
    taps = [hook for hook in hooks if isinstance(hook, Tap)]
    return None if module._forward_pre_hooks or len(taps) < len(hooks) else taps
