"""The smooth level under the sources: block means, modes of cells, and a spline through them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit

SAMPLES_PER_CELL = 1024
"""Blocks that a cell's statistics are taken from: the level is then known to 0.04 of a block's own scatter."""


class CellStatistics(NamedTuple):
    """Mode, scatter and number of samples of each cell, shape (n_cells_y, n_cells_x); NaN where there are none."""

    level: FloatArray
    sigma: FloatArray
    n: IntArray


@jit
def block_means(image: Float32Array, mask: MaskArray, bad_bits: int, size: int) -> Float32Array:
    """Mean of the good pixels of each ``size`` x ``size`` block.

    Parameters
    ----------
    image
        Shape (rows, columns); NaN pixels count as bad.
    mask
        Same shape; a pixel with any of ``bad_bits`` is left out.
    bad_bits
        Mask bits that make a pixel bad.
    size
        Side of a block in pixels; incomplete blocks at the upper borders are left out.

    Returns
    -------
    Float32Array
        Shape (rows // size, columns // size); NaN where fewer than half of the pixels are good.
    """
    n_rows, n_columns = image.shape[0] // size, image.shape[1] // size
    means = np.empty((n_rows, n_columns), np.float32)
    total = np.empty(n_columns, np.float32)
    count = np.empty(n_columns, np.int32)
    for row in range(n_rows):
        for column in range(n_columns):
            total[column], count[column] = 0.0, 0
        for y in range(row * size, (row + 1) * size):
            for column in range(n_columns):
                partial, good = np.float32(0.0), 0
                for x in range(column * size, (column + 1) * size):
                    value = image[y, x]
                    ok = (mask[y, x] & bad_bits) == 0 and value == value
                    partial += value if ok else np.float32(0.0)
                    good += 1 if ok else 0
                total[column] += partial
                count[column] += good
        for column in range(n_columns):
            enough = 2 * count[column] >= size * size
            means[row, column] = total[column] / count[column] if enough else np.nan
    return means


@inlined
def _interval(ordered: Float32Array, least: float, most: float) -> tuple[int, int]:
    """First and last + 1 of the sorted samples from ``least`` to ``most``, by bisection."""
    first, last = 0, 0
    for end in range(2):
        low, high = first, len(ordered)
        while low < high:
            middle = (low + high) // 2
            if ordered[middle] > most or (end == 0 and ordered[middle] >= least):
                high = middle
            else:
                low = middle + 1
        first, last = (low, low) if end == 0 else (first, low)
    return first, last


@jit
def clipped_mode(ordered: Float32Array, n_sigma: float) -> tuple[float, float]:
    """Mode and scatter of sorted samples that have a tail towards high values.

    Clips around the median until nothing changes, with the smaller of the clipped scatter and the distance to the 16th
    percentile, so that sources cannot widen the interval; then estimates the mode as 2.5 median - 1.5 mean, or, where
    the tail is so heavy that this fails, as the median of the clipped samples (Bertin & Arnouts 1996, section 3).
    """
    n = len(ordered)
    sums, squares = np.empty(n + 1), np.empty(n + 1)
    sums[0], squares[0] = 0.0, 0.0
    origin = np.float64(ordered[n // 2])
    for i in range(n):
        value = ordered[i] - origin
        sums[i + 1] = sums[i] + value
        squares[i + 1] = squares[i] + value * value
    low, high = 0, n
    median, mean, sigma = 0.0, 0.0, 0.0
    for _ in range(20):
        kept = high - low
        median = 0.5 * ((ordered[low + (kept - 1) // 2] - origin) + (ordered[low + kept // 2] - origin))
        mean = (sums[high] - sums[low]) / kept
        spread = (squares[high] - squares[low]) / kept - mean * mean
        sigma = min(np.sqrt(max(spread, 0.0)), median - (ordered[low + int(0.1587 * kept)] - origin))
        reach = n_sigma * sigma
        first, last = _interval(ordered, origin + median - reach, origin + median + reach)
        if (first == low and last == high) or last - first < 8:
            break
        low, high = first, last
    mode = 2.5 * median - 1.5 * mean
    if abs(mean - median) > 0.3 * sigma:
        mode = median
    return origin + mode, sigma


def cell_edges(length: int, cell: int) -> IntArray:
    """Borders of the cells along one axis, as equal as whole numbers allow; at least one cell."""
    n_cells = max(1, round(length / cell))
    return np.linspace(0, length, n_cells + 1).round().astype(np.int64)


def cell_statistics(blocks: Float32Array, *, rows: IntArray, columns: IntArray, n_sigma: float = 3.0) -> CellStatistics:
    """Mode, scatter and number of the finite values of each cell of an image of block means.

    Parameters
    ----------
    blocks
        Shape (rows, columns); NaN marks what to leave out.
    rows, columns
        First row (column) of each cell, and at the end one more than the last.
    n_sigma
        Half-width of the clipping interval.
    """
    shape = len(rows) - 1, len(columns) - 1
    level, sigma, number = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, np.int64)
    for i, j in np.ndindex(shape):
        cell = blocks[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        values = cell[np.isfinite(cell)]
        number[i, j] = len(values)
        if len(values) >= 8:
            ordered = np.sort(values[:: max(1, len(values) // SAMPLES_PER_CELL)])
            level[i, j], sigma[i, j] = clipped_mode(ordered, float(n_sigma))
    return CellStatistics(level, sigma, number)


def smooth_mesh(level: FloatArray, trusted: BoolArray, *, tolerance: FloatArray | float) -> FloatArray:
    """Fill the cells that are not trusted from their neighbours; replace outliers by the median of their surroundings.

    Parameters
    ----------
    level
        Shape (n_cells_y, n_cells_x).
    trusted
        Cells with enough samples; at least one.
    tolerance
        A cell farther than this above or below the median of the 3 x 3 cells around it takes that median.
    """
    from scipy import ndimage  # a third of a second, which nobody pays who only reads what is there

    nearest = ndimage.distance_transform_edt(~trusted, return_distances=False, return_indices=True)
    filled = np.asarray(level[tuple(nearest)], dtype=np.float64)
    if min(filled.shape) < 3:
        return filled
    around = ndimage.median_filter(filled, size=3, mode="nearest")
    return np.where(np.abs(filled - around) > tolerance, around, filled)


def spline_matrix(centres: FloatArray, positions: FloatArray) -> FloatArray:
    """Matrix that turns values at ``centres`` into the natural cubic spline through them at ``positions``.

    Outside the centres the spline goes on as a straight line. Shape (len(positions), len(centres)).
    """
    n = len(centres)
    if n == 1:
        return np.ones((len(positions), 1))
    step, curvature, unit = np.diff(centres), _curvatures(centres), np.eye(n)
    inside = np.clip(positions, centres[0], centres[-1])
    left = np.clip(np.searchsorted(centres, inside, side="right") - 1, 0, n - 2)
    h, b = step[left][:, None], ((inside - centres[left]) / step[left])[:, None]
    a = 1.0 - b
    bend = ((a**3 - a) * curvature[left] + (b**3 - b) * curvature[left + 1]) * h**2 / 6.0
    tilt = ((1.0 - 3.0 * a**2) * curvature[left] + (3.0 * b**2 - 1.0) * curvature[left + 1]) * h / 6.0
    slope = (unit[left + 1] - unit[left]) / h + tilt
    beyond = (positions - inside)[:, None]
    return np.asarray(a * unit[left] + b * unit[left + 1] + bend + slope * beyond, dtype=np.float64)


def _curvatures(centres: FloatArray) -> FloatArray:
    """Matrix that turns values at ``centres`` into second derivatives of the natural spline there; shape (n, n).

    The first derivative is continuous at every inner centre (Press et al. 1992, equation 3.3.7).
    """
    n, step = len(centres), np.diff(centres)
    inner = np.arange(1, n - 1)
    system, change = np.eye(n), np.zeros((n, n))
    system[inner, inner - 1], system[inner, inner + 1] = step[:-1] / 6.0, step[1:] / 6.0
    system[inner, inner] = (step[:-1] + step[1:]) / 3.0
    change[inner, inner - 1], change[inner, inner + 1] = 1.0 / step[:-1], 1.0 / step[1:]
    change[inner, inner] = -(1.0 / step[:-1] + 1.0 / step[1:])
    return np.linalg.solve(system, change)
