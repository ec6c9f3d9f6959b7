"""Soft dynamic time warping and how much each cell counts in it: the compiled part.

The soft minimum over all paths is taken without a logarithm. A cell holds exp(-its soft minimum / gamma) as
mantissa times a power of two, so that the recursion of Cuturi and Blondel (2017, arXiv 1703.01541) becomes a
sum of three cells times exp(-cost / gamma), and nothing underflows. The series of a batch lie innermost.
"""

import math
from typing import Any

import numpy as np
from numba import njit

LOWEST = -126
"""A cell that is smaller than its largest neighbour by more than this power of two counts as if by this."""
NOWHERE = -(2**60)
"""Exponent of the cells outside the border, whose mantissa is zero."""


@njit(forceinline=True)
def _power(exponent: Any) -> Any:
    """Two to the power of an int64 between -1022 and 1023."""
    return np.int64((exponent + np.int64(1023)) << np.int64(52)).view(np.float64)


@njit(forceinline=True)
def _exponent(value: Any) -> Any:
    """The int64 whose power of two is the largest that a positive number reaches."""
    return (np.float64(value).view(np.int64) >> np.int64(52)) - np.int64(1023)


@njit(cache=True, nogil=True)
def forward(halvings: Any, rest: Any, ends: Any, shares: Any, found: Any) -> None:
    """Run the recursion.

    Args:
        halvings: n of the factors exp(-cost / gamma) = rest 2^-n, (T, T, B) int64.
        rest: between 1/2 and 1, (T, T, B).
        ends: the cell (n, n) where each path ends, counted from 1, (B,) int64.
        shares: zeros, (3, T + 1, T + 1, B); how much of a cell's soft minimum comes from the cell above, the
            one before and the one before above is written.
        found: written, (B,) float64: the binary logarithm of the sum over all paths.
    """
    T, B = halvings.shape[0], halvings.shape[2]
    mantissas = np.zeros((2, T + 1, B))
    exponents = np.full((2, T + 1, B), NOWHERE)
    mantissas[1, 0] = 1.0
    exponents[1, 0] = 0
    for i in range(T):
        here, above = mantissas[i % 2], mantissas[1 - i % 2]
        e_here, e_above = exponents[i % 2], exponents[1 - i % 2]
        here[0] = 0.0
        e_here[0] = NOWHERE
        for j in range(T):
            for b in range(B):
                e_up, e_left, e_both = e_above[j + 1, b], e_here[j, b], e_above[j, b]
                top = max(e_up, e_left, e_both)
                up = above[j + 1, b] * _power(max(e_up - top, LOWEST))
                left = here[j, b] * _power(max(e_left - top, LOWEST))
                both = above[j, b] * _power(max(e_both - top, LOWEST))
                total = up + left + both
                share = 1.0 / total
                shares[0, i, j, b] = up * share
                shares[1, i, j, b] = left * share
                shares[2, i, j, b] = both * share
                total *= rest[i, j, b]
                shift = _exponent(total)
                here[j + 1, b] = total * _power(-shift)
                e_here[j + 1, b] = top + shift - halvings[i, j, b]
        for b in range(B):
            if ends[b] == i + 1:
                found[b] = e_here[i + 1, b] + math.log2(here[i + 1, b])


@njit(cache=True, nogil=True)
def backward(shares: Any, flow: Any) -> None:
    """Send what arrives at the end cells back along the shares.

    Args:
        shares: as ``forward`` left them.
        flow: (T + 1, T + 1, B), zero but for the end cells, of index (n - 1, n - 1); all are written.
    """
    T, B = flow.shape[0] - 1, flow.shape[2]
    for i in range(T - 1, -1, -1):
        for j in range(T - 1, -1, -1):
            for b in range(B):
                flow[i, j, b] += (
                    flow[i + 1, j, b] * shares[0, i + 1, j, b]
                    + flow[i, j + 1, b] * shares[1, i, j + 1, b]
                    + flow[i + 1, j + 1, b] * shares[2, i + 1, j + 1, b]
                )
