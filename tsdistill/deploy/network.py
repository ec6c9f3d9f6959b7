"""A trained network of this package as plain arrays and steps, for a form without PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tsdistill.errors import TsdistillError
from tsdistill.models.convolution import ConvBlock, MaskedBatchNorm1d
from tsdistill.models.fcn import FCN
from tsdistill.models.inception import RESIDUAL_EVERY, Inception
from tsdistill.models.recurrent import LSTM, Recurrent
from tsdistill.models.resnet import ResNet

Array = NDArray[np.float64]
Kind = Literal["convolve", "shortcut", "pool"]


@dataclass(frozen=True)
class RecurrentLayer:
    """One layer: gates in PyTorch's order, G of them (4 for LSTM, 3 for GRU).

    Attributes:
        inputs: weights of the input, (G hidden, in).
        states: weights of the state, (G hidden, hidden).
        bias: (4 hidden,); of a GRU reset, update, and the candidate's two: of the input and of the state.
    """

    inputs: Array
    states: Array
    bias: Array


@dataclass(frozen=True)
class RecurrentNetwork:
    """Layers in order and the head, (K, hidden) and (K,), on the last state."""

    is_lstm: bool
    layers: tuple[RecurrentLayer, ...]
    head: Array
    head_bias: Array


@dataclass(frozen=True)
class Step:
    """One step of a convolutional network, from rows of a buffer to rows of a buffer.

    Attributes:
        kind: ``convolve`` ('same'); ``shortcut``, the input scaled and shifted row by row, added before a
            ReLU; ``pool``, the largest of each step and its neighbours.
        source: the buffer that is read.
        target: the buffer that is written.
        at: the first row that is written.
        outputs: rows that are written.
        weights: (out, in, kernel) of a convolution; the scale (out,) of a shortcut.
        bias: (out,).
        add: add to what the rows hold.
        relu: end with a ReLU.
    """

    kind: Kind
    source: int
    target: int
    at: int
    outputs: int
    weights: Array = field(default_factory=lambda: np.zeros(0))
    bias: Array = field(default_factory=lambda: np.zeros(0))
    add: bool = False
    relu: bool = False


@dataclass(frozen=True)
class ConvolutionNetwork:
    """Steps in order, and the head on the mean over time of the last buffer.

    Attributes:
        steps: the steps; buffer 0 is the input.
        sizes: rows of each buffer.
        last: the buffer whose mean the head reads.
        head: (K, D).
        head_bias: (K,).
    """

    steps: tuple[Step, ...]
    sizes: tuple[int, ...]
    last: int
    head: Array
    head_bias: Array


def read_network(model: nn.Module) -> RecurrentNetwork | ConvolutionNetwork:
    """Read a trained model of one of the five families.

    Raises:
        TsdistillError: another model.
    """
    if isinstance(model, Recurrent):
        layers = tuple(_recurrent(layer) for layer in model.layers)
        return RecurrentNetwork(
            isinstance(model, LSTM), layers, _array(model.head.weight), _array(model.head.bias)
        )
    if not isinstance(model, FCN | ResNet | Inception):
        raise TsdistillError(
            f"{type(model).__name__} can't be written as C; LSTM, GRU, FCN, ResNet and Inception can"
        )
    plan = _Plan([_channels(model)])
    last = plan.inception(model) if isinstance(model, Inception) else plan.blocks(model)
    return ConvolutionNetwork(
        tuple(plan.steps), tuple(plan.sizes), last, _array(model.head.weight), _array(model.head.bias)
    )


def _recurrent(layer: nn.Module) -> RecurrentLayer:
    inputs, states, of_input, of_state = (_array(weight) for weight in layer.parameters())
    if isinstance(layer, nn.LSTM):
        return RecurrentLayer(inputs, states, of_input + of_state)
    hidden = states.shape[1]
    both = (of_input + of_state)[: 2 * hidden]
    return RecurrentLayer(
        inputs, states, np.concatenate([both, of_input[2 * hidden :], of_state[2 * hidden :]])
    )


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy()


def _channels(model: nn.Module) -> int:
    first = next(module for module in model.modules() if isinstance(module, nn.Conv1d))
    return first.in_channels


@dataclass
class _Plan:
    """Steps as they are found, and the rows of the buffers between them."""

    sizes: list[int]
    steps: list[Step] = field(default_factory=list)

    def buffer(self, rows: int) -> int:
        self.sizes.append(rows)
        return len(self.sizes) - 1

    def convolve(
        self,
        source: int,
        conv: nn.Conv1d,
        norm: tuple[Array, Array] | None,
        target: int | None = None,
        at: int = 0,
        *,
        add: bool = False,
        relu: bool = False,
    ) -> int:
        """A convolution with its normalisation folded in, into a buffer of its own if none is named."""
        weights = _array(conv.weight)
        bias = np.zeros(len(weights)) if conv.bias is None else _array(conv.bias)
        if norm is not None:
            weights, bias = weights * norm[0][:, None, None], bias * norm[0] + norm[1]
        target = self.buffer(len(weights)) if target is None else target
        self.steps.append(Step("convolve", source, target, at, len(weights), weights, bias, add, relu))
        return target

    def block(self, source: int, block: ConvBlock, target: int | None = None, *, add: bool = False) -> int:
        return self.convolve(source, block.conv, _affine(block.norm), target, add=add, relu=block.relu or add)

    def blocks(self, model: FCN | ResNet) -> int:
        at = 0
        for block in model.blocks:
            if isinstance(block, ConvBlock):
                at = self.block(at, block)
                continue
            kept = at
            for conv in block.convs:  # type: ignore[union-attr]
                at = self.block(at, conv)
            shortcut = block.shortcut
            if isinstance(shortcut, ConvBlock):
                self.block(kept, shortcut, at, add=True)
            else:
                assert isinstance(shortcut, MaskedBatchNorm1d)
                scale, shift = _affine(shortcut)
                self.steps.append(Step("shortcut", kept, at, 0, len(scale), scale, shift, True, True))
        return at

    def inception(self, model: Inception) -> int:
        at = kept = 0
        for i, module in enumerate(model.blocks):
            at = self._module(at, module)
            if (i + 1) % RESIDUAL_EVERY == 0:
                shortcut = model.shortcuts[i // RESIDUAL_EVERY]
                assert isinstance(shortcut, ConvBlock)
                kept = self.block(kept, shortcut, at, add=True)
        return at

    def _module(self, source: int, module: nn.Module) -> int:
        scale, shift = _affine(module.norm)  # type: ignore[arg-type]
        target = self.buffer(len(scale))
        narrow = source
        if isinstance(module.bottleneck, nn.Conv1d):
            narrow = self.convolve(source, module.bottleneck, None)
        pooled = self.buffer(self.sizes[source])
        branches: Sequence[tuple[int, nn.Conv1d]] = [
            *((narrow, conv) for conv in module.convs),  # type: ignore[union-attr]
            (pooled, module.pooled),  # type: ignore[list-item]
        ]
        self.steps.append(Step("pool", source, pooled, 0, self.sizes[source]))
        at = 0
        for origin, conv in branches:
            rows = slice(at, at + conv.out_channels)
            self.convolve(origin, conv, (scale[rows], shift[rows]), target, at, relu=True)
            at = rows.stop
        return target


def _affine(norm: MaskedBatchNorm1d) -> tuple[Array, Array]:
    """What a normalisation does in eval mode: scale and shift, (D,) each."""
    layer = norm.norm
    assert layer.running_mean is not None and layer.running_var is not None
    scale = _array(layer.weight) / np.sqrt(_array(layer.running_var) + layer.eps)
    return scale, _array(layer.bias) - _array(layer.running_mean) * scale


def place_buffers(network: ConvolutionNetwork) -> tuple[list[int], int]:
    """Lay the buffers into shared rows: one whose last reader has run makes room for others.

    Returns:
        The first row of each buffer, the input's being 0, and the number of rows.
    """
    count = len(network.steps)
    begins, ends = [count] * len(network.sizes), [-1] * len(network.sizes)
    begins[0] = -1
    for now, step in enumerate(network.steps):
        begins[step.target] = min(begins[step.target], now)
        for buffer in (step.source, step.target):
            ends[buffer] = now
    ends[network.last] = count
    first: list[int] = [0] * len(network.sizes)
    placed: list[int] = []
    for buffer in sorted(range(len(network.sizes)), key=lambda each: begins[each]):
        taken = sorted(
            (first[other], first[other] + network.sizes[other])
            for other in placed
            if begins[other] <= ends[buffer] and begins[buffer] <= ends[other]
        )
        at = 0
        for low, high in taken:
            if at + network.sizes[buffer] <= low:
                break
            at = max(at, high)
        first[buffer] = at
        placed.append(buffer)
    return first, max(at + size for at, size in zip(first, network.sizes, strict=True))
