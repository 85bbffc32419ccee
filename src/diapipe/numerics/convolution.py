"""Convolution of an image with a kernel that varies smoothly over it, and of its variance with the kernel squared.

The kernel is a series K(u, v; x, y) = Σ_t f_t(x, y) K_t(u, v). Its images are factored together into a few products of a
row and a column profile; the row profiles are shared by all terms, so the row pass is done once and only the short column
filters follow the position. A kernel that does not factor well is applied by FFT, one inverse transform a term.
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
"""Pixels over which a column filter is taken as linear in x: 1e-5 of its variation for a cubic field over 4000 px."""

RANK_LIMIT = 24
"""Factors above which the FFT is cheaper than the separable passes (measured at 31 px)."""

FACTOR_TOLERANCE = 3e-7
"""Largest singular value left out of a factored kernel, relative to the largest."""


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
        Singular values below this fraction of the largest are dropped.
    """
    n_terms, size, _ = images.shape
    _, values, rows = np.linalg.svd(images.reshape(n_terms * size, size), full_matrices=False)
    rank = max(1, int(np.count_nonzero(values > tolerance * values[0])))
    rows = rows[:rank]
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
    """Rows ``first`` to ``last`` of the convolution; ``rows`` and ``columns`` are flipped, ``fields`` is at strip edges."""
    n_rank, size = rows.shape
    n_terms = columns.shape[0]
    width = out.shape[1]
    height = last - first + size - 1
    filtered = np.empty((n_rank, height, 128), np.float32)
    left = np.empty((n_rank, size), np.float32)
    slope = np.empty((n_rank, size), np.float32)
    here = np.empty(128, np.float32)
    change = np.empty(128, np.float32)
    for strip in range((width + 127) // 128):
        x0 = strip * 128
        n = min(128, width - x0)
        for r in range(n_rank):
            for y in range(height):
                filtered[r, y, :n] = np.float32(0.0)
                _add_taps(padded, first + y, x0, rows[r], filtered[r], y, 0, n)
        for y in range(last - first):
            for r in range(n_rank):
                for v in range(size):
                    at_left = np.float32(0.0)
                    at_right = np.float32(0.0)
                    for t in range(n_terms):
                        at_left += fields[t, first + y, strip] * columns[t, r, v]
                        at_right += fields[t, first + y, strip + 1] * columns[t, r, v]
                    left[r, v] = at_left
                    slope[r, v] = (at_right - at_left) / np.float32(128.0)
            here[:] = np.float32(0.0)
            change[:] = np.float32(0.0)
            for r in range(n_rank):
                _column_pass(filtered[r], y, n, left[r], slope[r], here, change)
            for x in range(n):
                out[first + y, x0 + x] = here[x] + np.float32(x) * change[x]


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

    Four taps at a time, so that the sum stays in registers; with unsigned indices, since for signed ones Numba must allow
    for negative values and the loop is not vectorised.
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
    first: int,
    n: int,
    left: Float32Array,
    slope: Float32Array,
    here: Float32Array,
    change: Float32Array,
) -> None:
    """Add the column filter's value at the strip's left edge and its change per pixel, two rows at a time."""
    size = left.shape[0]
    for v in range(0, size - 1, 2):
        l0, l1, s0, s1 = left[v], left[v + 1], slope[v], slope[v + 1]
        row0 = filtered[first + v]
        row1 = filtered[first + v + 1]
        for x in range(n):
            here[x] += l0 * row0[x] + l1 * row1[x]
            change[x] += s0 * row0[x] + s1 * row1[x]
    l0, s0 = left[size - 1], slope[size - 1]
    row0 = filtered[first + size - 1]
    for x in range(n):
        here[x] += l0 * row0[x]
        change[x] += s0 * row0[x]


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
    fields = fields_at(np.arange(height, dtype=np.float64)[:, None], edges[None, :]).astype(np.float32)
    rows = np.ascontiguousarray(kernel.rows[:, ::-1], dtype=np.float32)
    columns = np.ascontiguousarray(kernel.columns[:, :, ::-1], dtype=np.float32)
    out = np.empty((height, width), np.float32)
    over_bands(
        lambda first, last: _separable_band(padded, rows, columns, fields, out, first, last),
        height,
        n_threads=n_threads,
        band_rows=64,
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
    """Add the correlation with ``weights`` (already flipped) to one tile of ``out``; ``padded`` has a border of ``half``."""
    start = half - weights.shape[0] // 2
    n = last_column - first_column
    for y in range(first_row, last_row):
        for v in range(weights.shape[0]):
            _add_taps(padded, y + start + v, first_column + start, weights[v], out, y, first_column, n)


def trimmed(kernel: FloatArray, *, lost: float) -> FloatArray:
    """The central part of a kernel of positive weights outside which less than the fraction ``lost`` of its sum lies."""
    half = kernel.shape[0] // 2
    total = kernel.sum()
    for reach in range(half):
        cut = slice(half - reach, half + reach + 1)
        if kernel[cut, cut].sum() >= (1.0 - lost) * total:
            return kernel[cut, cut]
    return kernel


def propagate_variance(
    variance: Float32Array,
    kernel_at: Callable[[float, float], FloatArray],
    *,
    tile: tuple[int, int] = (128, 256),
    lost: float = 1e-3,
    n_threads: int = 1,
) -> Float32Array:
    """Variance of a convolved image, Σ K² V, with the kernel constant over tiles (right to 1e-3).

    Parameters
    ----------
    variance
        Shape (height, width), finite.
    kernel_at
        Kernel image, shape (size, size), at the array position (x, y) of a tile's centre.
    tile
        Rows and columns of a tile.
    lost
        Fraction of ΣK² that may be cut off at the kernel's border; what is left is scaled up to the full sum.
    n_threads
        Threads over rows of tiles.
    """
    height, width = variance.shape
    half = kernel_at(0.5 * width, 0.5 * height).shape[0] // 2
    padded = np.pad(variance, half, mode="symmetric")
    out = np.zeros((height, width), np.float32)

    def work(first: int, last: int) -> None:
        for x0 in range(0, width, tile[1]):
            x1 = min(x0 + tile[1], width)
            squared = kernel_at(0.5 * (x0 + x1 - 1), 0.5 * (first + last - 1)) ** 2
            weights = trimmed(squared, lost=lost)
            weights = weights * (squared.sum() / weights.sum())
            flipped = np.ascontiguousarray(weights[::-1, ::-1], dtype=np.float32)
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
