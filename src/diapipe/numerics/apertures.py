"""Exact circular apertures: every pixel counts by the part of its area that lies in the circle."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.weighting import cut_blocks

_AT_ONCE = 1024
"""Sources whose pixels are held at a time."""


def _half_area(x: FloatArray, radius: float) -> FloatArray:
    """Area of the upper half of a disk around the origin left of ``x``: ∫ sqrt(r² - t²) dt from -r to x."""
    t = np.clip(x, -radius, radius)
    height = np.sqrt(np.maximum(radius * radius - t * t, 0.0))
    return np.asarray(0.5 * (t * height + radius * radius * (np.arctan2(t, height) + 0.5 * np.pi)))


def _corner_area(x: FloatArray, y: FloatArray, radius: float) -> FloatArray:
    """Area of the disk around the origin with X <= x and Y <= y.

    For y >= 0 the lower half of the disk plus ∫ min(y, sqrt(r² - t²)) dt; for y < 0 all left of x less the same of -y.
    """
    up, lower = np.abs(y), _half_area(x, radius)
    chord = np.sqrt(np.maximum(radius * radius - up * up, 0.0))
    beyond = _half_area(-chord, radius)
    upper = beyond + up * (np.minimum(x, chord) + chord)
    upper += np.where(x > chord, lower - (0.5 * np.pi * radius * radius - beyond), 0.0)
    area = lower + np.where((up >= radius) | (x <= -chord), lower, upper)
    return np.where(y < 0.0, 2.0 * lower - area, area)


def overlap(x: FloatArray, y: FloatArray, radius: float) -> FloatArray:
    """Area of the unit pixels centred on ``(x, y)`` inside the circle around the origin; exact.

    The disk's area left of and below each of the four corners is a closed form; the pixel is their alternating sum.
    """
    x, y = np.broadcast_arrays(x, y)
    near = np.hypot(np.maximum(np.abs(x) - 0.5, 0.0), np.maximum(np.abs(y) - 0.5, 0.0)) < radius
    area = np.array(near, dtype=np.float64)
    cut = near & (np.hypot(np.abs(x) + 0.5, np.abs(y) + 0.5) > radius)
    u, v = x[cut], y[cut]
    right = _corner_area(u + 0.5, v + 0.5, radius) - _corner_area(u + 0.5, v - 0.5, radius)
    area[cut] = right - _corner_area(u - 0.5, v + 0.5, radius) + _corner_area(u - 0.5, v - 0.5, radius)
    return area


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
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    for first in range(0, len(finite), _AT_ONCE):
        some = finite[first : first + _AT_ONCE]
        sums[some] = _sums(image, mask, variance, bits, x[some], y[some], radius)
    return sums


def _sums(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    radius: float,
) -> FloatArray:
    """The sums for positions that are finite."""
    columns, rows, half = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64), int(radius + 0.5) + 1
    values, spread, good = cut_blocks(image, mask, variance, bits=bits, rows=rows, columns=columns, half=half)
    offset = np.arange(-half, half + 1)
    r, c = rows[:, None] + offset, columns[:, None] + offset
    area = overlap((c - x[:, None])[:, None, :], (r - y[:, None])[:, :, None], radius)
    inside = ((r >= 0) & (r < image.shape[0]))[:, :, None] & ((c >= 0) & (c < image.shape[1]))[:, None, :]
    terms = area * values, area * area * spread, area * good, area * inside
    return np.stack([term.sum(axis=(1, 2)) for term in terms], axis=1)
