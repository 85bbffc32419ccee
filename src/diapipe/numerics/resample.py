"""Resampling of an image with its variance and its mask.

Output pixel p, whose centre lies at source position s(p), is

    I(p) = a Σ_i w_i I_i / Σ_i w_i,      V(p) = a² Σ_i w_i² V_i / (Σ_i w_i)²,

with w the product of the weights of an interpolant along each source axis and a the source pixels per output pixel, so
that the flux of a star is kept. Sums run over the source pixels that have a value; holes (unusable pixels) enter with
what their neighbours tell of them (`holes.fill_holes`).

The mask knows two kinds of bits. Holes contaminate: where they hold more than ``max_hole_share`` of Σ w² (the part of
the output's information that was made up), the output pixel gets the bits of the holes under its kernel; a hole under a
side lobe does not. The other bits are passed on from the nearest source pixels, those whose weight along each axis is
at least `SIGNIFICANT`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray
from diapipe.numerics.gridding import cubic_weights
from diapipe.numerics.holes import fill_holes
from diapipe.numerics.interpolant import Interpolant, row_weights, tap_weights
from diapipe.numerics.jit import jit
from diapipe.numerics.threads import over_bands

SIGNIFICANT = 0.2
"""Least weight along an axis with which a source pixel passes on its mask bits (unstretched kernel)."""

FAR_OUTSIDE = -1.0e6
"""Source position that stands for none, so that NaN is never made an integer."""

_HOLE = 2

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


class _Rule(NamedTuple):
    """What the kernels need of the options of `resample`."""

    polynomials: FloatArray
    stretch: float
    max_hole_share: float
    no_data: int


def resample(
    source: Planes,
    hole: BoolArray,
    grid: SourceGrid,
    *,
    shape: tuple[int, int],
    no_data: int,
    interpolant: Interpolant,
    max_hole_share: float = 0.04,
    n_threads: int = 1,
) -> Planes:
    """Resample three planes at the positions of a coarse grid.

    Parameters
    ----------
    source
        Planes to be resampled; non-finite values are allowed where ``hole`` is true.
    hole
        Source pixels that tell nothing, shape of the planes.
    grid
        Where the output pixels lie on the source.
    shape
        Rows and columns of the output.
    no_data
        Mask bits of an output pixel that cannot be computed: image and variance are NaN there.
    interpolant
        How to interpolate; stretched by the source pixels per output pixel along an axis where the source is the finer
        image, so that all of its pixels count and nothing is aliased.
    max_hole_share
        Share of Σ w² above which holes contaminate the output pixel. 0.04 is a single hole of weight 0.2.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    Planes
        The three planes of the output.
    """
    state = np.zeros(hole.shape, np.uint8)
    if hole.any():
        image, variance = fill_holes(source.image, source.variance, hole, n_threads=n_threads)
        source = Planes(image, variance, source.mask)
        _mark_holes(hole, state)
    along, _ = cubic_weights(np.arange(grid.step) / grid.step)
    rule = _Rule(interpolant.polynomials, float(interpolant.stretch), float(max_hole_share), int(no_data))
    polynomials = interpolant.polynomials.astype(np.float32)
    output = Planes(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32))

    def work(first: int, last: int) -> None:
        taps = np.empty((2, interpolant.n_taps))
        _resample_rows(source, state, grid, along, polynomials, rule, output, taps, first, last)

    over_bands(work, shape[0], n_threads=n_threads)
    return output


def _mark_holes(hole: BoolArray, state: ByteArray) -> None:
    """Mark the holes, and as near the pixels whose six taps from -2 to 3 along each axis touch one."""
    by_row = hole.copy()
    for offset in (-3, -2, -1, 1, 2):
        target, origin = _shifted(offset, hole.shape[1])
        by_row[:, target] |= hole[:, origin]
    near = by_row.copy()
    for offset in (-3, -2, -1, 1, 2):
        target, origin = _shifted(offset, hole.shape[0])
        near[target] |= by_row[origin]
    np.multiply(hole, _HOLE, out=state, casting="unsafe")
    state |= near


def _shifted(offset: int, length: int) -> tuple[slice, slice]:
    """Slices that move an axis by ``offset``: target and origin."""
    if offset > 0:
        return slice(offset, None), slice(None, max(length - offset, 0))
    return slice(None, max(length + offset, 0)), slice(-offset, None)


@jit
def _resample_rows(
    source: Planes,
    state: ByteArray,
    grid: SourceGrid,
    along: FloatArray,
    polynomials: Float32Array,
    rule: _Rule,
    output: Planes,
    taps: FloatArray,
    first: int,
    last: int,
) -> None:
    """Fill rows of the output, cell by cell of the grid: by runs where pixels follow each other, else one by one."""
    step, n_nodes, (height, width) = grid.step, grid.x.shape[1], source.image.shape
    row_x, row_y, row_area = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    x, y, area = np.empty(step), np.empty(step), np.empty(step, np.float32)
    left, bottom = np.empty(step, np.int32), np.empty(step, np.int32)
    fraction_x, fraction_y = np.empty(step, np.float32), np.empty(step, np.float32)
    wx, wy = np.empty((6, step), np.float32), np.empty((6, step), np.float32)
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
            if plain and _is_shift(left, bottom, n) and _is_clean(state, left[0], bottom[0], n):
                _sum_run(source.image, wx, wy, bottom[0], left[0], n, area, 1, output.image[j, start:stop])
                _sum_run(source.variance, wx, wy, bottom[0], left[0], n, area, 2, output.variance[j, start:stop])
                _mask_run(source.mask, wx, wy, bottom[0], left[0], n, output.mask[j, start:stop])
                continue
            for i in range(n):
                if plain and state[bottom[i], left[i]] == 0:
                    pixel = _single(source, wx, wy, bottom[i], left[i], i, area[i])
                else:
                    pixel = _careful(source, state, x[i], y[i], area[i], rule, taps)
                output.image[j, start + i], output.variance[j, start + i], output.mask[j, start + i] = pixel


@jit
def _nodes_of_row(nodes: FloatArray, along: FloatArray, cell: int, offset: int, values: FloatArray) -> None:
    """Interpolate along the columns of nodes."""
    w0, w1, w2, w3 = along[0, offset], along[1, offset], along[2, offset], along[3, offset]
    for k in range(nodes.shape[1]):
        values[k] = w0 * nodes[cell - 1, k] + w1 * nodes[cell, k] + w2 * nodes[cell + 1, k] + w3 * nodes[cell + 2, k]


@jit
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


@jit
def _split(position: FloatArray, n: int, length: int, whole: Int32Array, fraction: Float32Array) -> bool:
    """Whole pixels and fractions less one half of positions; whether all six taps of all of them are on the source."""
    outside = 0
    for i in range(n):
        floor = math.floor(position[i] if position[i] > FAR_OUTSIDE else FAR_OUTSIDE)
        fraction[i] = position[i] - floor - 0.5
        whole[i] = min(floor, -FAR_OUTSIDE)
        outside |= (whole[i] < 2) | (whole[i] > length - 4)
    return outside == 0


@jit
def _is_shift(left: Int32Array, bottom: Int32Array, n: int) -> bool:
    """Whether source pixels advance with output pixels, one by one along a row."""
    differs = 0
    for i in range(n):
        differs |= (left[i] - left[0] - i) | (bottom[i] - bottom[0])
    return differs == 0


@jit
def _is_clean(state: ByteArray, left: int, bottom: int, n: int) -> bool:
    """Whether no hole lies under the taps of a run of pixels."""
    flags = 0
    for i in range(n):
        flags |= state[bottom, left + i]
    return flags == 0


@jit
def _sum_run(
    plane: Float32Array,
    wx: Float32Array,
    wy: Float32Array,
    bottom: int,
    left: int,
    n: int,
    area: Float32Array,
    power: int,
    out: Float32Array,
) -> None:
    """Weighted sums of 36 taps for consecutive pixels; weights and area are raised to ``power`` (1 or 2)."""
    for i in range(n):
        out[i] = 0.0
    for tap in range(6):
        row = plane[bottom - 2 + tap, left - 2 : left + n + 4]
        along_y = wy[tap]
        w0, w1, w2, w3, w4, w5 = wx[0], wx[1], wx[2], wx[3], wx[4], wx[5]
        if power == 1:
            for i in range(n):
                out[i] += along_y[i] * (
                    w0[i] * row[i]
                    + w1[i] * row[i + 1]
                    + w2[i] * row[i + 2]
                    + w3[i] * row[i + 3]
                    + w4[i] * row[i + 4]
                    + w5[i] * row[i + 5]
                )
        else:
            for i in range(n):
                out[i] += (along_y[i] * along_y[i]) * (
                    w0[i] * w0[i] * row[i]
                    + w1[i] * w1[i] * row[i + 1]
                    + w2[i] * w2[i] * row[i + 2]
                    + w3[i] * w3[i] * row[i + 3]
                    + w4[i] * w4[i] * row[i + 4]
                    + w5[i] * w5[i] * row[i + 5]
                )
    for i in range(n):
        out[i] *= area[i] if power == 1 else area[i] * area[i]


@jit
def _mask_run(
    mask: MaskArray, wx: Float32Array, wy: Float32Array, bottom: int, left: int, n: int, out: MaskArray
) -> None:
    """Bits of the significant ones among the four nearest pixels, for consecutive pixels."""
    least = np.float32(SIGNIFICANT)
    lower, upper = mask[bottom, left : left + n + 1], mask[bottom + 1, left : left + n + 1]
    for i in range(n):
        west, east = -np.int32(wx[2, i] >= least), -np.int32(wx[3, i] >= least)
        south, north = -np.int32(wy[2, i] >= least), -np.int32(wy[3, i] >= least)
        out[i] = (south & ((west & lower[i]) | (east & lower[i + 1]))) | (
            north & ((west & upper[i]) | (east & upper[i + 1]))
        )


@jit
def _single(
    source: Planes, wx: Float32Array, wy: Float32Array, bottom: int, left: int, i: int, area: np.float32
) -> tuple[float, float, int]:
    """Image, variance and mask of pixel ``i`` of a run, all of whose taps are good."""
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


@jit
def _taps(position: float, rule: _Rule, weights: FloatArray) -> int:
    return tap_weights(position, rule.polynomials, rule.stretch, weights)


@jit
def _careful(
    source: Planes, state: ByteArray, x: float, y: float, area: float, rule: _Rule, taps: FloatArray
) -> tuple[float, float, int]:
    """One output pixel near holes, near the border of the source, or under a stretched kernel."""
    height, width = source.image.shape
    margin = taps.shape[1]
    if not (-margin < x < width + margin and -margin < y < height + margin):
        return math.nan, math.nan, rule.no_data
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
            is_hole, flags = (state[row, column] & _HOLE) != 0, int(source.mask[row, column])
            if is_hole and weight != 0.0:
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
