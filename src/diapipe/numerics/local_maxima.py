"""Sources of one image found as local maxima of the image smoothed by a Gaussian."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit

FILL_REACH = 3
"""Bad pixels in a row that are bridged by the last good value, so that a bad column does not split a star."""

BAND = 64
"""Rows smoothed at once: the band stays in the cache."""


class Maxima(NamedTuple):
    """Array positions (whole pixels) and signal-to-noise of the maxima, brightest first."""

    y: IntArray
    x: IntArray
    significance: FloatArray


def gaussian_profile(sigma: float, *, reach: float = 3.0) -> Float32Array:
    """Samples of a Gaussian out to ``reach`` sigma, at least 1 px, of unit sum; odd length."""
    half = max(1, int(np.ceil(reach * sigma)))
    t = np.arange(-half, half + 1)
    profile = np.exp(-0.5 * (t / sigma) ** 2)
    return np.asarray(profile / profile.sum(), dtype=np.float32)


@inlined
def _load_band(image: Float32Array, mask: MaskArray, bad_bits: int, first: int, band: Float32Array) -> None:
    """Copy rows from ``first`` on, bad pixels bridged or zero; rows outside the image are zero."""
    n_rows, n_columns = image.shape
    for r in range(band.shape[0]):
        y = first + r
        if y < 0 or y >= n_rows:
            for x in range(n_columns):
                band[r, x] = 0.0
            continue
        n_bad = 0
        for x in range(n_columns):
            ok = (mask[y, x] & bad_bits) == 0 and np.isfinite(image[y, x])
            band[r, x] = image[y, x] if ok else np.float32(0.0)
            n_bad += 0 if ok else 1
        if n_bad == 0:
            continue
        last, distance = np.float32(0.0), FILL_REACH
        for x in range(n_columns):
            if (mask[y, x] & bad_bits) == 0 and np.isfinite(image[y, x]):
                last, distance = image[y, x], 0
            else:
                distance += 1
                band[r, x] = last if distance <= FILL_REACH else np.float32(0.0)


@inlined
def _smooth_band(band: Float32Array, profile: Float32Array, column: Float32Array, out: Float32Array) -> None:
    """Separable smoothing: ``out`` has ``len(profile) - 1`` rows fewer than ``band``; columns outside are zero."""
    n_taps = len(profile)
    half = n_taps // 2
    n_columns = band.shape[1]
    for r in range(out.shape[0]):
        for x in range(len(column)):
            column[x] = 0.0
        for k in range(n_taps):
            weight = profile[k]
            for x in range(n_columns):
                column[half + x] += weight * band[r + k, x]
        for x in range(n_columns):
            out[r, x] = 0.0
        for k in range(n_taps):
            weight = profile[k]
            for x in range(n_columns):
                out[r, x] += weight * column[x + k]


@jit
def smoothed_maxima(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bad_bits: int,
    profile: Float32Array,
    n_sigma: float,
    found: FloatArray,
) -> int:
    """Write (y, x, significance) of the local maxima above ``n_sigma`` of the smoothed noise; returns how many."""
    n_rows, n_columns = image.shape
    half = len(profile) // 2
    norm = 0.0
    for weight in profile:
        norm += weight * weight
    n = 0
    band = np.empty((BAND + 2 + 2 * half, n_columns), np.float32)
    smooth = np.empty((BAND + 2, n_columns), np.float32)
    column = np.empty(n_columns + 2 * half, np.float32)
    candidate = np.empty(n_columns, np.bool_)
    limit = np.float32(n_sigma * n_sigma * norm * norm)
    for first in range(0, n_rows, BAND):
        _load_band(image, mask, bad_bits, first - 1 - half, band)
        _smooth_band(band, profile, column, smooth)
        for r in range(1, min(BAND, n_rows - first) + 1):
            y = first + r - 1
            for x in range(1, n_columns - 1):
                value = smooth[r, x]
                rises = value > smooth[r, x - 1] and value >= smooth[r, x + 1] and value > np.float32(0.0)
                candidate[x] = rises and value * value > limit * variance[y, x]
            for x in range(1, n_columns - 1):
                if not candidate[x] or not variance[y, x] > 0.0 or (mask[y, x] & bad_bits) != 0:
                    continue
                value = smooth[r, x]
                highest = True
                for dx in range(-1, 2):
                    highest = highest and value > smooth[r - 1, x + dx] and value >= smooth[r + 1, x + dx]
                if not highest:
                    continue
                found[n, 0], found[n, 1] = y, x
                found[n, 2] = value / (norm * np.sqrt(np.float64(variance[y, x])))
                n += 1
    return n


def find_maxima(
    image: Float32Array,
    *,
    mask: MaskArray,
    variance: Float32Array,
    bad_bits: int,
    sigma: float,
    n_sigma: float = 5.0,
) -> Maxima:
    """Local maxima of an image smoothed by a Gaussian.

    Parameters
    ----------
    image
        Background-subtracted, shape (rows, columns).
    mask, variance
        Same shape; the variance at the peak sets the noise, taken as white.
    bad_bits
        Mask bits whose pixels are left out of the smoothing and cannot be a peak.
    sigma
        Width of the Gaussian in pixels.
    n_sigma
        Threshold in units of the smoothed image's noise, sqrt(V Σ g²) for the 2-D Gaussian g.

    Returns
    -------
    Maxima
        Brightest first. The outermost columns hold no maximum.
    """
    profile = gaussian_profile(sigma)
    # no two neighbours are both maxima: there is room for one in every square of four pixels
    found = np.empty((((image.shape[0] + 1) // 2) * ((image.shape[1] + 1) // 2), 3))
    n = smoothed_maxima(image, mask, variance, int(bad_bits), profile, float(n_sigma), found)
    found = found[np.argsort(-found[:n, 2], kind="stable")]
    return Maxima(found[:, 0].astype(np.int64), found[:, 1].astype(np.int64), found[:, 2].copy())
