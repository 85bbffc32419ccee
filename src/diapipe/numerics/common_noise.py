"""Noise that two images share, as where one went into the other: from second differences, which see no stars."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.stats import robust_sigma

PIXELS_OF_ONE = 3.78
"""Second differences along both axes, (1, -2, 1) ⊗ (1, -2, 1), of white noise are correlated: so many count as one."""

LIGHT_PX = 5
"""Side of the squares whose means tell the dark pixels from those with light."""

CLIP_SIGMA = 4.0
"""Differences farther from zero are a defect or the core of a star."""

LEAST_PIXELS = 100
"""Fewer dark pixels tell nothing."""


class Correlation(NamedTuple):
    """Correlation of two images' noise and its standard error."""

    value: float
    error: float


def noise_correlation(first: Float32Array, second: Float32Array, good: BoolArray) -> Correlation:
    """Correlation of what varies from pixel to pixel in the dark parts of two images.

    Parameters
    ----------
    first, second
        Pixels on one grid, of one shape; not finite where they are not ``good``, if they like.
    good
        Pixels to use.

    Returns
    -------
    Correlation
        0 with an infinite error where fewer than a hundred pixels are dark in both.

    Notes
    -----
    A pixel is dark where the mean of the square around it lies below the median of all by 1 sigma, or above it by no
    more. That selects by the light of the sky's scale and says nothing of differences from pixel to pixel.
    """
    images = [np.where(good, image, np.float32(0.0)) for image in (first, second)]
    dark = np.asarray(ndimage.minimum_filter(good, LIGHT_PX, mode="constant", cval=False), dtype=np.bool_)
    for image in images:
        dark &= _is_dark(image, dark)
    inner = dark[1:-1, 1:-1]
    if inner.sum() < LEAST_PIXELS:
        return Correlation(0.0, np.inf)
    a, b = (_second_differences(image)[inner].astype(np.float64) for image in images)
    usual = (np.abs(a) <= CLIP_SIGMA * robust_sigma(a)) & (np.abs(b) <= CLIP_SIGMA * robust_sigma(b))
    a, b = a[usual], b[usual]
    power = float((a @ a) * (b @ b))
    if power <= 0.0:
        return Correlation(0.0, np.inf)
    return Correlation(float(a @ b / np.sqrt(power)), float(np.sqrt(PIXELS_OF_ONE / len(a))))


def _is_dark(image: Float32Array, among: BoolArray) -> BoolArray:
    """Pixels with no more light around them than the sky has."""
    if not among.any():
        return among
    level = ndimage.uniform_filter(image, LIGHT_PX)
    low, middle = np.percentile(level[among], [15.87, 50.0])
    return np.asarray(level <= 2.0 * middle - low, dtype=np.bool_)


def _second_differences(image: Float32Array) -> FloatArray:
    """(1, -2, 1) along both axes; shape (rows - 2, columns - 2)."""
    rows = image[:-2] - np.float32(2.0) * image[1:-1] + image[2:]
    return np.asarray(rows[:, :-2] - np.float32(2.0) * rows[:, 1:-1] + rows[:, 2:])
