"""Stacking: the weighted mean of images on one grid, with its variance, its mask and the weights that it used.

With weights w_i that are bilinear between nodes, over the images that count at a pixel,

    I = Σ w_i I_i / Σ w_i,      V = Σ w_i² V_i / (Σ w_i)².

An image counts where it is sound (finite, free of bad bits) and not rejected. Where none does, those that were rejected
count, and where these are none either, those with bad bits, whose bits the pixel then has. One bit, of saturation, a
pixel has too where the images that it took out of the mean would have had much of the weight.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit

type ByteArray = NDArray[np.uint8]


class Stack(NamedTuple):
    """Images on one grid.

    Attributes
    ----------
    image, variance, mask
        Shape (n, rows, columns); NaN where an image has nothing.
    rejected
        Not 0 where an image is not to count; the same shape.
    nodes
        Weights at the centres of cells, shape (n, n_rows, n_columns).
    step
        Side of a cell in pixels.
    row, column
        Where the first pixel lies in the frame of the cells.
    """

    image: Float32Array
    variance: Float32Array
    mask: MaskArray
    rejected: ByteArray
    nodes: Float32Array
    step: int
    row: int
    column: int


class Stacked(NamedTuple):
    """What a stack makes, in the frame of the cells.

    Attributes
    ----------
    image, variance, mask
        Shape of the frame.
    number
        Images that count, int32.
    used
        Sum of the weights that were used in each cell, shape (n, n_rows, n_columns).
    """

    image: Float32Array
    variance: Float32Array
    mask: MaskArray
    number: MaskArray
    used: Float32Array


class MaskRule(NamedTuple):
    """How masks are stacked.

    Attributes
    ----------
    bad
        Bits of pixels that count only where there are no others.
    passed
        Bits that the stack gets from the images that count, one number a bit.
    share
        Part of the weight that must carry such a bit.
    no_data, clipped
        Bits of a pixel without any image, and of one where an image was rejected.
    lost
        Bad bits that a pixel gets where images with more than ``lost_share`` of the weight carry them.
    lost_share
        Of the weight that the pixel would have had with these images.
    """

    bad: int
    passed: IntArray
    share: float
    no_data: int
    clipped: int
    lost: int
    lost_share: float


def nothing_stacked(shape: tuple[int, int], n: int, nodes: tuple[int, int], *, no_data: int) -> Stacked:
    """Planes of a frame on which nothing was stacked yet, for ``n`` images."""
    nothing = np.full(shape, np.nan, np.float32)
    return Stacked(
        nothing,
        nothing.copy(),
        np.full(shape, no_data, np.int32),
        np.zeros(shape, np.int32),
        np.zeros((n, *nodes), np.float32),
    )


@jit
def stack_rows(
    stack: Stack, index: IntArray, rule: MaskRule, out: Stacked, first: int, last: int, start: int, stop: int
) -> None:
    """Fill rows ``first`` to ``last`` of a stack's interior into the frame.

    Parameters
    ----------
    stack
        The images.
    index
        Number of each in ``out.used``.
    rule
        For the masks.
    out
        Filled.
    first, last
        Rows of the stack.
    start, stop
        Columns of the stack.
    """
    n, _, width = stack.image.shape
    total, value, spread = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    number, flagged = np.empty(width, np.int32), np.empty(width, np.int32)
    weights, carried = np.empty((n, width), np.float32), np.empty(width, np.float32)
    missed = np.empty(width, np.float32)
    bad, lost = np.int32(rule.bad), np.int32(rule.lost)
    for j in range(first, last):
        y = stack.row + j
        total[:], value[:], spread[:], number[:], flagged[:] = 0.0, 0.0, 0.0, 0, 0
        missed[:] = 0.0
        any_bits, any_lost = np.int32(0), np.int32(0)
        for i in range(n):
            _row_weights(stack.nodes[i], stack.step, y, stack.column, weights[i])
            values, variances, flags = stack.image[i, j], stack.variance[i, j], stack.mask[i, j]
            rejected, own, used = stack.rejected[i, j], weights[i], out.used[index[i], y // stack.step]
            for x in range(start, stop):
                known = math.isfinite(values[x]) and variances[x] > 0.0 and variances[x] < np.inf
                sound = known and (flags[x] & bad) == 0 and own[x] > 0.0
                if sound and rejected[x] != 0:
                    flagged[x] = 1
                if not sound or rejected[x] != 0:
                    if (flags[x] & lost) != 0:
                        missed[x] += own[x]
                        any_lost |= flags[x] & lost
                    own[x] = 0.0
                    continue
                w = own[x]
                total[x] += w
                value[x] += w * values[x]
                spread[x] += w * w * variances[x]
                number[x] += 1
                any_bits |= flags[x]
                used[(stack.column + x) // stack.step] += w
        _divide(stack, rule, out, j, start, stop, total, value, spread, number, flagged)
        for k in range(len(rule.passed)):
            if (any_bits & rule.passed[k]) != 0:
                _pass_on(stack, rule.passed[k], rule.share, weights, total, carried, out, j, start, stop)
        if any_lost != 0:
            share = np.float32(rule.lost_share)
            for x in range(start, stop):
                if total[x] > 0.0 and missed[x] > share * (total[x] + missed[x]):
                    out.mask[y, stack.column + x] |= lost


@inlined
def _divide(
    stack: Stack,
    rule: MaskRule,
    out: Stacked,
    j: int,
    start: int,
    stop: int,
    total: Float32Array,
    value: Float32Array,
    spread: Float32Array,
    number: MaskArray,
    flagged: MaskArray,
) -> None:
    """Means of one row; pixels on which no image counts are done one by one."""
    y = stack.row + j
    for x in range(start, stop):
        column = stack.column + x
        if total[x] > 0.0:
            scale = np.float32(1.0) / total[x]
            out.image[y, column], out.variance[y, column] = value[x] * scale, spread[x] * scale * scale
            out.number[y, column] = number[x]
            out.mask[y, column] = rule.clipped if flagged[x] != 0 else 0
        else:
            _from_the_rest(stack, rule, out, j, x)


@inlined
def _from_the_rest(stack: Stack, rule: MaskRule, out: Stacked, j: int, x: int) -> None:
    """A pixel that no sound image has: what was rejected, else what has bad bits."""
    y, column = stack.row + j, stack.column + x
    for wanted in range(2):
        total, value, spread = 0.0, 0.0, 0.0
        bits, number = 0, 0
        for i in range(stack.image.shape[0]):
            v, variance, flags = stack.image[i, j, x], stack.variance[i, j, x], stack.mask[i, j, x]
            is_bad = (flags & rule.bad) != 0
            if not (math.isfinite(v) and variance > 0.0 and variance < math.inf) or is_bad != (wanted == 1):
                continue
            if wanted == 0 and stack.rejected[i, j, x] == 0:
                continue
            w = 1.0 / variance
            total += w
            value += w * v
            spread += w * w * variance
            bits |= flags
            number += 1
        if total > 0.0:
            out.image[y, column], out.variance[y, column] = value / total, spread / (total * total)
            out.number[y, column] = number
            out.mask[y, column] = bits | (rule.clipped if wanted == 0 else 0)
            return
    bits = rule.no_data
    for i in range(stack.image.shape[0]):
        bits |= stack.mask[i, j, x] & rule.bad
    out.mask[y, column] = bits


@inlined
def _pass_on(
    stack: Stack,
    bit: int,
    share: float,
    weights: Float32Array,
    total: Float32Array,
    carried: Float32Array,
    out: Stacked,
    j: int,
    start: int,
    stop: int,
) -> None:
    """Give a bit to the pixels of a row at which images with at least ``share`` of the weight carry it."""
    carried[:] = 0.0
    for i in range(stack.image.shape[0]):
        flags, own = stack.mask[i, j], weights[i]
        for x in range(start, stop):
            carried[x] += own[x] if (flags[x] & bit) != 0 else np.float32(0.0)
    least = np.float32(share)
    for x in range(start, stop):
        if total[x] > 0.0 and carried[x] >= least * total[x]:
            out.mask[stack.row + j, stack.column + x] |= bit


@inlined
def _row_weights(nodes: Float32Array, step: int, y: int, column: int, weights: Float32Array) -> None:
    """Weights of the pixels of one row of the frame from ``column`` on, bilinear between the centres of cells."""
    n_rows, n_columns = nodes.shape
    half = 0.5 * (step - 1)
    v = min(max((y - half) / step, 0.0), n_rows - 1.0)
    below = min(int(v), max(n_rows - 2, 0))
    above, down = min(below + 1, n_rows - 1), np.float32(v - below)
    for x in range(len(weights)):
        u = min(max((column + x - half) / step, 0.0), n_columns - 1.0)
        left = min(int(u), max(n_columns - 2, 0))
        right, across = min(left + 1, n_columns - 1), np.float32(u - left)
        low = nodes[below, left] + across * (nodes[below, right] - nodes[below, left])
        high = nodes[above, left] + across * (nodes[above, right] - nodes[above, left])
        weights[x] = low + down * (high - low)
