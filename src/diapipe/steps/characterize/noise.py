"""The noise as the pixels show it: how large, and whether neighbours share it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics import noise
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray

@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseCorrelation:
    """How the noise is told from what lies under it.

    Attributes
    ----------
    at_most_pixels
        About as many source-free pixels are used.
    clip_sigma
        Pixels farther from the sky than this are not noise.
    crowding_limit
        Share of the covariance at lag 0 that may be unresolved sources before correlation is no longer measured.
    least_correlation, significance
        A correlation is believed where it exceeds both this and so many times its own error.
    """

    at_most_pixels: int = 250_000
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
        Of a pixel, in the squared unit of what was measured.
    correlation
        Autocorrelation, shape (9, 9), or None for white noise.
    confusion
        Share of the scatter that is unresolved sources and not noise.
    """

    variance: float
    correlation: FloatArray | None
    confusion: float


def measure_noise(
    residual: Float32Array, source_free: BoolArray, *, psf_sigma: float, options: NoiseCorrelation
) -> SkyNoise:
    """Variance and correlation of the noise between the sources.

    The covariance of source-free pixels has two parts: noise, which resampling spreads over a few pixels along rows and
    columns, and faint sources, which are as wide as the PSF in all directions. The second is fitted where the first is absent,
    off the axes at two pixels and more, as C exp(-r² / 4 sigma²) plus a constant for the residual sky, and taken off. Where it
    dominates, as in crowded fields, only the variance is measured, from fourth differences, to which what is smooth over five
    pixels does not contribute; the noise then counts as white.

    Parameters
    ----------
    residual
        Pixels less the sky, shape (rows, columns).
    source_free
        Usable pixels outside detected sources.
    psf_sigma
        Width of the PSF in pixels.
    """
    clipped, good = _clipped(residual, source_free, options)
    reach = 8
    covariance = noise.pixel_covariance(clipped, good, reach=reach, at_most=options.at_most_pixels)
    total = float(covariance.values[reach, reach])
    smooth = _smooth_part(covariance, psf_sigma)
    inner = np.s_[reach - 4 : reach + 5, reach - 4 : reach + 5]
    confusion = float(np.clip(smooth[reach, reach] / total, 0.0, 1.0)) if total > 0 else 0.0
    if confusion > options.crowding_limit:
        variance = noise.white_variance(clipped, good, at_most=options.at_most_pixels)
        return SkyNoise(variance, None, 1.0 - variance / total)
    of_noise = (covariance.values - smooth)[inner]
    variance = float(of_noise[4, 4])
    correlation = of_noise / variance
    beside = correlation.copy()
    beside[4, 4] = 0.0
    limit = max(options.least_correlation, options.significance / np.sqrt(max(int(covariance.pairs.max()), 1)))
    is_correlated = float(np.abs(beside[3:6, 3:6]).max()) > limit
    return SkyNoise(variance, _tapered(correlation, limit) if is_correlated else None, confusion)


def _clipped(
    residual: Float32Array, source_free: BoolArray, options: NoiseCorrelation
) -> tuple[Float32Array, BoolArray]:
    """Residual with everything that is not noise set to 0, and what is left as good."""
    step = max(1, residual.size // 200_000)
    sample = residual.ravel()[::step][source_free.ravel()[::step]]
    if len(sample) == 0:
        return np.zeros_like(residual), source_free
    low, centre, _ = np.percentile(sample, [15.87, 50.0, 84.13])
    half = options.clip_sigma * (centre - low)
    good = source_free & (np.abs(residual - np.float32(centre)) <= half)
    return np.where(good, residual, np.float32(0.0)), good


def _smooth_part(covariance: noise.Covariance, psf_sigma: float) -> FloatArray:
    """Covariance from faint sources and residual sky at all lags; same shape as the covariance."""
    reach = covariance.values.shape[0] // 2
    lag = np.arange(-reach, reach + 1)
    dy, dx = np.abs(lag)[:, None], np.abs(lag)[None, :]
    sources = np.exp(-(dx**2 + dy**2) / (4.0 * psf_sigma**2))
    outside = ((np.minimum(dx, dy) >= 2) | (np.maximum(dx, dy) > 5)) & (covariance.pairs > 0)
    if not outside.any():
        return np.zeros_like(covariance.values)
    design = np.stack([sources[outside], np.ones(int(outside.sum()))], axis=1)
    (height, level), *_ = np.linalg.lstsq(design, covariance.values[outside], rcond=None)
    return np.asarray(max(height, 0.0) * sources + level)


def _tapered(correlation: FloatArray, limit: float) -> FloatArray:
    """Correlation with what is not significant set to 0."""
    kept = np.where(np.abs(correlation) > 0.5 * limit, correlation, 0.0)
    kept[4, 4] = 1.0
    return kept
