"""Convolution of an image with a kernel that varies smoothly over it, and of its variance with the kernel squared.

The kernel is a series K(u, v; x, y) = Σ_t f_t(x, y) K_t(u, v). Its images are factored together into a few products
of a row and a column profile; the row profiles are shared by all terms, so the row pass is done once and only the
short column filters follow the position. A kernel that does not factor well is applied by FFT, one inverse
transform a term.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.jit import jit
from diapipe.numerics.threads import over_bands

STRIP = 128
"""Columns over which a column filter is taken as linear in x: 1e-5 of its variation for a cubic field over 4000 px."""

BLOCK = 64
"""Rows over which it is taken as linear in y."""

RANK_LIMIT = 24
"""Factors above which the FFT is cheaper than the separable passes (measured at 31 px)."""

FACTOR_TOLERANCE = 5e-5
"""Largest singular value left out of a factored kernel of unit sum: its pixels are then right to about 1e-5."""


class FactoredKernel(NamedTuple):
    """K_t(v, u) = Σ_r columns[t, r, v] rows[r, u]."""

    rows: FloatArray
    """Shape (rank, size)."""
    columns: FloatArray
    """Shape (n_terms, rank, size)."""


def factor(images: FloatArray, *, tolerance: float = FACTOR_TOLERANCE) -> FactoredKernel:
    """Write kernel images as sums of row times column profiles, with rows that all images share (by SVD).

    Parameters
    ----------
    images
        Shape (n_terms, size, size).
    tolerance
        Singular values below this are dropped: the error of a kernel pixel.
    """
    n_terms, size, _ = images.shape
    stacked = images.reshape(n_terms * size, size)
    squares, vectors = np.linalg.eigh(stacked.T @ stacked)
    order = np.argsort(-squares)
    rank = max(1, int(np.count_nonzero(squares > tolerance**2)))
    rows = np.ascontiguousarray(vectors[:, order[:rank]].T)
    return FactoredKernel(rows, np.einsum("tvu,ru->trv", images, rows))


@jit
def _separable_band(
    padded: Float32Array,
    rows: Float32Array,
    columns: Float32Array,
    fields: Float32Array,
    out: Float32Array,
    first: int,
    last: int,
) -> None:
    """Rows ``first`` to ``last`` of the convolution; ``rows`` and ``columns`` are flipped, ``fields`` is at the
    corners of blocks.
    """
    n_rank, size = rows.shape
    width = out.shape[1]
    height = last - first + size - 1
    band = first // BLOCK
    start = int(np.int64(0))  # a literal 0 would be a type of its own and compile `_add_taps` twice
    filtered = np.empty((height, STRIP), np.float32)
    corners = np.empty((4, size), np.float32)
    left = np.empty(size, np.float32)
    slope = np.empty(size, np.float32)
    here = np.empty((BLOCK, STRIP), np.float32)
    change = np.empty((BLOCK, STRIP), np.float32)
    for strip in range((width + STRIP - 1) // STRIP):
        x0 = strip * STRIP
        n = min(STRIP, width - x0)
        for y in range(BLOCK):
            for x in range(STRIP):
                here[y, x], change[y, x] = np.float32(0.0), np.float32(0.0)
        for r in range(n_rank):
            for y in range(height):
                for x in range(STRIP):
                    filtered[y, x] = np.float32(0.0)
                _add_taps(padded, first + y, x0, rows[r], filtered, y, start, n)
            for corner in range(4):
                _column_filter(columns, fields, r, band + corner // 2, strip + corner % 2, corners, corner)
            for y in range(last - first):
                _between(corners, y / BLOCK, left, slope)
                _column_pass(filtered, y, n, left, slope, here, change)
        for y in range(last - first):
            for x in range(n):
                out[first + y, x0 + x] = here[y, x] + np.float32(x) * change[y, x]


@jit
def _column_filter(
    columns: Float32Array, fields: Float32Array, r: int, row: int, column: int, out: Float32Array, corner: int
) -> None:
    """Column filter r at one corner of a block: Σ_t fields[t] columns[t, r]."""
    for v in range(columns.shape[2]):
        value = np.float32(0.0)
        for t in range(columns.shape[0]):
            value += fields[t, row, column] * columns[t, r, v]
        out[corner, v] = value


@jit
def _between(corners: Float32Array, part: float, left: Float32Array, slope: Float32Array) -> None:
    """Column filter at the left edge of a strip and its change per pixel, ``part`` of the way down the block."""
    share = np.float32(part)
    for v in range(left.shape[0]):
        at_left = corners[0, v] + share * (corners[2, v] - corners[0, v])
        at_right = corners[1, v] + share * (corners[3, v] - corners[1, v])
        left[v] = at_left
        slope[v] = (at_right - at_left) * np.float32(1.0 / STRIP)


@jit
def _add_taps(
    source: Float32Array,
    y: int,
    first: int,
    weights: Float32Array,
    out: Float32Array,
    out_row: int,
    out_first: int,
    n: int,
) -> None:
    """Add Σ_a weights[a] source[y, first + a + x] to out[out_row, out_first + x], for x in 0 .. n - 1.

    Four taps at a time, so that the sum stays in registers; with unsigned indices, since for signed ones Numba must
    allow for negative values and the loop is not vectorised.
    """
    size = weights.shape[0]
    row, row_out, start_out, count = np.uint64(y), np.uint64(out_row), np.uint64(out_first), np.uint64(n)
    for a in range(0, size - 3, 4):
        w0, w1, w2, w3 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
        at0, at1 = np.uint64(first + a), np.uint64(first + a + 1)
        at2, at3 = np.uint64(first + a + 2), np.uint64(first + a + 3)
        for x in range(count):
            out[row_out, start_out + x] += (
                w0 * source[row, at0 + x]
                + w1 * source[row, at1 + x]
                + w2 * source[row, at2 + x]
                + w3 * source[row, at3 + x]
            )
    for a in range(size - size % 4, size):
        w0 = weights[a]
        at0 = np.uint64(first + a)
        for x in range(count):
            out[row_out, start_out + x] += w0 * source[row, at0 + x]


@jit
def _column_pass(
    filtered: Float32Array,
    y: int,
    n: int,
    left: Float32Array,
    slope: Float32Array,
    here: Float32Array,
    change: Float32Array,
) -> None:
    """Add to row ``y`` the column filter's value at the strip's left edge and its change per pixel, four taps at a
    time.
    """
    size = left.shape[0]
    row, count = np.uint64(y), np.uint64(n)
    for v in range(0, size - 3, 4):
        l0, l1, l2, l3 = left[v], left[v + 1], left[v + 2], left[v + 3]
        s0, s1, s2, s3 = slope[v], slope[v + 1], slope[v + 2], slope[v + 3]
        r0, r1, r2, r3 = np.uint64(y + v), np.uint64(y + v + 1), np.uint64(y + v + 2), np.uint64(y + v + 3)
        for x in range(count):
            p0, p1, p2, p3 = filtered[r0, x], filtered[r1, x], filtered[r2, x], filtered[r3, x]
            here[row, x] += l0 * p0 + l1 * p1 + l2 * p2 + l3 * p3
            change[row, x] += s0 * p0 + s1 * p1 + s2 * p2 + s3 * p3
    for v in range(size - size % 4, size):
        l0, s0, r0 = left[v], slope[v], np.uint64(y + v)
        for x in range(count):
            here[row, x] += l0 * filtered[r0, x]
            change[row, x] += s0 * filtered[r0, x]


def convolve_separable(
    image: Float32Array,
    kernel: FactoredKernel,
    fields_at: Callable[[FloatArray, FloatArray], FloatArray],
    *,
    n_threads: int = 1,
) -> Float32Array:
    """Convolve with a factored, spatially varying kernel; beyond its border the image is continued by reflection.

    Parameters
    ----------
    image
        Shape (height, width), finite.
    kernel
        From `factor`.
    fields_at
        Gives the terms f_t, shape (n_terms, ny, nx), on the grid of array rows (ny, 1) and columns (1, nx).
    n_threads
        Threads over row bands.

    Returns
    -------
    Float32Array
        (K ⊗ I)(y, x) = Σ K(v, u; x, y) I(y - v, x - u), the shape of ``image``.
    """
    height, width = image.shape
    half = kernel.rows.shape[1] // 2
    padded = np.pad(image, half, mode="symmetric")
    edges = np.arange(0, width + STRIP, STRIP, dtype=np.float64)
    blocks = np.arange(0, height + BLOCK, BLOCK, dtype=np.float64)
    fields = np.ascontiguousarray(fields_at(blocks[:, None], edges[None, :]), dtype=np.float32)
    rows = np.ascontiguousarray(kernel.rows[:, ::-1], dtype=np.float32)
    columns = np.ascontiguousarray(kernel.columns[:, :, ::-1], dtype=np.float32)
    out = np.empty((height, width), np.float32)
    over_bands(
        lambda first, last: _separable_band(padded, rows, columns, fields, out, first, last),
        height,
        n_threads=n_threads,
        band_rows=BLOCK,
    )
    return out


def convolve_fft(
    image: Float32Array,
    images: FloatArray,
    fields_at: Callable[[FloatArray, FloatArray], FloatArray],
    *,
    n_threads: int = 1,
) -> Float32Array:
    """Convolve with Σ_t f_t K_t by FFT, for kernels that do not factor; arguments as in `convolve_separable`."""
    height, width = image.shape
    half = images.shape[-1] // 2
    padded = np.pad(image, half, mode="symmetric")
    shape = tuple(fft.next_fast_len(n + images.shape[-1] - 1, real=True) for n in padded.shape)
    spectrum = fft.rfft2(padded, shape, workers=n_threads)
    out = np.zeros((height, width), np.float32)
    fields = fields_at(np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)[None, :])
    for field, kernel in zip(fields, images, strict=True):
        response = fft.rfft2(kernel.astype(np.float32), shape, workers=n_threads)
        term = fft.irfft2(spectrum * response, shape, workers=n_threads)
        out += field.astype(np.float32) * term[2 * half : 2 * half + height, 2 * half : 2 * half + width]
    return out


@jit
def _variance_tile(
    padded: Float32Array,
    weights: Float32Array,
    half: int,
    out: Float32Array,
    first_row: int,
    last_row: int,
    first_column: int,
    last_column: int,
) -> None:
    """Add the correlation with ``weights`` (already flipped) to one tile of ``out``; ``padded`` has a border of
    ``half``.
    """
    start = half - weights.shape[0] // 2
    n = last_column - first_column
    for y in range(first_row, last_row):
        for v in range(weights.shape[0]):
            _add_taps(padded, y + start + v, first_column + start, weights[v], out, y, first_column, n)


def propagate_variance(
    variance: Float32Array,
    squares_at: Callable[[float, float], FloatArray],
    *,
    tile: tuple[int, int] = (128, 256),
    n_threads: int = 1,
) -> Float32Array:
    """Variance of a convolved image, Σ K² V, with the kernel constant over tiles (right to 1e-3).

    Parameters
    ----------
    variance
        Shape (height, width), finite.
    squares_at
        K² at the array position (x, y) of a tile's centre, shape (size, size), size odd.
    tile
        Rows and columns of a tile.
    n_threads
        Threads over rows of tiles.
    """
    height, width = variance.shape
    half = squares_at(0.5 * width, 0.5 * height).shape[0] // 2
    padded = np.pad(variance, half, mode="symmetric")
    out = np.zeros((height, width), np.float32)

    def work(first: int, last: int) -> None:
        for x0 in range(0, width, tile[1]):
            x1 = min(x0 + tile[1], width)
            squares = squares_at(0.5 * (x0 + x1 - 1), 0.5 * (first + last - 1))
            flipped = np.ascontiguousarray(squares[::-1, ::-1], dtype=np.float32)
            _variance_tile(padded, flipped, half, out, first, last, x0, x1)

    over_bands(work, height, n_threads=n_threads, band_rows=tile[0])
    return out


@jit
def _fill_from_neighbours(
    image: Float32Array, bad: BoolArray, rows: FloatArray, columns: FloatArray, reach: int
) -> None:
    """Give each listed pixel the inverse-distance mean of the nearest good pixels along eight directions."""
    height, width = image.shape
    for k in range(rows.shape[0]):
        y, x = int(rows[k]), int(columns[k])
        total = 0.0
        weight = 0.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if dy == 0 and dx == 0:
                    continue
                for step in range(1, reach + 1):
                    yy, xx = y + dy * step, x + dx * step
                    if yy < 0 or yy >= height or xx < 0 or xx >= width:
                        break
                    if not bad[yy, xx]:
                        w = 1.0 / (step * step * (dx * dx + dy * dy))
                        total += w * image[yy, xx]
                        weight += w
                        break
        image[y, x] = np.float32(total / weight) if weight > 0.0 else np.float32(0.0)


def filled(image: Float32Array, good: BoolArray, *, reach: int = 100) -> Float32Array:
    """A copy whose bad pixels carry a smooth guess from their good neighbours; 0 where there are none within ``reach``.

    The guess only keeps a convolution from spreading a defect; the pixels stay masked.
    """
    out = image.copy()
    bad = ~good
    rows, columns = np.nonzero(bad)
    _fill_from_neighbours(out, bad, rows.astype(np.float64), columns.astype(np.float64), reach)
    return out
