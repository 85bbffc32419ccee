"""Exact circular apertures: every pixel counts by the part of its area that lies in the circle."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.jit import jit


@jit
def _half_area(x: float, radius: float) -> float:
    """Area of the upper half of a disk around the origin left of ``x``: ∫ sqrt(r² - t²) dt from -r to x."""
    t = min(max(x, -radius), radius)
    height = np.sqrt(max(radius * radius - t * t, 0.0))
    return float(0.5 * (t * height + radius * radius * (np.arctan2(t, height) + 0.5 * np.pi)))


@jit
def _corner_area(x: float, y: float, radius: float) -> float:
    """Area of the disk around the origin with X <= x and Y <= y."""
    if y < 0.0:
        return 2.0 * _half_area(x, radius) - _corner_area_up(x, -y, radius)
    return _corner_area_up(x, y, radius)


@jit
def _corner_area_up(x: float, y: float, radius: float) -> float:
    """The same for y >= 0: the lower half of the disk plus ∫ min(y, sqrt(r² - t²)) dt."""
    lower = _half_area(x, radius)
    if y >= radius:
        return 2.0 * lower
    chord = float(np.sqrt(radius * radius - y * y))
    if x <= -chord:
        return 2.0 * lower
    upper = _half_area(-chord, radius) + y * (min(x, chord) + chord)
    if x > chord:
        upper += lower - _half_area(chord, radius)
    return lower + upper


@jit
def overlap(x: float, y: float, radius: float) -> float:
    """Area of the unit pixel centred on ``(x, y)`` inside the circle around the origin; exact.

    The disk's area left of and below each of the four corners is a closed form; the pixel is their alternating sum.
    """
    near_x, near_y = max(abs(x) - 0.5, 0.0), max(abs(y) - 0.5, 0.0)
    if near_x * near_x + near_y * near_y >= radius * radius:
        return 0.0
    far_x, far_y = abs(x) + 0.5, abs(y) + 0.5
    if far_x * far_x + far_y * far_y <= radius * radius:
        return 1.0
    return (
        _corner_area(x + 0.5, y + 0.5, radius)
        - _corner_area(x - 0.5, y + 0.5, radius)
        - _corner_area(x + 0.5, y - 0.5, radius)
        + _corner_area(x - 0.5, y - 0.5, radius)
    )


@jit
def _aperture_sums(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    radius: float,
    sums: FloatArray,
) -> None:
    """Fill, for every position, Σ a D, Σ a² V over usable pixels, the area on usable pixels, the area on the image."""
    n_rows, n_columns = image.shape
    for k in range(len(x)):
        sums[k, :] = 0.0
        if not (np.isfinite(x[k]) and np.isfinite(y[k])):
            continue
        for r in range(max(int(np.floor(y[k] - radius)), 0), min(int(np.ceil(y[k] + radius)) + 1, n_rows)):
            for c in range(max(int(np.floor(x[k] - radius)), 0), min(int(np.ceil(x[k] + radius)) + 1, n_columns)):
                a = overlap(c - x[k], r - y[k], radius)
                if a == 0.0:
                    continue
                sums[k, 3] += a
                d, v = image[r, c], variance[r, c]
                if (mask[r, c] & bits) == 0 and abs(d) < 1e30 and v > 0.0 and v < 1e30:
                    sums[k, 0] += a * d
                    sums[k, 1] += a * a * v
                    sums[k, 2] += a


def aperture_sums(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    radius: float,
) -> FloatArray:
    """Sums over exact circular apertures.

    Parameters
    ----------
    image, mask, variance
        Planes of one shape.
    bits
        Mask bits of unusable pixels, which are left out.
    x, y
        Centres in array coordinates, shape (n,).
    radius
        In pixels.

    Returns
    -------
    FloatArray
        Shape (n, 4): flux, its variance (white noise), area on usable pixels, area on the image.
    """
    sums = np.zeros((len(x), 4))
    _aperture_sums(image, mask, variance, bits, x, y, radius, sums)
    return sums
