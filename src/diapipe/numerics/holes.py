"""Holes: pixels that tell nothing, filled from their neighbours so that an interpolant can pass over them."""

from __future__ import annotations

import math

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.threads import over_bands

MAX_GAP = 5
"""Widest run of holes, in pixels, that is bridged by an interpolation from both sides."""

_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))


def fill_holes(
    image: Float32Array, variance: Float32Array, hole: BoolArray, *, n_threads: int = 1
) -> tuple[Float32Array, Float32Array]:
    """Copy of two planes in which what the neighbours can tell stands in the holes.

    Parameters
    ----------
    image, variance
        Shape (rows, columns).
    hole
        Pixels whose own value is not to be used.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    tuple
        Image and variance. A hole gets the cubic (at least linear) interpolation across the narrower of its row's and
        its column's gap, up to ``MAX_GAP`` pixels wide, or the mean of the two where they are as wide; the rim of a
        larger hole is extrapolated linearly from outside; deeper pixels keep their own values. The variance is the mean
        of the pixels used: for interpolated pixels an estimate, not an error propagation.
    """
    filled, spread = image.copy(), variance.copy()

    def work(first: int, last: int) -> None:
        _fill_rows(image, variance, hole, filled, spread, first, last)

    over_bands(work, len(image), n_threads=n_threads)
    return filled, spread


@jit
def _fill_rows(
    image: Float32Array,
    variance: Float32Array,
    hole: BoolArray,
    filled: Float32Array,
    spread: Float32Array,
    first: int,
    last: int,
) -> None:
    for y in range(first, last):
        for x in range(image.shape[1]):
            if not hole[y, x]:
                continue
            for axis in range(2):
                gap, value, spread_here = _across(image, variance, hole, y, x, axis, 1 - axis)
                if axis == 0:
                    gap_x, value_x, variance_x = gap, value, spread_here
            gap_y, value_y, variance_y = gap, value, spread_here
            if gap_x < gap_y:
                filled[y, x], spread[y, x] = value_x, variance_x
            elif gap_y < gap_x:
                filled[y, x], spread[y, x] = value_y, variance_y
            elif gap_x <= MAX_GAP:
                filled[y, x], spread[y, x] = 0.5 * (value_x + value_y), 0.5 * (variance_x + variance_y)
            else:
                value, spread_here = _from_outside(image, variance, hole, y, x)
                if math.isfinite(value):
                    filled[y, x], spread[y, x] = value, spread_here


@inlined
def _is_good(hole: BoolArray, y: int, x: int) -> bool:
    return 0 <= y < hole.shape[0] and 0 <= x < hole.shape[1] and not hole[y, x]


@inlined
def _distance(hole: BoolArray, y: int, x: int, dy: int, dx: int) -> int:
    """Steps to the nearest good pixel in a direction; MAX_GAP + 1 if there is none so near."""
    for n in range(1, MAX_GAP + 1):
        if _is_good(hole, y + n * dy, x + n * dx):
            return n
    return MAX_GAP + 1


@inlined
def _across(
    image: Float32Array, variance: Float32Array, hole: BoolArray, y: int, x: int, dy: int, dx: int
) -> tuple[int, float, float]:
    """Width of the gap along one axis, the value interpolated across it, its variance; MAX_GAP + 1 if too wide."""
    ahead, behind = _distance(hole, y, x, dy, dx), _distance(hole, y, x, -dy, -dx)
    gap = ahead + behind - 1
    if gap > MAX_GAP:
        return MAX_GAP + 1, 0.0, 0.0
    nodes = np.array([-behind, ahead, ahead + 1, -behind - 1])
    n = 2
    if _is_good(hole, y + nodes[2] * dy, x + nodes[2] * dx) and _is_good(hole, y + nodes[3] * dy, x + nodes[3] * dx):
        n = 4
    value, spread = 0.0, 0.0
    for i in range(n):
        weight = 1.0
        for j in range(n):
            if j != i:
                weight *= nodes[j] / (nodes[j] - nodes[i])
        value += weight * image[y + nodes[i] * dy, x + nodes[i] * dx]
        spread += variance[y + nodes[i] * dy, x + nodes[i] * dx] / n
    return gap, value, spread


@inlined
def _from_outside(image: Float32Array, variance: Float32Array, hole: BoolArray, y: int, x: int) -> tuple[float, float]:
    """Mean of the linear extrapolations inwards, along the axes or, failing these, the diagonals; else NaN."""
    value, spread, n = 0.0, 0.0, 0
    for direction in range(8):
        if direction == 4 and n > 0:
            break
        dy, dx = _DIRECTIONS[direction]
        if not _is_good(hole, y + dy, x + dx):
            continue
        near = image[y + dy, x + dx]
        beyond = image[y + 2 * dy, x + 2 * dx] if _is_good(hole, y + 2 * dy, x + 2 * dx) else near
        value += 2.0 * near - beyond
        spread += variance[y + dy, x + dx]
        n += 1
    if n == 0:
        return math.nan, math.nan
    return value / n, spread / n
