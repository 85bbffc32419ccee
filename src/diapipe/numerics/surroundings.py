"""What the pixels around a source say about it: the sharpest, the sign of the light, the sky beneath, the mask."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import jit

_LOOK = 64


@jit
def _usable(image: Float32Array, mask: MaskArray, variance: Float32Array, bits: int, r: int, c: int) -> bool:
    """Whether a pixel lies on the image and tells something."""
    if r < 0 or c < 0 or r >= image.shape[0] or c >= image.shape[1]:
        return False
    v = variance[r, c]
    return bool((mask[r, c] & bits) == 0 and abs(image[r, c]) < 1e30 and v > 0.0 and v < 1e30)


@jit
def _sharpest(
    image: Float32Array, mask: MaskArray, variance: Float32Array, bits: int, x: float, y: float, sign: float
) -> float:
    """Largest significance, with the source's sign, of a single pixel of the central 3x3; NaN if none is usable."""
    row, column, best = int(np.floor(y + 0.5)), int(np.floor(x + 0.5)), np.nan
    for r in range(row - 1, row + 2):
        for c in range(column - 1, column + 2):
            if _usable(image, mask, variance, bits, r, c):
                here = sign * image[r, c] / np.sqrt(variance[r, c])
                if not here <= best:
                    best = here
    return best


@jit
def _opposite_part(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    x: float,
    y: float,
    sign: float,
    radius: float,
    n_sigma: float,
) -> float:
    """Part of the light in pixels beyond ``n_sigma`` within ``radius`` that has the other sign; NaN without any."""
    same, other = 0.0, 0.0
    for r in range(int(np.ceil(y - radius)), int(np.floor(y + radius)) + 1):
        for c in range(int(np.ceil(x - radius)), int(np.floor(x + radius)) + 1):
            if np.hypot(r - y, c - x) > radius or not _usable(image, mask, variance, bits, r, c):
                continue
            value = sign * image[r, c]
            if abs(value) > n_sigma * np.sqrt(variance[r, c]):
                same += max(value, 0.0)
                other += max(-value, 0.0)
    return other / (same + other) if same + other > 0.0 else np.nan


@jit
def _examine(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    signs: FloatArray,
    radius: float,
    n_sigma: float,
    out: FloatArray,
) -> None:
    """Fill (sharpest pixel, opposite part) of every source."""
    for k in range(len(x)):
        out[k, 0] = _sharpest(image, mask, variance, bits, x[k], y[k], signs[k])
        out[k, 1] = _opposite_part(image, mask, variance, bits, x[k], y[k], signs[k], radius, n_sigma)


def examine(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    signs: FloatArray,
    radius: float,
    n_sigma: float = 2.0,
) -> FloatArray:
    """How sharp and how pure in sign each source is.

    Parameters
    ----------
    image, mask, variance
        Planes of one shape.
    bits
        Mask bits of unusable pixels.
    x, y
        Finite positions in array coordinates, shape (n,).
    signs
        +1 or -1 for each.
    radius
        Of the circle in which signs are compared, pixels.
    n_sigma
        Pixels below this significance are not compared.

    Returns
    -------
    FloatArray
        Shape (n, 2): significance of the most significant single pixel of the central 3x3, of the source's sign; part
        of the light of the other sign.
    """
    out = np.empty((len(x), 2))
    _examine(image, mask, variance, bits, x, y, signs, radius, n_sigma, out)
    return out


@jit
def brightest_around(image: Float32Array, x: FloatArray, y: FloatArray, radius: float, out: FloatArray) -> None:
    """Largest finite value within ``radius`` of every position; NaN where there is none."""
    for k in range(len(x)):
        out[k] = np.nan
        for r in range(max(int(np.ceil(y[k] - radius)), 0), min(int(np.floor(y[k] + radius)) + 1, image.shape[0])):
            for c in range(max(int(np.ceil(x[k] - radius)), 0), min(int(np.floor(x[k] + radius)) + 1, image.shape[1])):
                if np.hypot(r - y[k], c - x[k]) <= radius and np.isfinite(image[r, c]) and not image[r, c] <= out[k]:
                    out[k] = image[r, c]


@jit
def mask_around(mask: MaskArray, x: FloatArray, y: FloatArray, half: int, out: IntArray) -> None:
    """Union of the mask bits in the square of ``2 half + 1`` pixels around every position."""
    for k in range(len(x)):
        row, column = int(np.floor(y[k] + 0.5)), int(np.floor(x[k] + 0.5))
        out[k] = 0
        for r in range(max(row - half, 0), min(row + half + 1, mask.shape[0])):
            for c in range(max(column - half, 0), min(column + half + 1, mask.shape[1])):
                out[k] |= mask[r, c]


@jit
def mask_in_spans(mask: MaskArray, spans: IntArray, offsets: IntArray, out: IntArray) -> None:
    """Union of the mask bits in each footprint; ``spans`` in array coordinates."""
    for i in range(len(offsets) - 1):
        out[i] = 0
        for k in range(offsets[i], offsets[i + 1]):
            for c in range(spans[k, 1], spans[k, 2]):
                out[i] |= mask[spans[k, 0], c]


@jit
def count_bits(mask: MaskArray, bits: int) -> int:
    """Number of pixels with any of the bits."""
    total, wanted = 0, np.int32(bits)
    for r in range(mask.shape[0]):
        n = 0
        for c in range(mask.shape[1]):
            n += 1 if (mask[r, c] & wanted) != 0 else 0
        total += n
    return total


@jit
def fill_bit_runs(mask: MaskArray, bits: int, runs: IntArray) -> int:
    """Write (row, first, last + 1) of every run of pixels with any of the bits; returns how many there are."""
    n, width, wanted = 0, mask.shape[1], np.int32(bits)
    for r in range(mask.shape[0]):
        inside = False
        for first in range(0, width, _LOOK):
            last = min(first + _LOOK, width)
            seen = np.int32(0)
            for c in range(first, last):
                seen |= mask[r, c]
            if (seen & wanted) == 0 and not inside:
                continue
            for c in range(first, last):
                here = (mask[r, c] & wanted) != 0
                if here and not inside:
                    runs[n, 0], runs[n, 1] = r, c
                    n += 1
                elif inside and not here:
                    runs[n - 1, 2] = c
                inside = here
        if inside:
            runs[n - 1, 2] = width
    return n


def runs_of_bits(mask: MaskArray, bits: int) -> IntArray:
    """Runs of pixels with any of the bits; shape (n, 3), sorted."""
    runs = np.zeros((count_bits(mask, bits), 3), np.int64)
    return runs[: fill_bit_runs(mask, bits, runs)]


@jit
def scaled_distance(
    runs: IntArray,
    labels: IntArray,
    half_width: FloatArray,
    x: FloatArray,
    y: FloatArray,
    reach: float,
    out: FloatArray,
) -> None:
    """Smallest (distance to a region) / (its half-width) of every position; infinite beyond ``reach`` half-widths."""
    for k in range(len(x)):
        out[k] = np.inf
        for i in range(len(runs)):
            far = reach * half_width[labels[i]]
            dy = y[k] - runs[i, 0]
            if abs(dy) > far:
                continue
            dx = max(runs[i, 1] - x[k], x[k] - (runs[i, 2] - 1), 0.0)
            if dx <= far:
                out[k] = min(out[k], np.hypot(dx, dy) / half_width[labels[i]])
        if out[k] > reach:
            out[k] = np.inf
