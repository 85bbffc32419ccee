"""Sums along all straight lines of an image, of every length that is a power of two, by the fast Radon transform.

A line of 2ᵐ rows that starts at column x and ends s columns to the right is two lines of half the rows, each s/2 wide
(Brady 1998, SIAM J. Comput. 27, 107): every sum costs one addition, all sums of all lengths n log n. That the lengths
are all there is what finds a line that does not cross the whole image (Nir, Zackay & Ofek 2018, AJ 156, 229).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray
from diapipe.numerics.jit import jit

_LEAST_GOOD = 0.5
"""Part of the pixels of a block, or of the length of a line, that must be usable."""


class Line(NamedTuple):
    """A piece of a straight line, and how far the sum along it stands out.

    ``sigma`` is negative for a dark line. ``steep`` lines step along rows: column = ``start`` + ``slope`` (row -
    ``first``) for rows from ``first`` to ``last`` - 1; of others rows and columns are exchanged.
    """

    sigma: float
    steep: bool
    first: int
    last: int
    start: float
    slope: float


@jit
def _add_blocks(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    bits: int,
    size: int,
    total: Float32Array,
    noise: Float32Array,
) -> None:
    """Fill ``total`` and ``noise`` with the sums of value and variance over the usable pixels of every block."""
    wanted, zero = np.int32(bits), np.float32(0.0)
    least = _LEAST_GOOD * size * size
    count = np.empty(total.shape[1], np.int64)
    for row in range(total.shape[0]):
        count[:] = 0
        total[row, :], noise[row, :] = zero, zero
        for y in range(row * size, (row + 1) * size):
            for column in range(total.shape[1]):
                for x in range(column * size, (column + 1) * size):
                    value, spread = image[y, x], variance[y, x]
                    ok = (mask[y, x] & wanted) == 0 and value == value and spread > zero and spread < np.inf
                    total[row, column] += value if ok else zero
                    noise[row, column] += spread if ok else zero
                    count[column] += 1 if ok else 0
        for column in range(total.shape[1]):
            if count[column] < least:
                noise[row, column] = zero


def block_significance(
    image: Float32Array, variance: Float32Array, mask: MaskArray, *, bits: int, size: int
) -> Float32Array:
    """Sum over the noise of each ``size`` x ``size`` block; NaN where less than half of it is usable.

    Parameters
    ----------
    image, variance, mask
        C-contiguous planes of one shape.
    bits
        Mask bits of unusable pixels.
    size
        Side of a block in pixels; incomplete blocks at the upper borders are left out.
    """
    shape = image.shape[0] // size, image.shape[1] // size
    total, noise = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    _add_blocks(image, variance, mask, bits, size, total, noise)
    return np.asarray(np.divide(total, np.sqrt(noise), out=np.full(shape, np.nan, np.float32), where=noise > 0))


def halved(significance: Float32Array) -> Float32Array:
    """Blocks of twice the side: sums of four over the noise of those that are usable, NaN with fewer than two."""
    height, width = (n // 2 * 2 for n in significance.shape)
    quads = significance[:height, :width].reshape(height // 2, 2, width // 2, 2)
    known = np.isfinite(quads)
    number = known.sum(axis=(1, 3)).astype(np.float32)
    total = np.where(known, quads, np.float32(0.0)).sum(axis=(1, 3))
    mean = np.full(total.shape, np.nan, np.float32)
    return np.asarray(np.divide(total, np.sqrt(number), out=mean, where=number >= 2))


def _doubled(sums: Float32Array) -> Float32Array:
    """Sums over pieces of twice the length; ``sums`` has shape (pieces, shifts, columns)."""
    pieces, shifts, columns = sums.shape
    longer = np.empty((pieces // 2, 2 * shifts, columns), np.float32)
    for shift in range(2 * shifts):
        beyond = (shift + 1) // 2
        here = longer[:, shift]
        here[:] = sums[0::2, shift // 2]
        if beyond < columns:
            here[:, : columns - beyond] += sums[1::2, shift // 2, beyond:]
    return longer


def _levels(values: Float32Array, shortest: int) -> Iterator[Float32Array]:
    """Sums along lines that lean to the right by up to one column a row, for each length from ``shortest`` rows on."""
    rows = 1 << int(np.ceil(np.log2(max(len(values), 2))))
    sums = np.zeros((rows, 1, values.shape[1]), np.float32)
    sums[: len(values), 0] = values
    while len(sums) > 1:
        sums = _doubled(sums)
        if sums.shape[1] >= shortest:
            yield sums


def brightest_lines(significance: FloatArray | Float32Array, *, shortest: int, clip: float = 3.0) -> list[Line]:
    """The line that stands out most on every dyadic strip of an image, bright and dark; the most significant first.

    Parameters
    ----------
    significance
        Pixels of unit variance, NaN where unusable.
    shortest
        Least number of rows (or columns) of a line, in pixels.
    clip
        Values are cut at this, so that a point, however bright, is no line.
    """
    good: BoolArray = np.isfinite(significance)
    values = np.where(good, np.clip(significance, -clip, clip), 0.0).astype(np.float32)
    found: list[Line] = []
    for steep in (True, False):
        for right in (True, False):
            planes = [plane if steep else plane.T for plane in (values, good.astype(np.float32))]
            planes = [plane if right else plane[:, ::-1] for plane in planes]
            width = planes[0].shape[1]
            for sums, counts in zip(*(_levels(plane, shortest) for plane in planes), strict=True):
                found += _best(sums, counts, steep=steep, right=right, width=width, height=len(planes[0]))
    return sorted(found, key=lambda line: -abs(line.sigma))


def _best(
    sums: Float32Array, counts: Float32Array, *, steep: bool, right: bool, width: int, height: int
) -> Iterator[Line]:
    """Of each strip the brightest and the darkest line."""
    length = sums.shape[1]
    score = np.where(counts >= _LEAST_GOOD * length, sums / np.sqrt(np.maximum(counts, 1.0)), np.float32(0.0))
    flat = score.reshape(len(score), -1)
    for best in (flat.argmax(axis=1), flat.argmin(axis=1)):
        for strip, index in enumerate(best):
            shift, start = divmod(int(index), sums.shape[2])
            first = strip * length
            if first >= height or flat[strip, index] == 0.0 or (shift == 0 and not right):
                continue
            slope = shift / max(length - 1, 1)
            x, lean = (float(start), slope) if right else (width - 1.0 - start, -slope)
            yield Line(float(flat[strip, index]), steep, first, min(first + length, height), x, lean)
