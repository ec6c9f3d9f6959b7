"""One recurrent layer, forward and backward, over blocks of rows: the compiled part.

A block is 16 series side by side. Everything lies in flat arrays, the 16 rows innermost:

- a sequence: (blocks, T or T + 1, 1 + channels, 16), whose channel 0 is all ones and carries the bias;
- hidden states ``hs``: a sequence of T + 1, of which slot t is the state before step t;
- cell states ``cs``: (blocks, T + 1, units, 16);
- ``gates``: (blocks, T, units, 5, 16), of an LSTM i, f, g, o and tanh c; of a GRU r, z, n and the part of n
  that r multiplies.
- weights: (units, 1 + channels + units, 4), a GRU's with zeros where a sum does not read an input.

A row enters its block at ``entry``: with zeros at step 0, else with the state that row ``origin`` has there.
Before, it holds numbers that nothing reads, and their gradients are zero.

The 16 rows are the lanes of one vector, whatever registers the processor has. Sums over rows keep a lane for
each until the end, where lanes are added in their order. A product is added in one operation that rounds once
(``fma``), also where the processor has no such instruction. So all instruction sets give the same bits.

All of it stands in one file, since numba's cache of compiled code sees changes in a function's own file only.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

ROWS = 16
GATES = 5
CHUNK = 4096
"""Gradients of sums that are kept before they are multiplied with inputs: 16 kB in single precision."""


# --- lanes ---


class Lanes(types.Type):
    """Numba's type of 16 floats or doubles, one of each row."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"lanes({dtype})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    """How LLVM has them: a vector, which it lays into one register or several."""

    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(dmm.lookup(fe_type.dtype).get_value_type(), ROWS))


def _spread(context: Any, builder: Any, lanes: Lanes, kind: Any, value: Any) -> Any:
    """Turn a scalar into equal lanes; lanes stay as they are."""
    if isinstance(kind, Lanes):
        return value
    scalar = context.cast(builder, value, kind, lanes.dtype)
    vector = context.get_value_type(lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), ROWS), [0] * ROWS))


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def load(_: Any, array: types.Array, index: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """16 numbers of a flat array from an index on, which is not checked."""
    lanes = Lanes(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, array, *args)
        pointer = builder.bitcast(place, context.get_value_type(lanes).as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return lanes(array, types.intp), generate


@intrinsic
def store(_: Any, array: types.Array, index: types.Integer, value: Lanes) -> tuple[Any, Callable[..., Any]]:
    """Write 16 numbers into a flat array from an index on, which is not checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _address(context, builder, array, *args[:2])
        pointer = builder.bitcast(place, context.get_value_type(value).as_pointer())
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def spread(_: Any, array: types.Array, index: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """The number of a flat array at an index, which is not checked, in all lanes."""
    lanes = Lanes(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar = builder.load(_address(context, builder, array, *args))
        return _spread(context, builder, lanes, array.dtype, scalar)

    return lanes(array, types.intp), generate


@intrinsic
def zeros(_: Any, array: types.Array) -> tuple[Any, Callable[..., Any]]:
    """Zeros of an array's type."""
    lanes = Lanes(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.get_null_value(context.get_value_type(lanes))

    return lanes(array), generate


def _define(function: Any, instruction: str) -> None:
    """Let an operator of Python mean an instruction where one side has lanes; a scalar is spread."""

    @intrinsic
    def apply(_: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
        lanes = a if isinstance(a, Lanes) else b

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pair = [_spread(context, builder, lanes, *each) for each in zip((a, b), args, strict=True)]
            return getattr(builder, instruction)(*pair)

        return lanes(a, b), generate

    @overload(function, strict=False)
    def choose(a: Any, b: Any) -> Any:
        return (lambda a, b: apply(a, b)) if isinstance(a, Lanes) or isinstance(b, Lanes) else None


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")


@intrinsic
def fma(_: Any, a: Any, b: Any, c: Any) -> tuple[Any, Callable[..., Any]]:
    """The product of two plus a third, rounded once; a scalar is spread."""
    lanes = next(each for each in (a, b, c) if isinstance(each, Lanes))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(lanes)
        name = f"llvm.fma.v{ROWS}f{lanes.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        given = zip((a, b, c), args, strict=True)
        return builder.call(function, [_spread(context, builder, lanes, *each) for each in given])

    return lanes(a, b, c), generate


@intrinsic
def clip(_: Any, value: Lanes, bound: types.Float) -> tuple[Any, Callable[..., Any]]:
    """Values within -bound and bound; NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        top = _spread(context, builder, value, bound, args[1])
        bottom = builder.fneg(top)
        below = builder.select(builder.fcmp_ordered(">", args[0], top), top, args[0])
        return builder.select(builder.fcmp_ordered("<", below, bottom), bottom, below)

    return value(value, bound), generate


@intrinsic
def _tanh_of_each(_: Any, value: Lanes) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        call = context.get_function(math.tanh, value.dtype(value.dtype))
        result = args[0]
        for lane in (ir.IntType(32)(i) for i in range(ROWS)):
            one = call(builder, [builder.extract_element(args[0], lane)])
            result = builder.insert_element(result, one, lane)
        return result

    return value(value), generate


@njit(forceinline=True)
def _rational_tanh(value: Any) -> Any:
    x = clip(value, 7.90531110763549805)
    s = x * x
    above = fma(s, -2.76076847742355e-16, 2.00018790482477e-13)
    above = fma(above, s, -8.60467152213735e-11)
    above = fma(above, s, 5.12229709037114e-08)
    above = fma(above, s, 1.48572235717979e-05)
    above = fma(above, s, 6.37261928875436e-04)
    above = fma(above, s, 4.89352455891786e-03)
    below = fma(s, 1.19825839466702e-06, 1.18534705686654e-04)
    below = fma(below, s, 2.26843463243900e-03)
    below = fma(below, s, 4.89352518554385e-03)
    return x * above, below


def tanh_parts(value: Any) -> Any:
    """Numerator and denominator of the hyperbolic tangent of each lane.

    In single precision Eigen's rational approximation, to 2e-7, whose denominator lies between .0048 and 1;
    in double precision the denominator is 1.
    """
    raise NotImplementedError("for compiled code only")


@overload(tanh_parts, strict=False)
def _overload_tanh_parts(value: Any) -> Any:
    if not isinstance(value, Lanes):
        return None
    if value.dtype == types.float32:
        return lambda value: _rational_tanh(value)
    return lambda value: (_tanh_of_each(value), fma(value, 0.0, 1.0))


@njit(forceinline=True)
def tanh(value: Any) -> Any:
    """Hyperbolic tangent of each lane."""
    above, below = tanh_parts(value)
    return above / below


@njit(forceinline=True)
def logistic(tangent: Any) -> Any:
    """The logistic function of twice that whose hyperbolic tangent is given."""
    return fma(tangent, 0.5, 0.5)


@njit(forceinline=True)
def _room(size: int, like: Any) -> Any:
    """Zeros, flat, of an array's type, that begin with a cache line: vectors of 64 bytes cross none."""
    room = np.zeros(size + ROWS, like.dtype)
    skipped = (-room.ctypes.data % 64) // room.itemsize
    return room[skipped : skipped + size]


# --- layers ---


@njit(cache=True, nogil=True)
def pack_weights(gru: bool, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, packed: Any) -> None:
    """Lay PyTorch's weights of a layer out as the kernel reads them.

    Args:
        gru: whether these are a GRU's.
        w_ih: (gates * units, channels).
        w_hh: (gates * units, units).
        b_ih: (gates * units,).
        b_hh: (gates * units,).
        packed: zeros, (units, 1 + channels + units, 4).
    """
    units, channels = w_hh.shape[1], w_ih.shape[1]
    for u in range(units):
        for gate in range(3 if gru else 4):
            row, last = gate * units + u, gru and gate == 2
            hidden = 3 if last else gate
            packed[u, 0, gate] += b_ih[row]
            packed[u, 0, hidden] += b_hh[row]
            for c in range(channels):
                packed[u, 1 + c, gate] = w_ih[row, c]
            for k in range(units):
                packed[u, 1 + channels + k, hidden] = w_hh[row, k]


@njit(cache=True, nogil=True)
def unpack_gradients(gru: bool, packed: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> None:
    """The way back of ``pack_weights``."""
    units, channels = w_hh.shape[1], w_ih.shape[1]
    for u in range(units):
        for gate in range(3 if gru else 4):
            row, last = gate * units + u, gru and gate == 2
            hidden = 3 if last else gate
            b_ih[row] = packed[u, 0, gate]
            b_hh[row] = packed[u, 0, hidden]
            for c in range(channels):
                w_ih[row, c] = packed[u, 1 + c, gate]
            for k in range(units):
                w_hh[row, k] = packed[u, 1 + channels + k, hidden]


@njit(cache=True, nogil=True)
def transpose_weights(packed: Any, first: int, turned: Any) -> None:
    """Lay out for the backward pass the weights of some inputs.

    Args:
        packed: (units, inputs, 4).
        first: the first of these inputs.
        turned: zeros, (ceil(n / 4), units, 4, 4), the last index over four inputs each.
    """
    for k in range(first, min(packed.shape[1], first + 4 * turned.shape[0])):
        for u in range(packed.shape[0]):
            for gate in range(4):
                turned[(k - first) // 4, u, gate, (k - first) % 4] = packed[u, k, gate]


@njit(cache=True, nogil=True)
def lay_out(last: Any, starts: Any, steps: int) -> Any:
    """Lay B clean series, then their copies by the step at which they enter, into blocks.

    Args:
        last: last true step of each series, (B,) int64.
        starts: first step in which each copy differs, (M, B) int64; M is 0 without copies.
        steps: T.

    Returns:
        Of each row of the blocks, as ``recurrent.Plan`` has them: source, mask, entry, origin and last. Rows
        that only fill up a block have -1 for the first two and origin, entry and last of the row before. And
        the row of each answer, (B (M + 1),).
    """
    copies, series = starts.shape
    first = -(-series // ROWS) * ROWS
    whole = first - (-copies * series // ROWS) * ROWS
    source, mask, origin = np.full(whole, -1), np.full(whole, -1), np.full(whole, -1)
    entry, read = np.zeros(whole, np.int64), np.zeros(whole, np.int64)
    rows = np.empty(series * (copies + 1), np.int64)
    for i in range(series):
        source[i] = mask[i] = rows[i] = i
        read[i] = last[i]
    read[series:first] = last[series - 1]
    begin = np.zeros(steps + 1, np.int64)  # of those that enter at each step, the first row
    for m in range(copies):
        for i in range(series):
            begin[min(starts[m, i], last[i]) + 1] += 1
    begin = first + np.cumsum(begin)
    for m in range(copies):
        for i in range(series):
            t = min(starts[m, i], last[i])
            row = begin[t]
            begin[t] += 1
            source[row], mask[row], entry[row], read[row] = series * (m + 1) + i, i, t, last[i]
            origin[row] = i if t > 0 else -1
            rows[series * (m + 1) + i] = row
    for row in range(first + copies * series, whole):
        entry[row], read[row] = entry[row - 1], read[row - 1]
    return source, mask, entry, origin, read, rows


@njit(cache=True, nogil=True)
def pack_rows(x: Any, source: Any, begin: Any, end: Any, blocks: Any) -> None:
    """Fill a sequence.

    Args:
        x: series, (N, C, T).
        source: series of each row, (16 * blocks,) int64, -1 for a row that only fills up.
        begin: first step of each block, (blocks,) int64.
        end: the step after its last, (blocks,) int64.
        blocks: (blocks, T, 1 + C, 16).
    """
    for b in range(len(blocks)):
        for t in range(begin[b], end[b]):
            for r in range(ROWS):
                blocks[b, t, 0, r] = 1
        for r in range(ROWS):
            row = source[ROWS * b + r]
            for c in range(x.shape[1]):
                for t in range(begin[b], end[b]):
                    blocks[b, t, 1 + c, r] = x[row, c, t] if row >= 0 else 0


@njit(forceinline=True)
def _sums(values: Any, at: int, count: int, weights: Any, w: int, sums: Any) -> Any:
    """Add to four sums the products of some inputs with their weights."""
    s0, s1, s2, s3 = sums
    for _ in range(count):
        value = load(values, at)
        s0, s1 = fma(spread(weights, w), value, s0), fma(spread(weights, w + 1), value, s1)
        s2, s3 = fma(spread(weights, w + 2), value, s2), fma(spread(weights, w + 3), value, s3)
        at += ROWS
        w += 4
    return s0, s1, s2, s3


@njit(forceinline=True)
def _lstm_gates(sums: Any, gates: Any, at: int) -> None:
    """The gates of one unit."""
    i, i_below = tanh_parts(sums[0] * 0.5)
    f, f_below = tanh_parts(sums[1] * 0.5)
    g, g_below = tanh_parts(sums[2])
    o, o_below = tanh_parts(sums[3] * 0.5)
    # One division for four: a division takes as long as ten multiplications.
    first, second = i_below * f_below, g_below * o_below
    inverse = 1.0 / (first * second)
    of_first, of_second = inverse * second, inverse * first
    store(gates, at, logistic(i * (of_first * f_below)))
    store(gates, at + ROWS, logistic(f * (of_first * i_below)))
    store(gates, at + 2 * ROWS, g * (of_second * o_below))
    store(gates, at + 3 * ROWS, logistic(o * (of_second * g_below)))


@njit(forceinline=True)
def _lstm_states(units: int, gates: Any, at: int, cs: Any, before: int, after: int, hs: Any, h: int) -> None:
    """Cell states and hidden states of all units.

    In a loop of its own, since processors look some 300 operations ahead: what a unit's gates and its states
    wait for overlaps with other units' only if few operations lie between.
    """
    for k in range(0, units * ROWS, ROWS):
        i, f, g = load(gates, at), load(gates, at + ROWS), load(gates, at + 2 * ROWS)
        c = fma(f, load(cs, before + k), i * g)
        squashed = tanh(c)
        store(cs, after + k, c)
        store(hs, h + k, load(gates, at + 3 * ROWS) * squashed)
        store(gates, at + 4 * ROWS, squashed)
        at += GATES * ROWS


@njit(forceinline=True)
def _gru(sums: Any, gates: Any, at: int, hs: Any, before: int, after: int) -> None:
    """One unit: gates and hidden state."""
    r, r_below = tanh_parts(sums[0] * 0.5)
    z, z_below = tanh_parts(sums[1] * 0.5)
    inverse = 1.0 / (r_below * z_below)
    r, z = logistic(r * (inverse * z_below)), logistic(z * (inverse * r_below))
    n = tanh(fma(r, sums[3], sums[2]))
    store(hs, after, fma(z, load(hs, before) - n, n))
    store(gates, at, r)
    store(gates, at + ROWS, z)
    store(gates, at + 2 * ROWS, n)
    store(gates, at + 3 * ROWS, sums[3])


@njit(forceinline=True)
def _enter(states: Any, slots: int, width: int, first: int, t: int, b: int, r: int, origin: int) -> None:
    """Give a row the state that another has before step t."""
    to = (b * slots + t) * width + r
    source = (origin // ROWS * slots + t) * width + origin % ROWS
    for at in range(first * ROWS, width, ROWS):
        states[to + at] = states[source + at]


@njit(cache=True, nogil=True)
def forward(
    gru: bool,
    keep: int,
    x: Any,
    x_slots: int,
    x_first: int,
    weights: Any,
    begin: Any,
    end: Any,
    entry: Any,
    origin: Any,
    hs: Any,
    cs: Any,
    gates: Any,
) -> None:
    """Run a layer over all blocks.

    Args:
        gru: whether it is a GRU.
        keep: 1 if ``gates`` has all steps, 0 if it has one that is written over.
        x: its input, a flat sequence.
        x_slots: slots of a block in it.
        x_first: slot of step 0.
        weights: packed, (units, inputs, 4).
        begin: first step of each block, (blocks,) int64.
        end: the step after its last, (blocks,) int64.
        entry: step at which each row enters, (16 * blocks,) int64, ascending within a block.
        origin: row of whose state it then takes, or -1, (16 * blocks,) int64, in a block before.
        hs: hidden states, a flat sequence, written.
        cs: cell states, flat, written; of one element for a GRU.
        gates: flat, written.
    """
    units, inputs = weights.shape[0], weights.shape[1]
    x_width, h_width, c_width = (inputs - units) * ROWS, (1 + units) * ROWS, units * ROWS
    slots, flat = len(hs) // (h_width * len(begin)), weights.reshape(-1)
    ones = zeros(hs) + 1.0
    for b in range(len(begin)):
        start = (b * slots + begin[b]) * h_width
        hs[start : start + h_width] = 0
        hs[start : start + ROWS] = 1
        if not gru:
            start = (b * slots + begin[b]) * c_width
            cs[start : start + c_width] = 0
        entered = 0
        for t in range(begin[b], end[b]):
            while entered < ROWS and entry[b * ROWS + entered] <= t:
                row = origin[b * ROWS + entered]
                if row >= 0:
                    _enter(hs, slots, h_width, 1, t, b, entered, row)
                    if not gru:
                        _enter(cs, slots, c_width, 0, t, b, entered, row)
                entered += 1
            x_at = (b * x_slots + t + x_first) * x_width
            h_at, c_at = (b * slots + t) * h_width, (b * slots + t) * c_width
            g_at = keep * (b * (slots - 1) + t) * GATES * c_width
            store(hs, h_at + h_width, ones)
            for u in range(units):
                w = u * inputs * 4
                sums = (spread(flat, w), spread(flat, w + 1), spread(flat, w + 2), spread(flat, w + 3))
                sums = _sums(x, x_at + ROWS, inputs - units - 1, flat, w + 4, sums)
                sums = _sums(hs, h_at + ROWS, units, flat, w + (inputs - units) * 4, sums)
                g, h = g_at + u * GATES * ROWS, h_at + (1 + u) * ROWS
                if gru:
                    _gru(sums, gates, g, hs, h, h + h_width)
                else:
                    _lstm_gates(sums, gates, g)
            if not gru:
                _lstm_states(units, gates, g_at, cs, c_at, c_at + c_width, hs, h_at + h_width + ROWS)


@njit(forceinline=True)
def _lstm_back(
    gates: Any, at: int, cs: Any, c: int, dh: Any, carry: Any, k: int, d_sums: Any, to: int
) -> None:
    """One unit: gradients of the four sums, and of the cell state in ``carry``."""
    i, f, g = load(gates, at), load(gates, at + ROWS), load(gates, at + 2 * ROWS)
    o, squashed = load(gates, at + 3 * ROWS), load(gates, at + 4 * ROWS)
    d = load(dh, k)
    dc = load(carry, k) + d * o * (1.0 - squashed * squashed)
    store(d_sums, to, dc * g * (i * (1.0 - i)))
    store(d_sums, to + ROWS, dc * load(cs, c) * (f * (1.0 - f)))
    store(d_sums, to + 2 * ROWS, dc * i * (1.0 - g * g))
    store(d_sums, to + 3 * ROWS, d * squashed * (o * (1.0 - o)))
    store(carry, k, dc * f)


@njit(forceinline=True)
def _gru_back(
    gates: Any, at: int, hs: Any, h: int, dh: Any, carry: Any, k: int, d_sums: Any, to: int
) -> None:
    """One unit: gradients of the four sums, and in ``carry`` what passes straight to the state."""
    r, z = load(gates, at), load(gates, at + ROWS)
    n, inner = load(gates, at + 2 * ROWS), load(gates, at + 3 * ROWS)
    d = load(dh, k)
    dn = d * (1.0 - z) * (1.0 - n * n)
    store(d_sums, to, dn * inner * (r * (1.0 - r)))
    store(d_sums, to + ROWS, d * (load(hs, h) - n) * (z * (1.0 - z)))
    store(d_sums, to + 2 * ROWS, dn)
    store(d_sums, to + 3 * ROWS, dn * r)
    store(carry, k, d * z)


@njit(forceinline=True)
def _back(d_sums: Any, at: int, units: int, turned: Any, w: int, sums: Any) -> Any:
    """Add to the gradients of four inputs those that come from the sums of all units."""
    s0, s1, s2, s3 = sums
    for _ in range(units * 4):
        d = load(d_sums, at)
        s0, s1 = fma(spread(turned, w), d, s0), fma(spread(turned, w + 1), d, s1)
        s2, s3 = fma(spread(turned, w + 2), d, s2), fma(spread(turned, w + 3), d, s3)
        at += ROWS
        w += 4
    return s0, s1, s2, s3


@njit(forceinline=True)
def _store_four(array: Any, at: int, count: int, sums: Any) -> None:
    """Store up to four channels."""
    store(array, at, sums[0])
    if count > 1:
        store(array, at + ROWS, sums[1])
    if count > 2:
        store(array, at + 2 * ROWS, sums[2])
    if count > 3:
        store(array, at + 3 * ROWS, sums[3])


@njit(forceinline=True)
def _back_to_states(
    gru: bool, d_sums: Any, at: int, units: int, turned: Any, groups: int, carry: Any, dh: Any
) -> None:
    """Gradients of the hidden states before a step, from those of its sums and what a GRU passes on."""
    nothing = zeros(dh)
    for group in range(groups):
        to = group * 4 * ROWS
        sums = (nothing, nothing, nothing, nothing)
        if gru:
            sums = (
                load(carry, to),
                load(carry, to + ROWS),
                load(carry, to + 2 * ROWS),
                load(carry, to + 3 * ROWS),
            )
        _store_four(dh, to, 4, _back(d_sums, at, units, turned, group * units * 16, sums))


@njit(forceinline=True)
def _back_to_inputs(
    d_sums: Any, at: int, units: int, turned: Any, groups: int, d_x: Any, to: int, n: int
) -> None:
    """Gradients of a step's n channels, from those of its sums."""
    nothing = zeros(d_x)
    for group in range(groups):
        sums = _back(d_sums, at, units, turned, group * units * 16, (nothing, nothing, nothing, nothing))
        _store_four(d_x, to + 4 * group * ROWS, n - 4 * group, sums)


@njit(forceinline=True)
def _products(
    d_sums: Any, d: int, d_step: int, v: Any, at: int, step: int, n: int, lanes: Any, to: int
) -> None:
    """Add to a unit's weight gradients, lane by lane, those of an input over n steps."""
    s0, s1 = load(lanes, to), load(lanes, to + ROWS)
    s2, s3 = load(lanes, to + 2 * ROWS), load(lanes, to + 3 * ROWS)
    for _ in range(n):
        value = load(v, at)
        s0, s1 = fma(load(d_sums, d), value, s0), fma(load(d_sums, d + ROWS), value, s1)
        s2, s3 = fma(load(d_sums, d + 2 * ROWS), value, s2), fma(load(d_sums, d + 3 * ROWS), value, s3)
        d += d_step
        at += step
    store(lanes, to, s0)
    store(lanes, to + ROWS, s1)
    store(lanes, to + 2 * ROWS, s2)
    store(lanes, to + 3 * ROWS, s3)


@njit(nogil=True)
def _weight_gradients(
    d_sums: Any, at: int, units: int, x: Any, x_at: int, n_x: int, hs: Any, h_at: int, steps: int, lanes: Any
) -> None:
    """Add to the weight gradients those of some steps of a block."""
    d_step, to = units * 4 * ROWS, 0
    for u in range(units):
        d = at + u * 4 * ROWS
        for k in range(n_x):
            _products(d_sums, d, d_step, x, x_at + k * ROWS, n_x * ROWS, steps, lanes, to)
            to += 4 * ROWS
        for k in range(1, units + 1):
            _products(d_sums, d, d_step, hs, h_at + k * ROWS, (1 + units) * ROWS, steps, lanes, to)
            to += 4 * ROWS


@njit(nogil=True)
def _add_lanes(lanes: Any, weights: Any) -> None:
    """Sum the lanes of each weight gradient, in their order."""
    for i in range(len(weights)):
        total = lanes[i * ROWS]
        for lane in range(1, ROWS):
            total += lanes[i * ROWS + lane]
        weights[i] = total


@njit(cache=True, nogil=True)
def backward(
    gru: bool,
    x: Any,
    x_slots: int,
    x_first: int,
    weights: Any,
    turned_h: Any,
    turned_x: Any,
    begin: Any,
    end: Any,
    entry: Any,
    origin: Any,
    last: Any,
    hs: Any,
    cs: Any,
    gates: Any,
    d_read: Any,
    d_above: Any,
    d_states: Any,
    d_cells: Any,
    d_weights: Any,
    d_x: Any,
) -> None:
    """Send gradients back through a layer, the last block first.

    Args:
        gru: whether it is a GRU.
        x: as of ``forward``, like all that is not described here.
        x_slots: see ``forward``.
        x_first: see ``forward``.
        weights: see ``forward``.
        turned_h: weights of the hidden states as ``transpose_weights`` lays them out.
        turned_x: those of the channels, or of no group where the input needs no gradient.
        begin: see ``forward``.
        end: see ``forward``.
        entry: see ``forward``.
        origin: see ``forward``.
        last: step at which each row is read, (16 * blocks,) int64.
        hs: see ``forward``.
        cs: see ``forward``.
        gates: of all steps, see ``forward``.
        d_read: gradient of the states that are read, (16 * blocks, units); empty for a lower layer.
        d_above: gradient of ``hs`` from the layer above, flat like ``hs``; empty for the top layer.
        d_states: zeros for the blocks that others took states from, flat like ``hs``.
        d_cells: the same for the cell states.
        d_weights: written, (units, inputs, 4).
        d_x: written, flat like ``x``, if ``turned_x`` has groups.
    """
    units, inputs = weights.shape[0], weights.shape[1]
    n_x = inputs - units
    x_width, h_width, c_width = n_x * ROWS, (1 + units) * ROWS, units * ROWS
    slots = len(hs) // (h_width * len(begin))
    flat_h, flat_x = turned_h.reshape(-1), turned_x.reshape(-1)
    whole, d_width = turned_h.shape[0] * 4 * ROWS, units * 4 * ROWS
    chunk = max(1, CHUNK // d_width)
    dh, carry, lanes = _room(whole, hs), _room(whole, hs), _room(d_weights.size * ROWS, hs)
    d_sums = _room(chunk * d_width, hs)  # of some steps, the last one last
    for b in range(len(begin) - 1, -1, -1):
        dh[:] = 0
        carry[:] = 0
        entered, pending = ROWS, 0
        shared = (b + 1) * slots * h_width <= len(d_states)
        earliest = last[b * ROWS : (b + 1) * ROWS].min()
        for t in range(end[b] - 1, begin[b] - 1, -1):
            h_at, c_at = (b * slots + t) * h_width, (b * slots + t) * c_width
            g_at, x_at = (b * (slots - 1) + t) * GATES * c_width, (b * x_slots + t + x_first) * x_width
            if len(d_above):
                for at in range(0, c_width, ROWS):
                    store(dh, at, load(dh, at) + load(d_above, h_at + h_width + ROWS + at))
            elif t >= earliest:
                for r in range(ROWS):
                    if last[b * ROWS + r] == t:
                        for u in range(units):
                            dh[u * ROWS + r] += d_read[b * ROWS + r, u]
            pending += 1
            d_at = (chunk - pending) * d_width
            for u in range(units):
                at, g, to = u * ROWS, g_at + u * GATES * ROWS, d_at + u * 4 * ROWS
                if gru:
                    _gru_back(gates, g, hs, h_at + ROWS + at, dh, carry, at, d_sums, to)
                else:
                    _lstm_back(gates, g, cs, c_at + at, dh, carry, at, d_sums, to)
            _back_to_states(gru, d_sums, d_at, units, flat_h, turned_h.shape[0], carry, dh)
            _back_to_inputs(d_sums, d_at, units, flat_x, turned_x.shape[0], d_x, x_at + ROWS, n_x - 1)
            if pending == chunk or t == begin[b]:
                _weight_gradients(d_sums, d_at, units, x, x_at, n_x, hs, h_at, pending, lanes)
                pending = 0
            if shared:
                for at in range(0, c_width, ROWS):
                    store(dh, at, load(dh, at) + load(d_states, h_at + ROWS + at))
                    if not gru:
                        store(carry, at, load(carry, at) + load(d_cells, c_at + at))
            while entered > 0 and entry[b * ROWS + entered - 1] == t:
                entered -= 1
                row = origin[b * ROWS + entered]
                source = (row // ROWS * slots + t) * h_width + ROWS + row % ROWS
                cell = (row // ROWS * slots + t) * c_width + row % ROWS
                for at in range(0, c_width, ROWS):
                    if row >= 0:
                        d_states[source + at] += dh[at + entered]
                        if not gru:
                            d_cells[cell + at] += carry[at + entered]
                    dh[at + entered] = 0
                    carry[at + entered] = 0
    _add_lanes(lanes, d_weights.reshape(-1))


# --- layers that are differentiated twice ---
#
# The gradient of <w, dx> is that of <d, tangent of h>, where dx is the input's gradient for a gradient d of
# the states and w gives the input's tangents: the layer's tangents forward, then both backward.


@njit(forceinline=True)
def _lstm_tangent(
    sums: Any,
    gates: Any,
    at: int,
    dots: Any,
    to: int,
    cs: Any,
    c: int,
    c_dots: Any,
    after: int,
    h_dots: Any,
    h: int,
) -> None:
    """One unit: tangents of the cell state and the hidden state; those of the sums are kept."""
    i, f, g = load(gates, at), load(gates, at + ROWS), load(gates, at + 2 * ROWS)
    o, squashed = load(gates, at + 3 * ROWS), load(gates, at + 4 * ROWS)
    change = f * (1.0 - f) * sums[1] * load(cs, c) + f * load(c_dots, c)
    change = change + i * (1.0 - i) * sums[0] * g + i * (1.0 - g * g) * sums[2]
    store(c_dots, after, change)
    store(h_dots, h, o * (1.0 - o) * sums[3] * squashed + o * (1.0 - squashed * squashed) * change)
    store(dots, to, sums[0])
    store(dots, to + ROWS, sums[1])
    store(dots, to + 2 * ROWS, sums[2])
    store(dots, to + 3 * ROWS, sums[3])


@njit(forceinline=True)
def _gru_tangent(
    sums: Any, gates: Any, at: int, dots: Any, to: int, hs: Any, h_dots: Any, before: int, after: int
) -> None:
    """One unit: tangent of the hidden state; those of the sums, the third whole, are kept."""
    r, z = load(gates, at), load(gates, at + ROWS)
    n, inner = load(gates, at + 2 * ROWS), load(gates, at + 3 * ROWS)
    whole = sums[2] + r * sums[3] + r * (1.0 - r) * sums[0] * inner
    change = (1.0 - n * n) * whole
    kept = z * (1.0 - z) * sums[1] * (load(hs, before) - n)
    store(h_dots, after, change + kept + z * (load(h_dots, before) - change))
    store(dots, to, sums[0])
    store(dots, to + ROWS, sums[1])
    store(dots, to + 2 * ROWS, whole)
    store(dots, to + 3 * ROWS, sums[3])


@njit(cache=True, nogil=True)
def tangents(
    gru: bool,
    steps: int,
    x_dots: Any,
    weights: Any,
    hs: Any,
    cs: Any,
    gates: Any,
    h_dots: Any,
    c_dots: Any,
    dots: Any,
) -> None:
    """Tangents of a layer's states for those of its input, over blocks that all run from step 0 to the end.

    Args:
        gru: whether it is a GRU.
        steps: T.
        x_dots: tangents of the input, a flat sequence of T slots whose channel 0 is zero.
        weights: packed, (units, inputs, 4).
        hs: as ``forward`` left them, like ``cs`` and ``gates``.
        cs: see ``hs``.
        gates: see ``hs``.
        h_dots: zeros, flat like ``hs``; tangents are written.
        c_dots: zeros, flat like ``cs``; tangents are written.
        dots: written, flat, (blocks, T, units, 4, 16): tangents of the four sums.
    """
    units, inputs = weights.shape[0], weights.shape[1]
    x_width, h_width, c_width = (inputs - units) * ROWS, (1 + units) * ROWS, units * ROWS
    flat, nothing = weights.reshape(-1), zeros(hs)
    for b in range(len(hs) // (h_width * (steps + 1))):
        for t in range(steps):
            x_at, d_at = (b * steps + t) * x_width, (b * steps + t) * 4 * c_width
            g_at = (b * steps + t) * GATES * c_width
            h_at, c_at = (b * (steps + 1) + t) * h_width, (b * (steps + 1) + t) * c_width
            for u in range(units):
                w = u * inputs * 4
                sums = (nothing, nothing, nothing, nothing)
                sums = _sums(x_dots, x_at + ROWS, inputs - units - 1, flat, w + 4, sums)
                sums = _sums(h_dots, h_at + ROWS, units, flat, w + (inputs - units) * 4, sums)
                g, h, c = g_at + u * GATES * ROWS, h_at + (1 + u) * ROWS, c_at + u * ROWS
                d = d_at + u * 4 * ROWS
                if gru:
                    _gru_tangent(sums, gates, g, dots, d, hs, h_dots, h, h + h_width)
                else:
                    _lstm_tangent(sums, gates, g, dots, d, cs, c, c_dots, c + c_width, h_dots, h + h_width)


@njit(forceinline=True)
def _lstm_twice(
    gates: Any,
    at: int,
    cs: Any,
    c_dots: Any,
    c: int,
    after: int,
    dots: Any,
    twos: Any,
    to: int,
    flow: Any,
    k: int,
) -> None:
    """One unit: gradients of the four sums in ``twos`` and of their tangents in ``dots``."""
    dh, carry, dh_dot, carry_dot = flow
    i, f, g = load(gates, at), load(gates, at + ROWS), load(gates, at + 2 * ROWS)
    o, squashed = load(gates, at + 3 * ROWS), load(gates, at + 4 * ROWS)
    i_slope, f_slope, g_slope = i * (1.0 - i), f * (1.0 - f), 1.0 - g * g
    o_slope, slope = o * (1.0 - o), 1.0 - squashed * squashed
    i_dot, f_dot = load(dots, to), load(dots, to + ROWS)
    g_dot, o_dot = load(dots, to + 2 * ROWS), load(dots, to + 3 * ROWS)
    c_before, c_dot_before, c_dot = load(cs, c), load(c_dots, c), load(c_dots, after)
    d, e = load(dh, k), load(dh_dot, k)
    e_cell = load(carry_dot, k) + e * o * slope
    d_squashed = d * o + e * (o_slope * o_dot - 2.0 * o * squashed * c_dot)
    d_cell = load(carry, k) + d_squashed * slope
    e_i, e_f, e_g, e_o = e_cell * g, e_cell * c_before, e_cell * i, e * squashed
    d_i = d_cell * g + e_cell * (g_slope * g_dot) + e_i * (1.0 - 2.0 * i) * i_dot
    d_f = d_cell * c_before + e_cell * c_dot_before + e_f * (1.0 - 2.0 * f) * f_dot
    d_g = d_cell * i + e_cell * (i_slope * i_dot) - e_g * (2.0 * g) * g_dot
    d_o = d * squashed + e * (slope * c_dot) + e_o * (1.0 - 2.0 * o) * o_dot
    store(twos, to, d_i * i_slope)
    store(twos, to + ROWS, d_f * f_slope)
    store(twos, to + 2 * ROWS, d_g * g_slope)
    store(twos, to + 3 * ROWS, d_o * o_slope)
    store(dots, to, e_i * i_slope)
    store(dots, to + ROWS, e_f * f_slope)
    store(dots, to + 2 * ROWS, e_g * g_slope)
    store(dots, to + 3 * ROWS, e_o * o_slope)
    store(carry, k, d_cell * f + e_cell * (f_slope * f_dot))
    store(carry_dot, k, e_cell * f)


@njit(forceinline=True)
def _gru_twice(
    gates: Any, at: int, hs: Any, h_dots: Any, h: int, dots: Any, twos: Any, to: int, flow: Any, k: int
) -> None:
    """One unit: as ``_lstm_twice``; what passes straight to the state before is in the carries."""
    dh, carry, dh_dot, carry_dot = flow
    r, z = load(gates, at), load(gates, at + ROWS)
    n, inner = load(gates, at + 2 * ROWS), load(gates, at + 3 * ROWS)
    r_slope, z_slope, n_slope = r * (1.0 - r), z * (1.0 - z), 1.0 - n * n
    r_dot, z_dot = load(dots, to), load(dots, to + ROWS)
    n_dot, inner_dot = load(dots, to + 2 * ROWS), load(dots, to + 3 * ROWS)
    d, e = load(dh, k), load(dh_dot, k)
    gap, gap_dot = load(hs, h) - n, load(h_dots, h) - n_slope * n_dot
    e_n, e_z = e * (1.0 - z) * n_slope, e * gap
    d_n = (d * (1.0 - z) - e * (z_slope * z_dot) - e * (1.0 - z) * (2.0 * n) * n_dot) * n_slope
    e_r = e_n * inner
    d_r = d_n * inner + e_n * inner_dot + e_r * (1.0 - 2.0 * r) * r_dot
    d_z = d * gap + e * gap_dot + e_z * (1.0 - 2.0 * z) * z_dot
    store(twos, to, d_r * r_slope)
    store(twos, to + ROWS, d_z * z_slope)
    store(twos, to + 2 * ROWS, d_n)
    store(twos, to + 3 * ROWS, d_n * r + e_n * (r_slope * r_dot))
    store(dots, to, e_r * r_slope)
    store(dots, to + ROWS, e_z * z_slope)
    store(dots, to + 2 * ROWS, e_n)
    store(dots, to + 3 * ROWS, e_n * r)
    store(carry, k, d * z + e * (z_slope * z_dot))
    store(carry_dot, k, e * z)


@njit(cache=True, nogil=True)
def backward_twice(
    gru: bool,
    steps: int,
    x: Any,
    x_dots: Any,
    weights: Any,
    turned_h: Any,
    turned_x: Any,
    hs: Any,
    cs: Any,
    gates: Any,
    h_dots: Any,
    c_dots: Any,
    dots: Any,
    twos: Any,
    d_hs: Any,
    d_weights: Any,
    d_x: Any,
) -> None:
    """Gradient of the sum of ``d_hs`` times the states' tangents, which depend on states, weights and input.

    Args:
        gru: whether it is a GRU.
        steps: T.
        x: the layer's input, a flat sequence of T slots.
        x_dots: its tangents, see ``tangents``.
        weights: packed, (units, inputs, 4).
        turned_h: see ``backward``.
        turned_x: see ``backward``.
        hs: see ``tangents``.
        cs: see ``tangents``.
        gates: see ``tangents``.
        h_dots: as ``tangents`` left them, like ``c_dots`` and ``dots``.
        c_dots: see ``h_dots``.
        dots: see ``h_dots``; gradients are put in their place.
        twos: written, flat like ``dots``.
        d_hs: factors, flat like ``hs``; those of channel 0 and of slot 0 do not count.
        d_weights: written, (units, inputs, 4).
        d_x: zeros, flat like ``x``; written where ``turned_x`` has groups.
    """
    units, inputs = weights.shape[0], weights.shape[1]
    n_x = inputs - units
    x_width, h_width, c_width = n_x * ROWS, (1 + units) * ROWS, units * ROWS
    whole = turned_h.shape[0] * 4 * ROWS
    dh, carry, dh_dot, carry_dot = _room(whole, hs), _room(whole, hs), _room(whole, hs), _room(whole, hs)
    flow, lanes = (dh, carry, dh_dot, carry_dot), _room(d_weights.size * ROWS, hs)
    flat_h, flat_x = turned_h.reshape(-1), turned_x.reshape(-1)
    chunk = max(1, CHUNK // (units * 8 * ROWS))
    for b in range(len(hs) // (h_width * (steps + 1)) - 1, -1, -1):
        for each in flow:
            each[:] = 0
        pending = 0
        for t in range(steps - 1, -1, -1):
            x_at, d_at = (b * steps + t) * x_width, (b * steps + t) * 4 * c_width
            g_at = (b * steps + t) * GATES * c_width
            h_at, c_at = (b * (steps + 1) + t) * h_width, (b * (steps + 1) + t) * c_width
            for u in range(units):
                at, g, to = u * ROWS, g_at + u * GATES * ROWS, d_at + u * 4 * ROWS
                store(dh_dot, at, load(dh_dot, at) + load(d_hs, h_at + h_width + ROWS + at))
                if gru:
                    _gru_twice(gates, g, hs, h_dots, h_at + ROWS + at, dots, twos, to, flow, at)
                else:
                    c = c_at + at
                    _lstm_twice(gates, g, cs, c_dots, c, c + c_width, dots, twos, to, flow, at)
            _back_to_states(gru, twos, d_at, units, flat_h, turned_h.shape[0], carry, dh)
            _back_to_states(gru, dots, d_at, units, flat_h, turned_h.shape[0], carry_dot, dh_dot)
            _back_to_inputs(twos, d_at, units, flat_x, turned_x.shape[0], d_x, x_at + ROWS, n_x - 1)
            pending += 1
            if pending == chunk or t == 0:
                _weight_gradients(twos, d_at, units, x, x_at, n_x, hs, h_at, pending, lanes)
                _weight_gradients(dots, d_at, units, x_dots, x_at, n_x, h_dots, h_at, pending, lanes)
                pending = 0
    _add_lanes(lanes, d_weights.reshape(-1))
