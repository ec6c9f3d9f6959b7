"""Recurrent layers by the compiled kernel, as one differentiable function of their weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from tsdistill.kernels import cells
from tsdistill.kernels.announce import announce
from tsdistill.kernels.cells import GATES, ROWS

Integers = NDArray[np.int64]
_DTYPES = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


@dataclass(frozen=True)
class Plan:
    """Where rows stand in blocks of 16, and when each enters and is read.

    Attributes:
        source: series of each row, (16 * blocks,); -1 for rows that only fill up.
        mask: series of its dropout mask, (16 * blocks,).
        entry: first step, ascending within a block, (16 * blocks,).
        origin: row whose state there it starts from, or -1, (16 * blocks,).
        last: step at which it is read, (16 * blocks,).
        begin: first step of each block, (blocks,).
        end: the step after its last, (blocks,).
        rows: row of each answer, (N,).
        clean: blocks of the clean series, the first ones.
    """

    source: Integers
    mask: Integers
    entry: Integers
    origin: Integers
    last: Integers
    begin: Integers
    end: Integers
    rows: Integers
    clean: int

    @classmethod
    def of(cls, last: Integers, starts: Integers | None = None) -> "Plan":
        """Lay out B clean series, then their copies (see ``cells.lay_out``).

        Args:
            last: last true step of each series, (B,).
            starts: first step in which each copy differs, (M, B); None without copies.
        """
        copies = np.empty((0, len(last)), np.int64) if starts is None else np.ascontiguousarray(starts)
        source, mask, entry, origin, read, rows = cells.lay_out(last, copies, int(last.max()) + 1)
        begin, end = entry[::ROWS].copy(), read.reshape(-1, ROWS).max(axis=1) + 1
        return cls(source, mask, entry, origin, read, begin, end, rows, -(-len(last) // ROWS))


def last_states(
    gru: bool,
    rows: Tensor,
    last: Tensor | None,
    starts: Tensor | None,
    masks: list[Tensor],
    weights: list[Tensor],
    watched: Sequence[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Run recurrent layers and read the top one at each row's last step.

    Args:
        gru: whether they are GRUs; else LSTMs.
        rows: the series, then, m by m, their copies, (B (M + 1), C, T), which get no gradient.
        last: last true step of each series, (B,) int64; None if it is the last one there is.
        starts: first step in which each copy may differ from its series, (B, M) int64; None without copies.
        masks: factors on the inputs of all layers but the first, (B, T, units) each; or none.
        weights: of each layer w_ih, w_hh, b_ih, b_hh as PyTorch has them, of the dtype of ``rows``.
        watched: layers whose states at all steps of the clean series are wanted, ascending.

    Returns:
        (B (M + 1), units), in the order of ``rows``, and of each watched layer (B, T, units); with a
        gradient to the weights that can't be differentiated again.
    """
    announce(cells.backward, "the recurrent kernel")
    B, T = len(rows) if starts is None else len(starts), rows.shape[2]
    if last is None and starts is None:
        plan = whole_plan(B, T)
    else:
        ends = np.full(B, T - 1) if last is None else last.numpy()
        plan = Plan.of(ends, None if starts is None else starts.T.numpy())
        if watched:
            plan.end[: plan.clean] = T  # padded steps too, as PyTorch's layers compute them
    states, *sequences = _LastStates.apply(gru, plan, B, watched, rows, masks, *weights)  # type: ignore[no-untyped-call]
    return states, sequences


@lru_cache(maxsize=64)
def whole_plan(series: int, length: int) -> Plan:
    """The plan of some series of one length without copies."""
    return Plan.of(np.full(series, length - 1))


def _empty(dtype: np.dtype[Any], *shape: int) -> NDArray[Any]:
    """An array that begins with a cache line, as PyTorch's do: vectors of 64 bytes cross none."""
    return torch.empty(shape, dtype=_DTYPES[dtype]).numpy()


def _zeros(dtype: np.dtype[Any], *shape: int) -> NDArray[Any]:
    """Zeros, see ``_empty``."""
    return torch.zeros(shape, dtype=_DTYPES[dtype]).numpy()


class Layer:
    """One layer's numbers of a pass."""

    def __init__(self, gru: bool, plan: Plan, slots: int, weights: list[Any], keep: bool) -> None:
        self.gru, self.plan, self.keep = gru, plan, keep
        self.weights = [weight.detach().contiguous().numpy() for weight in weights]
        units, channels = self.weights[1].shape[1], self.weights[0].shape[1]
        self.units, self.dtype = units, self.weights[0].dtype
        self.packed = _zeros(self.dtype, units, 1 + channels + units, 4)
        cells.pack_weights(gru, *self.weights, self.packed)
        blocks = len(plan.begin)
        self.hs = _empty(self.dtype, blocks, slots, 1 + units, ROWS)
        self.cs = _empty(self.dtype, 1 if gru else blocks * slots * units * ROWS)
        self.gates = _empty(self.dtype, (blocks * (slots - 1) if keep else 1) * units * GATES * ROWS)

    def forward(self, x: NDArray[Any], first: int) -> None:
        """Fill the states from an input sequence whose slot of step 0 is ``first``."""
        self.x, self.first = x, first
        cells.forward(
            self.gru,
            int(self.keep),
            x.reshape(-1),
            x.shape[1],
            first,
            self.packed,
            self.plan.begin,
            self.plan.end,
            self.plan.entry,
            self.plan.origin,
            self.hs.reshape(-1),
            self.cs,
            self.gates,
        )

    def backward(
        self, d_read: NDArray[Any], d_above: NDArray[Any], further: bool
    ) -> tuple[list[Tensor], NDArray[Any]]:
        """Gradients of the weights, and of the input if ``further``."""
        turned_h, turned_x = self._turned(further)
        copied = self.plan.clean < len(self.plan.begin)
        shared = self.plan.clean if copied else 0
        d_states = _zeros(self.dtype, shared * self.hs[0].size)
        d_cells = _zeros(self.dtype, 0 if self.gru else shared * self.hs.shape[1] * self.units * ROWS)
        d_x = _zeros(self.dtype, self.x.size if further else 0)
        d_packed = np.empty_like(self.packed)
        cells.backward(
            self.gru,
            self.x.reshape(-1),
            self.x.shape[1],
            self.first,
            self.packed,
            turned_h,
            turned_x,
            self.plan.begin,
            self.plan.end,
            self.plan.entry,
            self.plan.origin,
            self.plan.last,
            self.hs.reshape(-1),
            self.cs,
            self.gates,
            d_read,
            d_above,
            d_states,
            d_cells,
            d_packed,
            d_x,
        )
        return self._unpacked(d_packed), d_x

    def twice(
        self, x_dots: NDArray[Any], d_hs: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], list[Tensor]]:
        """Differentiate the sum of ``x_dots`` times the input's gradient.

        Args:
            x_dots: of the input's shape.
            d_hs: gradient of the states that the input's came from, flat.

        Returns:
            Gradients of ``d_hs``, of the input and of the weights.
        """
        T = self.x.shape[1]
        x_dots = x_dots.copy()
        x_dots[:, :, 0] = 0  # the ones that carry the bias have no tangent
        h_dots, c_dots = np.zeros_like(self.hs), np.zeros_like(self.cs)
        dots = _empty(self.dtype, self.gates.size // GATES * 4)
        twos, d_x = np.empty_like(dots), np.zeros_like(self.x)
        packed, hs, cs, gates = self.packed, self.hs.reshape(-1), self.cs, self.gates
        cells.tangents(
            self.gru, T, x_dots.reshape(-1), packed, hs, cs, gates, h_dots.reshape(-1), c_dots, dots
        )
        turned_h, turned_x = self._turned(further=True)
        d_packed = np.empty_like(packed)
        cells.backward_twice(
            self.gru,
            T,
            self.x.reshape(-1),
            x_dots.reshape(-1),
            packed,
            turned_h,
            turned_x,
            hs,
            cs,
            gates,
            h_dots.reshape(-1),
            c_dots,
            dots,
            twos,
            d_hs,
            d_packed,
            d_x.reshape(-1),
        )
        return h_dots, d_x, self._unpacked(d_packed)

    def _turned(self, further: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Weights of the hidden states and, if ``further``, of the input, as backward passes read them."""
        units, n_x = self.units, self.packed.shape[1] - self.units
        turned_h = _zeros(self.dtype, -(-units // 4), units, 4, 4)
        cells.transpose_weights(self.packed, n_x, turned_h)
        turned_x = _zeros(self.dtype, -(-(n_x - 1) // 4) if further else 0, units, 4, 4)
        cells.transpose_weights(self.packed[:, :n_x], 1, turned_x)
        return turned_h, turned_x

    def _unpacked(self, d_packed: NDArray[Any]) -> list[Tensor]:
        """Gradients of the weights as PyTorch has them."""
        found = [np.empty_like(weight) for weight in self.weights]
        cells.unpack_gradients(self.gru, d_packed, *found)
        return [torch.from_numpy(each) for each in found]


class _LastStates(torch.autograd.Function):
    """Top states of rows at their last steps, and all of watched layers, as a function of the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        gru: bool,
        plan: Plan,
        series: int,
        watched: Sequence[int],
        rows: Tensor,
        masks: list[Tensor],
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        keep = any(ctx.needs_input_grad)
        T, blocks = rows.shape[2], len(plan.begin)
        x, first = _empty(rows.numpy().dtype, blocks, T, 1 + rows.shape[1], ROWS), 0
        cells.pack_rows(rows.contiguous().numpy(), plan.source, plan.begin, plan.end, x)
        layers, factors = [], []
        for i in range(0, len(weights), 4):
            layer = Layer(gru, plan, T + 1, list(weights[i : i + 4]), keep)
            layer.forward(x, first)
            layers.append(layer)
            x, first = layer.hs, 1
            if masks and i + 4 < len(weights):
                factor = np.empty_like(x[:, 1:])
                mask = masks[i // 4].transpose(1, 2).contiguous().numpy()
                cells.pack_rows(mask, plan.mask, plan.begin, plan.end, factor)
                x, first = _product(x[:, 1:], factor), 0
                factors.append(factor)
        if keep:
            ctx.layers, ctx.factors, ctx.plan, ctx.watched = layers, factors, plan, watched
        at = plan.rows
        read = layers[-1].hs[at // ROWS, plan.last[at] + 1, 1:, at % ROWS]
        return torch.from_numpy(read), *(_sequence(layers[i].hs[: plan.clean], series) for i in watched)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor | None, *d_sequences: Tensor | None) -> tuple[Tensor | None, ...]:
        layers: list[Layer] = ctx.layers
        plan: Plan = ctx.plan
        d_read = np.zeros((len(plan.source), layers[-1].units), layers[-1].dtype)
        if d is not None:
            d_read[plan.rows] = d.numpy()
        d_watched = dict(zip(ctx.watched, d_sequences, strict=True))
        d_above = np.zeros(0, d_read.dtype)
        found: list[Tensor] = []
        for i in range(len(layers) - 1, -1, -1):
            if (d_sequence := d_watched.get(i)) is not None:
                if not len(d_above):
                    d_above = _read_at_last(plan, d_read, layers[i].hs)
                _add_sequence(d_above.reshape(layers[i].hs.shape), d_sequence)
            weights, d_x = layers[i].backward(d_read, d_above, further=i > 0)
            found = weights + found
            if i and ctx.factors:
                factor = ctx.factors[i - 1]
                d_above = np.empty_like(layers[i - 1].hs)
                d_above[:, 1:] = _product(d_x.reshape(factor.shape), factor)
                d_above = d_above.reshape(-1)
            else:
                d_above = d_x
        return (None,) * 6 + tuple(found)


def _sequence(states: NDArray[Any], series: int) -> Tensor:
    """States of the clean series, (blocks, T + 1, 1 + units, 16), as (B, T, units)."""
    steps = states[:, 1:, 1:].transpose(0, 3, 1, 2).copy()  # the backward pass reads the states
    return torch.from_numpy(steps.reshape(-1, *steps.shape[2:])[:series])


def _read_at_last(plan: Plan, d_read: NDArray[Any], states: NDArray[Any]) -> NDArray[Any]:
    """Gradient of a layer's states, flat, from that of what was read of its rows at their last steps."""
    whole, row = np.zeros_like(states), np.arange(len(d_read))
    whole[row // ROWS, plan.last + 1, 1:, row % ROWS] = d_read
    return whole.reshape(-1)


def _add_sequence(d_states: NDArray[Any], d_sequence: Tensor) -> None:
    """Add the gradient of the clean series' states, (B, T, units), to that of all, as ``Layer.hs``."""
    filled = functional.pad(d_sequence, (0, 0, 0, 0, 0, -len(d_sequence) % ROWS)).numpy()
    blocks = filled.reshape(-1, ROWS, *filled.shape[1:])
    d_states[: len(blocks), 1:, 1:] += blocks.transpose(0, 2, 3, 1)


def _product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Product of arrays, in PyTorch: NumPy would warn of what stands in unused steps."""
    return (torch.from_numpy(a) * torch.from_numpy(b)).numpy()
