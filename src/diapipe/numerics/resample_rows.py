"""The compiled kernels of `resample`: rows of output pixels, each from 36 source pixels or more."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.interpolant import row_weights, tap_weights
from diapipe.numerics.jit import inlined, jit

SIGNIFICANT = 0.2
"""Least weight along an axis with which a source pixel passes on its mask bits (unstretched kernel)."""

FAR_OUTSIDE = -1.0e6
"""Source position that stands for none, so that NaN is never made an integer."""

NEAR_HOLE, HOLE = 1, 2
"""Bits of the state of a source pixel: a hole is under its six taps, -2 to 3 along each axis; it is a hole itself."""

_NO_WEIGHT = 1e-6

type ByteArray = NDArray[np.uint8]
type Int32Array = NDArray[np.int32]


class Planes(NamedTuple):
    """Image, variance (float32) and mask (int32) of one shape."""

    image: Float32Array
    variance: Float32Array
    mask: MaskArray


class SourceGrid(NamedTuple):
    """Where output pixels lie on the source: nodes every ``step`` pixels, cubic interpolation in between.

    Attributes
    ----------
    x, y
        Source array indices at the nodes, shape (n_rows, n_columns); NaN where there is none.
    area
        Source pixels per output pixel at the nodes.
    column, row
        Output array indices of node (0, 0): at least one node must lie before the first pixel and two after the last.
    step
        Output pixels between nodes.
    """

    x: FloatArray
    y: FloatArray
    area: FloatArray
    column: int
    row: int
    step: int


class Rule(NamedTuple):
    """What the kernels need of the options of `resample`."""

    polynomials: FloatArray
    stretch: float
    max_hole_share: float
    no_data: int


@jit
def resample_rows(
    source: Planes,
    state: ByteArray,
    grid: SourceGrid,
    along: FloatArray,
    polynomials: Float32Array,
    rule: Rule,
    output: Planes,
    taps: FloatArray,
    first: int,
    last: int,
) -> None:
    """Fill rows of the output, cell by cell of the grid: by runs where pixels follow each other, else one by one.

    What touches a hole is done again: its mask, and where a hole could not be filled everything.
    """
    step, n_nodes, (height, width) = grid.step, grid.x.shape[1], source.image.shape
    row_x, row_y, row_area = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    x, y, area = np.empty(step), np.empty(step), np.empty(step, np.float32)
    left, bottom = np.empty(step, np.int32), np.empty(step, np.int32)
    fraction_x, fraction_y = np.empty(step, np.float32), np.empty(step, np.float32)
    wx, wy = np.empty((6, step), np.float32), np.empty((6, step), np.float32)
    wx2, wy2, area2 = np.empty((6, step), np.float32), np.empty((6, step), np.float32), np.empty(step, np.float32)
    for j in range(first, last):
        cell_row, offset = (j - grid.row) // step, (j - grid.row) % step
        _nodes_of_row(grid.x, along, cell_row, offset, row_x)
        _nodes_of_row(grid.y, along, cell_row, offset, row_y)
        _nodes_of_row(grid.area, along, cell_row, offset, row_area)
        for cell in range(1, n_nodes - 2):
            begin = grid.column + cell * step
            start, stop = max(begin, 0), min(begin + step, output.image.shape[1])
            n = stop - start
            if n <= 0:
                continue
            _positions(row_x, row_y, row_area, along, cell, start - begin, n, x, y, area)
            plain = rule.stretch == 1.0
            if plain:
                plain = _split(x, n, width, left, fraction_x)
                plain = _split(y, n, height, bottom, fraction_y) and plain
                row_weights(fraction_x, polynomials, wx, n)
                row_weights(fraction_y, polynomials, wy, n)
            if not plain:
                for i in range(n):
                    pixel = _careful(source, state, x[i], y[i], area[i], rule, taps)
                    output.image[j, start + i], output.variance[j, start + i], output.mask[j, start + i] = pixel
                continue
            if _is_shift(left, bottom, n):
                for i in range(n):
                    area2[i] = area[i] * area[i]
                _square(wx, wx2, n)
                _square(wy, wy2, n)
                _sum_run(source.image, wx, wy, bottom[0], left[0], n, area, output.image[j, start:stop])
                _sum_run(source.variance, wx2, wy2, bottom[0], left[0], n, area2, output.variance[j, start:stop])
                _mask_run(source.mask, wx, wy, bottom[0], left[0], n, output.mask[j, start:stop])
                if _is_clean(state, left[0], bottom[0], n):
                    continue
            else:
                for i in range(n):
                    pixel = _single(source, wx, wy, bottom[i], left[i], i, area[i])
                    output.image[j, start + i], output.variance[j, start + i], output.mask[j, start + i] = pixel
            for i in range(n):
                if state[bottom[i], left[i]] == 0:
                    continue
                if math.isfinite(output.image[j, start + i]) and math.isfinite(output.variance[j, start + i]):
                    output.mask[j, start + i] = _bits_near_holes(
                        source.mask, state, wx, wy, bottom[i], left[i], i, rule
                    )
                else:
                    pixel = _careful(source, state, x[i], y[i], area[i], rule, taps)
                    output.image[j, start + i], output.variance[j, start + i], output.mask[j, start + i] = pixel


@inlined
def _nodes_of_row(nodes: FloatArray, along: FloatArray, cell: int, offset: int, values: FloatArray) -> None:
    """Interpolate along the columns of nodes."""
    w0, w1, w2, w3 = along[0, offset], along[1, offset], along[2, offset], along[3, offset]
    for k in range(nodes.shape[1]):
        values[k] = w0 * nodes[cell - 1, k] + w1 * nodes[cell, k] + w2 * nodes[cell + 1, k] + w3 * nodes[cell + 2, k]


@inlined
def _positions(
    row_x: FloatArray,
    row_y: FloatArray,
    row_area: FloatArray,
    along: FloatArray,
    cell: int,
    skip: int,
    n: int,
    x: FloatArray,
    y: FloatArray,
    area: Float32Array,
) -> None:
    """Interpolate positions and area within one cell of the row, from its pixel ``skip`` on."""
    for i in range(n):
        w0, w1, w2, w3 = along[0, skip + i], along[1, skip + i], along[2, skip + i], along[3, skip + i]
        x[i] = w0 * row_x[cell - 1] + w1 * row_x[cell] + w2 * row_x[cell + 1] + w3 * row_x[cell + 2]
        y[i] = w0 * row_y[cell - 1] + w1 * row_y[cell] + w2 * row_y[cell + 1] + w3 * row_y[cell + 2]
        area[i] = w0 * row_area[cell - 1] + w1 * row_area[cell] + w2 * row_area[cell + 1] + w3 * row_area[cell + 2]


@inlined
def _split(position: FloatArray, n: int, length: int, whole: Int32Array, fraction: Float32Array) -> bool:
    """Whole pixels and fractions less one half of positions; whether all six taps of all of them are on the source."""
    outside = 0
    for i in range(n):
        floor = math.floor(position[i] if position[i] > FAR_OUTSIDE else FAR_OUTSIDE)
        fraction[i] = position[i] - floor - 0.5
        whole[i] = min(floor, -FAR_OUTSIDE)
        outside |= (whole[i] < 2) | (whole[i] > length - 4)
    return outside == 0


@inlined
def _is_shift(left: Int32Array, bottom: Int32Array, n: int) -> bool:
    """Whether source pixels advance with output pixels, one by one along a row."""
    differs = 0
    for i in range(n):
        differs |= (left[i] - left[0] - i) | (bottom[i] - bottom[0])
    return differs == 0


@inlined
def _is_clean(state: ByteArray, left: int, bottom: int, n: int) -> bool:
    """Whether no hole lies under the taps of a run of pixels."""
    flags = 0
    for i in range(n):
        flags |= state[bottom, left + i]
    return flags == 0


@inlined
def _sum_run(
    plane: Float32Array,
    wx: Float32Array,
    wy: Float32Array,
    bottom: int,
    left: int,
    n: int,
    area: Float32Array,
    out: Float32Array,
) -> None:
    """Weighted sums of 36 taps, times ``area``, for consecutive pixels."""
    for i in range(n):
        out[i] = 0.0
    w0, w1, w2, w3, w4, w5 = wx[0], wx[1], wx[2], wx[3], wx[4], wx[5]
    for tap in range(6):
        row = plane[bottom - 2 + tap, left - 2 : left + n + 4]
        along_y = wy[tap]
        for i in range(n):
            out[i] += along_y[i] * (
                w0[i] * row[i]
                + w1[i] * row[i + 1]
                + w2[i] * row[i + 2]
                + w3[i] * row[i + 3]
                + w4[i] * row[i + 4]
                + w5[i] * row[i + 5]
            )
    for i in range(n):
        out[i] *= area[i]


@inlined
def _square(weights: Float32Array, squares: Float32Array, n: int) -> None:
    for tap in range(6):
        for i in range(n):
            squares[tap, i] = weights[tap, i] * weights[tap, i]


@inlined
def _mask_run(
    mask: MaskArray, wx: Float32Array, wy: Float32Array, bottom: int, left: int, n: int, out: MaskArray
) -> None:
    """Bits of the significant ones among the four nearest pixels, for consecutive pixels."""
    least = np.float32(SIGNIFICANT)
    lower, upper = mask[bottom, left : left + n + 1], mask[bottom + 1, left : left + n + 1]
    flags = np.int32(0)
    for i in range(n + 1):
        flags |= lower[i] | upper[i]
    if flags == 0:  # nearly everywhere
        for i in range(n):
            out[i] = 0
        return
    for i in range(n):
        west, east = -np.int32(wx[2, i] >= least), -np.int32(wx[3, i] >= least)
        south, north = -np.int32(wy[2, i] >= least), -np.int32(wy[3, i] >= least)
        out[i] = (south & ((west & lower[i]) | (east & lower[i + 1]))) | (
            north & ((west & upper[i]) | (east & upper[i + 1]))
        )


@inlined
def _single(
    source: Planes, wx: Float32Array, wy: Float32Array, bottom: int, left: int, i: int, area: np.float32
) -> tuple[float, float, int]:
    """Image, variance and mask of pixel ``i`` of a run, as if all of its taps were good."""
    value, spread, bits = np.float32(0.0), np.float32(0.0), np.int32(0)
    for tap in range(6):
        row, column = bottom - 2 + tap, left - 2
        value_row, spread_row = np.float32(0.0), np.float32(0.0)
        for k in range(6):
            weight = wx[k, i]
            value_row += weight * source.image[row, column + k]
            spread_row += weight * weight * source.variance[row, column + k]
        value += wy[tap, i] * value_row
        spread += wy[tap, i] * wy[tap, i] * spread_row
    least = np.float32(SIGNIFICANT)
    for n in range(2):
        for k in range(2):
            if wy[2 + n, i] >= least and wx[2 + k, i] >= least:
                bits |= source.mask[bottom + n, left + k]
    return float(area * value), float(area * area * spread), int(bits)


@inlined
def _bits_near_holes(
    mask: MaskArray, state: ByteArray, wx: Float32Array, wy: Float32Array, bottom: int, left: int, i: int, rule: Rule
) -> int:
    """Mask of pixel ``i`` of a run, some of whose taps are holes that could be filled."""
    least, total_x, total_y, hole_share, bits, hole_bits = np.float32(SIGNIFICANT), 0.0, 0.0, 0.0, 0, 0
    for k in range(6):
        total_x += wx[k, i] * wx[k, i]
        total_y += wy[k, i] * wy[k, i]
    for tap in range(6):
        for k in range(6):
            weight, flags = wx[k, i] * wy[tap, i], int(mask[bottom - 2 + tap, left - 2 + k])
            if state[bottom - 2 + tap, left - 2 + k] & HOLE:
                hole_share += weight * weight
                if abs(weight) > _NO_WEIGHT:
                    hole_bits |= flags if flags != 0 else rule.no_data
            elif wx[k, i] >= least and wy[tap, i] >= least:
                bits |= flags
    return bits | hole_bits if hole_share > rule.max_hole_share * total_x * total_y else bits


@inlined
def _taps(position: float, rule: Rule, weights: FloatArray) -> int:
    return tap_weights(position, rule.polynomials, rule.stretch, weights)


@inlined
def _is_empty(source: Planes, x: float, y: float) -> bool:
    """Whether the four pixels around a position are on the source without a value, as in the midst of a large hole."""
    row, column = math.floor(y), math.floor(x)
    if not (0 <= row < source.image.shape[0] - 1 and 0 <= column < source.image.shape[1] - 1):
        return False
    for j in range(row, row + 2):
        for i in range(column, column + 2):
            if math.isfinite(source.image[j, i]) and math.isfinite(source.variance[j, i]):
                return False
    return True


@inlined
def _careful(
    source: Planes, state: ByteArray, x: float, y: float, area: float, rule: Rule, taps: FloatArray
) -> tuple[float, float, int]:
    """One output pixel near the border, near holes that are still empty, or under a stretched kernel."""
    height, width = source.image.shape
    margin = taps.shape[1]
    if not (-margin < x < width + margin and -margin < y < height + margin):
        return math.nan, math.nan, rule.no_data
    if _is_empty(source, x, y):
        nearest = source.mask[math.floor(y + 0.5), math.floor(x + 0.5)]
        return math.nan, math.nan, int(nearest) | rule.no_data
    left, bottom = _taps(x, rule, taps[0]), _taps(y, rule, taps[1])
    value, spread, kept = 0.0, 0.0, 0.0
    total_share, absent_share, hole_share = 0.0, 0.0, 0.0
    bits, hole_bits = 0, 0
    least = SIGNIFICANT / rule.stretch
    for j in range(taps.shape[1]):
        for i in range(taps.shape[1]):
            row, column, weight = bottom + j, left + i, taps[0, i] * taps[1, j]
            share = weight * weight
            total_share += share
            if not (0 <= row < height and 0 <= column < width):
                absent_share += share
                continue
            is_hole, flags = (state[row, column] & HOLE) != 0, int(source.mask[row, column])
            if is_hole and abs(weight) > _NO_WEIGHT:
                hole_bits |= flags if flags != 0 else rule.no_data
            if not (math.isfinite(source.image[row, column]) and math.isfinite(source.variance[row, column])):
                absent_share += share
                continue
            if is_hole:
                hole_share += share
            elif taps[0, i] >= least and taps[1, j] >= least:
                bits |= flags
            value += weight * source.image[row, column]
            spread += share * source.variance[row, column]
            kept += weight
    if absent_share > rule.max_hole_share * total_share:
        return math.nan, math.nan, bits | hole_bits | rule.no_data
    if hole_share + absent_share > rule.max_hole_share * total_share:
        bits |= hole_bits
    return area * value / kept, area * area * spread / (kept * kept), bits
