"""Matched filter: the significance of a point source at every pixel, on images with masked pixels and any variance.

With a filter Q (the PSF), pixel values D of variance V and weights w that are zero on unusable pixels,

    S(x) = Σ_u Q(u) w(x+u) D(x+u) / sqrt(Σ_u Q(u)² w(x+u)² V(x+u))

has unit variance whatever the weights are, and is the likelihood-ratio statistic for w = 1/V (Turin 1960). The sums are
correlations, not convolutions: an asymmetric PSF is not turned round.
The weights are those of `diapipe.numerics.weighting`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.weighting import MEAN_HALF, load_block, weigh

BLOCK_ROWS = 128
"""Rows filtered at a time, so that the intermediate planes stay in the cache."""


class SeparableFilter(NamedTuple):
    """A small image as a sum of ``rank`` products of a column and a row; float32, shapes (rank, 2 half + 1)."""

    columns: Float32Array
    rows: Float32Array

    def image(self) -> FloatArray:
        """The small image itself."""
        return np.asarray(np.einsum("ki,kj->ij", self.columns.astype(np.float64), self.rows.astype(np.float64)))


def core_half(stamp: FloatArray, *, lost: float) -> int:
    """Half-width of the central square outside of which lies at most the fraction ``lost`` of the sum of squares."""
    squares = np.asarray(stamp, dtype=np.float64) ** 2
    half, total = int(stamp.shape[0] // 2), float(squares.sum())
    for h in range(1, half):
        if squares[half - h : half + h + 1, half - h : half + h + 1].sum() >= (1.0 - lost) * total:
            return h
    return half


def cropped(stamp: FloatArray, half: int) -> FloatArray:
    """The central square of ``2 half + 1`` pixels."""
    middle = stamp.shape[0] // 2
    return stamp[middle - half : middle + half + 1, middle - half : middle + half + 1]


def separated(stamp: FloatArray, *, lost: float) -> SeparableFilter:
    """Best approximation of a small image by the fewest separable terms (singular value decomposition).

    Parameters
    ----------
    stamp
        Shape (n, n).
    lost
        Largest fraction of the sum of squares that may be missing.
    """
    left, values, right = np.linalg.svd(stamp)
    missing = np.append(np.cumsum((values**2)[::-1])[::-1][1:], 0.0)
    rank = 1 + int(np.argmax(missing <= lost * (values**2).sum()))
    columns = (left[:, :rank] * values[:rank]).T
    return SeparableFilter(np.ascontiguousarray(columns, np.float32), np.ascontiguousarray(right[:rank], np.float32))


def squared(filter_: SeparableFilter, *, lost: float) -> SeparableFilter:
    """The square of a filter, trimmed and separated, its sum kept: on a uniform variance the noise is exact."""
    squares = filter_.image() ** 2
    terms = separated(cropped(squares, core_half(squares, lost=lost)), lost=lost)
    return SeparableFilter(np.asarray(terms.columns * (squares.sum() / terms.image().sum()), np.float32), terms.rows)


@inlined
def _add_taps(source: Float32Array, first: int, taps: Float32Array, out: Float32Array) -> None:
    """Out[c] += Σ_k taps[k] source[first + k + c] for one row, four taps at a time.

    Cut into slices, because an index that might be negative keeps the loop from being vectorised.
    """
    n, k = out.shape[0], 0
    while k + 4 <= len(taps):
        t0, t1, t2, t3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        a, b = source[first + k : first + k + n], source[first + k + 1 : first + k + 1 + n]
        d, e = source[first + k + 2 : first + k + 2 + n], source[first + k + 3 : first + k + 3 + n]
        for c in range(n):
            out[c] += t0 * a[c] + t1 * b[c] + t2 * d[c] + t3 * e[c]
        k += 4
    while k < len(taps):
        t0, a = taps[k], source[first + k : first + k + n]
        for c in range(n):
            out[c] += t0 * a[c]
        k += 1


@inlined
def _add_rows(source: Float32Array, first: int, taps: Float32Array, out: Float32Array) -> None:
    """Out[c] += Σ_k taps[k] source[first + k, c] for one row, four taps at a time."""
    n, k = out.shape[0], 0
    while k + 4 <= len(taps):
        t0, t1, t2, t3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        a, b, d, e = source[first + k], source[first + k + 1], source[first + k + 2], source[first + k + 3]
        for c in range(n):
            out[c] += t0 * a[c] + t1 * b[c] + t2 * d[c] + t3 * e[c]
        k += 4
    while k < len(taps):
        t0, a = taps[k], source[first + k]
        for c in range(n):
            out[c] += t0 * a[c]
        k += 1


@jit
def correlate_separable(
    plane: Float32Array,
    margin: int,
    columns: Float32Array,
    rows: Float32Array,
    scratch: Float32Array,
    out: Float32Array,
) -> None:
    """Correlate a plane with a separable filter.

    Parameters
    ----------
    plane
        C-contiguous, larger than ``out`` by the filter's width less one and twice the margin.
    margin
        Pixels at each border of ``plane`` that the filter does not need.
    columns, rows
        Terms of the filter, shape (rank, n).
    scratch
        At least the rows of ``plane``, the columns of ``out``.
    out
        The sums Σ_ij Q_ij plane[margin + r + i, margin + c + j].
    """
    needed = out.shape[0] + columns.shape[1] - 1
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = 0.0
    for k in range(columns.shape[0]):
        for r in range(needed):
            row = scratch[r]
            for c in range(len(row)):
                row[c] = 0.0
            _add_taps(plane[margin + r], margin, rows[k], row)
        for r in range(out.shape[0]):
            _add_rows(scratch, r, columns[k], out[r])


@jit
def _significance(
    numerator: Float32Array,
    noise: Float32Array,
    covered: Float32Array,
    least: float,
    noise_factor: float,
    y_first: int,
    x_first: int,
    score: Float32Array,
) -> None:
    """Write numerator / sqrt(noise_factor x noise) into a block of the score; NaN where the filter sees too little."""
    factor, enough = np.float32(noise_factor), np.float32(least)
    for r in range(numerator.shape[0]):
        row = score[y_first + r, x_first : x_first + numerator.shape[1]]
        for c in range(numerator.shape[1]):
            seen = (covered[r, c] >= enough) & (noise[r, c] > np.float32(0.0))
            value = numerator[r, c] / np.sqrt(factor * max(noise[r, c], np.float32(1e-37)))
            row[c] = value if seen else np.float32(np.nan)


def filter_block(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    filter_columns: Float32Array,
    filter_rows: Float32Array,
    square_columns: Float32Array,
    square_rows: Float32Array,
    noise_factor: float,
    least_coverage: float,
    y_first: int,
    x_first: int,
    n_rows: int,
    n_columns: int,
    score: Float32Array,
) -> None:
    """Fill one block of the score.

    Parameters
    ----------
    image, mask, variance
        The whole planes, of one shape, C-contiguous.
    bits
        Mask bits of unusable pixels.
    filter_columns, filter_rows, square_columns, square_rows
        The filter and its square as separable terms; the square may be the narrower.
    noise_factor
        Variance of the filtered noise over that of white noise.
    least_coverage
        Fraction of Σ Q² that must lie on usable pixels for a score to be given.
    y_first, x_first, n_rows, n_columns
        The block in array coordinates.
    score
        The whole score image.
    """
    reach = filter_columns.shape[1] - 1
    height, width = n_rows + reach, n_columns + reach
    values = np.empty((height + 2 * MEAN_HALF, width + 2 * MEAN_HALF), np.float32)
    spread, good = np.empty_like(values), np.empty_like(values)
    offset = reach // 2 + MEAN_HALF
    n_bad = load_block(image, mask, variance, bits, y_first - offset, x_first - offset, values, spread, good)
    d_w, v_w2 = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    weigh(values, spread, good, d_w, v_w2)
    scratch = np.empty((height, n_columns), np.float32)
    numerator, noise = np.empty((n_rows, n_columns), np.float32), np.empty((n_rows, n_columns), np.float32)
    margin, trim = (reach - filter_columns.shape[1] + 1) // 2, (reach - square_columns.shape[1] + 1) // 2
    correlate_separable(d_w, margin, filter_columns, filter_rows, scratch, numerator)
    correlate_separable(v_w2, trim, square_columns, square_rows, scratch, noise)
    covered, least = noise, 0.0
    if n_bad > 0:
        covered, least = np.empty_like(noise), least_coverage * float(square_columns[0].sum() * square_rows[0].sum())
        correlate_separable(good, MEAN_HALF + trim, square_columns[:1], square_rows[:1], scratch, covered)
    _significance(numerator, noise, covered, least, float(noise_factor), y_first, x_first, score)
