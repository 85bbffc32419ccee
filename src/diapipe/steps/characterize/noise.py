"""The noise as the pixels show it: how large, and whether neighbours share it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics import noise
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.steps.limits import Limited

REACH = 4
"""Largest lag of a noise correlation along either axis: resampling reaches no farther."""

FAR_LAGS = np.array(
    [(0, 6), (0, 8), (6, 0), (8, 0), (4, 7), (4, -7), (7, 4), (7, -4), (6, 6), (6, -6), (8, 8), (8, -8)]
)
"""Lags beyond the noise's own reach, which show what faint sources and residual sky add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCorrelation(Limited):
    """How the noise is told from what lies under it.

    Attributes
    ----------
    tile_pixels, n_tiles
        Large images are sampled by a square grid of at most so many tiles of this side.
    clip_sigma
        Pixels farther from the sky than this are not noise.
    crowding_limit
        Share of the covariance at lag 0 that may be unresolved sources before correlation is no longer measured.
    least_correlation, significance
        A correlation is believed where it exceeds both this and so many times its own error.
    """

    may_be_zero = ("crowding_limit", "least_correlation", "significance")

    tile_pixels: int = 128
    n_tiles: int = 36
    clip_sigma: float = 4.0
    crowding_limit: float = 0.15
    least_correlation: float = 0.01
    significance: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class SkyNoise:
    """Noise of source-free pixels.

    Attributes
    ----------
    variance
        Of a pixel, in the squared unit of what was measured; NaN if there was nothing to measure it on.
    correlation
        Autocorrelation, shape (9, 9), or None for white noise.
    confusion
        Share of the scatter that is unresolved sources and not noise.
    """

    variance: float
    correlation: FloatArray | None
    confusion: float


def measure_noise(
    image: Float32Array,
    source_free: BoolArray,
    *,
    variance: Float32Array | None = None,
    psf_sigma: float,
    options: NoiseCorrelation,
) -> SkyNoise:
    """Variance and correlation of the noise between the sources.

    The covariance of source-free pixels has two parts: noise, which resampling spreads over a few pixels along rows and
    columns, and faint sources, which are as wide as the PSF in all directions. The second is fitted where the first is
    absent, off the axes at two pixels and more, as C exp(-r² / 4 sigma²) plus a constant for the residual sky, and
    taken off. Where it dominates, as in crowded fields, only the variance is measured, from fourth differences, to
    which what is smooth over five pixels does not contribute; the noise then counts as white.

    Parameters
    ----------
    image
        Pixels less the sky, shape (rows, columns).
    source_free
        Usable pixels outside detected sources.
    variance
        Plane in whose units the noise is wanted; None: in squared counts.
    psf_sigma
        Width of the PSF in pixels.
    options
        Sampling, clipping and thresholds.
    """
    tiles, good = _tiles(image, source_free, variance, options)
    if np.count_nonzero(good) < 100:
        return SkyNoise(float("nan"), None, 0.0)
    covariance = noise.pixel_covariance(tiles, good, np.concatenate([noise.half_plane(REACH), FAR_LAGS]))
    total = float(covariance.values[0])
    smooth = _smooth_part(covariance, psf_sigma)
    confusion = float(np.clip(smooth[0] / total, 0.0, 1.0)) if total > 0 else 0.0
    if confusion > options.crowding_limit:
        white = noise.white_variance(tiles, good)
        return SkyNoise(white, None, float(np.clip(1.0 - white / total, 0.0, 1.0)))
    of_noise = covariance.values - smooth
    return SkyNoise(float(of_noise[0]), _correlation(covariance, of_noise, options), confusion)


def _tiles(
    image: Float32Array, source_free: BoolArray, variance: Float32Array | None, options: NoiseCorrelation
) -> tuple[Float32Array, BoolArray]:
    """Sample of the image, 0 where it is not noise, and where it is; shapes (n, rows, columns)."""
    side, per_axis = options.tile_pixels, int(np.sqrt(options.n_tiles))
    if min(image.shape) <= side * per_axis:
        cuts = [np.s_[:, :]]
    else:
        starts = [np.linspace(0, length - side, per_axis).astype(int) for length in image.shape]
        cuts = [np.s_[y : y + side, x : x + side] for y in starts[0] for x in starts[1]]
    tiles, good = np.stack([image[cut] for cut in cuts]), np.stack([source_free[cut] for cut in cuts])
    if variance is not None:
        units = np.stack([variance[cut] for cut in cuts])
        good &= (units > 0) & (units < np.float32(np.inf))
        tiles = np.asarray(tiles / np.sqrt(np.where(good, units, np.float32(1.0))), dtype=np.float32)
    values = tiles[good]
    if len(values):
        low, centre = np.percentile(values, [15.87, 50.0])
        good &= np.abs(tiles - np.float32(centre)) <= np.float32(options.clip_sigma * (centre - low))
    return np.where(good, tiles, np.float32(0.0)), good


def _smooth_part(covariance: noise.Covariance, psf_sigma: float) -> FloatArray:
    """Covariance from faint sources and residual sky at each lag."""
    dy, dx = np.abs(covariance.lags).T
    sources = np.exp(-(dx**2 + dy**2) / (4.0 * psf_sigma**2))
    outside = _is_far(covariance)
    if outside.sum() < 4:
        return np.zeros_like(covariance.values)
    design = np.stack([sources[outside], np.ones(int(outside.sum()))], axis=1)
    (height, level), *_ = np.linalg.lstsq(design, covariance.values[outside], rcond=None)
    return np.asarray(max(height, 0.0) * sources + level, dtype=np.float64)


def _is_far(covariance: noise.Covariance) -> BoolArray:
    """Lags at which resampled noise has no covariance: off both axes by two pixels or more, or beyond its reach."""
    dy, dx = np.abs(covariance.lags).T
    return np.asarray(
        ((np.minimum(dx, dy) >= 2) | (np.maximum(dx, dy) > REACH)) & (covariance.pairs > 0), dtype=np.bool_
    )


def _correlation(covariance: noise.Covariance, of_noise: FloatArray, options: NoiseCorrelation) -> FloatArray | None:
    """Autocorrelation, shape (9, 9), with what is not significant set to 0; None if nothing is.

    The error of a correlation is taken from its scatter where there should be none. Off the axes a lag that is not
    significant takes the product of those along the axes, which resampling makes it: small as they are, these terms
    together decide how much noise is left at the highest frequencies, which whitening divides by.
    """
    scatter = max(float(np.std((of_noise / of_noise[0])[_is_far(covariance)])), 1.0 / np.sqrt(covariance.pairs.max()))
    limit = max(options.least_correlation, options.significance * scatter)
    image = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    for (dy, dx), value in zip(covariance.lags, of_noise / of_noise[0], strict=True):
        if max(abs(dy), abs(dx)) <= REACH and abs(value) > 0.5 * limit:
            image[REACH + dy, REACH + dx] = image[REACH - dy, REACH - dx] = value
    image = np.where(image == 0.0, np.outer(image[:, REACH], image[REACH]), image)
    beside = np.abs(image[REACH - 1 : REACH + 2, REACH - 1 : REACH + 2]).ravel()
    return image if np.delete(beside, 4).max() > limit else None
