"""Noise of a finished difference beyond what its inputs claim: where stars have gone, the sky can be looked at.

In a crowded field no pixel of the inputs is free of stars, so their noise cannot be checked there; on the difference it
can. Two things show: pixels that scatter more than claimed, and what the faint stars leave behind, which is as wide as
the PSF and adds little to a pixel but much to the flux of a source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics import noise
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.stats import robust_sigma, thinned

TILE_PX = 64
TILES_PER_SIDE = 12
"""Large images are sampled by a square grid of at most so many tiles. Medians over the tiles count: what is left beside
a few saturated stars and along an edge is not what noise there is elsewhere.
"""

LEAST_TILES = 4
LEAST_GOOD = 0.5
"""Part of a tile that must be usable."""

CLIP = 4.0
"""Pixels farther out than this many robust sigma are sources, residuals or defects."""

REACH_SIGMAS = 3.0
"""The correlation is measured up to this distance, in sigma of the PSF, where it has fallen to a tenth."""

NEAREST_PX = 2
"""From this lag on: what whitening leaves between neighbours is not as wide as the PSF."""

SIGNIFICANT = 3.0
"""Errors, as of white noise, that an excess must have: that residuals scatter from tile to tile makes none doubtful."""

VARIANCE_TOLERANCE = 0.03
"""A smaller relative excess of the pixels' variance is left alone."""

LEAST_FACTOR = 0.25
"""Where whitening has left a correlation it has multiplied the little that inputs have at high frequencies by up to 30,
and what they are said to have there is not certain: the pixels may scatter less than that, down to this factor."""

FLUX_TOLERANCE = 0.1
"""A smaller relative excess of the variance of PSF fluxes is left alone."""


@dataclass(frozen=True, slots=True, eq=False)
class ExcessNoise:
    """What the noise of a difference is in units of what was claimed.

    Attributes
    ----------
    variance_factor
        Factor for the variance of the pixels, at least 1 where it is white.
    correlation
        Autocorrelation of the noise, 1 at the centre, or None for white noise.
    """

    variance_factor: float
    correlation: FloatArray | None


def excess_noise(
    pixels: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bad_bits: int,
    *,
    psf_sigma_px: float,
    correlation: FloatArray | None = None,
) -> ExcessNoise:
    """Compare the scatter of the pixels with what their variance claims, alone and over the PSF.

    Parameters
    ----------
    pixels, mask, variance
        Of the difference, flattened; shape (rows, columns).
    bad_bits
        Planes whose pixels do not count.
    psf_sigma_px
        Width of its PSF.
    correlation
        Of its noise as the inputs make it, shape (n, n), n odd; None for white noise.

    Notes
    -----
    What faint sources leave has the autocorrelation of the PSF, exp(-r² / 4 sigma²) for a Gaussian; its amplitude C is
    fitted by least squares to the covariance between `NEAREST_PX` and `REACH_SIGMAS` in every tile. It multiplies the
    variance of PSF fluxes by 1 + 2 π C sigma².
    """
    reach = int(np.ceil(REACH_SIGMAS * psf_sigma_px))
    tiles, good = _tiles(pixels, mask, variance, bad_bits)
    if len(tiles) < LEAST_TILES or tiles.shape[1] < 4 * reach or tiles.shape[2] < 4 * reach:
        return ExcessNoise(1.0, correlation)
    lags = noise.half_plane(reach)
    distance = np.hypot(*lags.T)
    profile = np.exp(-((distance / (2.0 * psf_sigma_px)) ** 2))
    use = np.where((distance >= NEAREST_PX) & (distance <= REACH_SIGMAS * psf_sigma_px), profile, 0.0)
    expected = _at_lags(correlation, lags)
    totals, amplitudes = np.empty(len(tiles)), np.empty(len(tiles))
    of_total, of_amplitude = np.empty(len(tiles)), np.empty(len(tiles))
    for k in range(len(tiles)):
        covariance = noise.pixel_covariance(tiles[k : k + 1], good[k : k + 1], lags)
        weight = use * covariance.pairs
        totals[k] = covariance.values[distance == 0][0]
        amplitudes[k] = (weight @ (covariance.values - totals[k] * expected)) / (weight @ profile)
        of_total[k] = 2.0 / covariance.pairs[distance == 0][0]
        of_amplitude[k] = (use @ weight) / (weight @ profile) ** 2
    least = 1.0 if correlation is None else LEAST_FACTOR
    total, amplitude = max(float(np.median(totals)), least), float(np.median(amplitudes))
    factor = total if abs(total - 1.0) > max(VARIANCE_TOLERANCE, SIGNIFICANT * _error_of_median(of_total)) else 1.0
    on_fluxes = 2.0 * np.pi * psf_sigma_px**2 * amplitude / total
    if amplitude < SIGNIFICANT * total * _error_of_median(of_amplitude) or on_fluxes < FLUX_TOLERANCE:
        return ExcessNoise(factor, correlation)
    share = amplitude / total
    parts = [(share, _as_wide_as_psf(psf_sigma_px, reach)), (1.0 - share, correlation)]
    return ExcessNoise(factor, noise.mean_correlation(parts))


def _error_of_median(variances: FloatArray) -> float:
    """Standard error of the median of Gaussian values with these variances, about equal."""
    return float(np.sqrt(0.5 * np.pi * variances.mean() / len(variances)))


def _at_lags(correlation: FloatArray | None, lags: IntArray) -> FloatArray:
    """An autocorrelation at lags (n, 2) other than 0, where that of white noise is 0."""
    values = np.zeros(len(lags))
    if correlation is not None:
        half = len(correlation) // 2
        near = (np.abs(lags) <= half).all(axis=1)
        values[near] = correlation[tuple(half + lags[near].T)]
    return values


def _as_wide_as_psf(psf_sigma_px: float, reach: int) -> FloatArray:
    """The autocorrelation of noise that is as wide as the PSF; shape (2 reach + 1, 2 reach + 1)."""
    axis = np.exp(-((np.arange(-reach, reach + 1) / (2.0 * psf_sigma_px)) ** 2))
    return np.outer(axis, axis)


def _tiles(
    pixels: Float32Array, mask: MaskArray, variance: Float32Array, bad_bits: int
) -> tuple[Float32Array, BoolArray]:
    """Pixels in units of their noise, 0 where they do not count, and where they do; shape (n, rows, columns)."""
    cuts = [
        (slice(y, y + min(TILE_PX, pixels.shape[0])), slice(x, x + min(TILE_PX, pixels.shape[1])))
        for y in _starts(pixels.shape[0])
        for x in _starts(pixels.shape[1])
    ]
    values = np.stack([pixels[cut] for cut in cuts])
    units = np.stack([variance[cut] for cut in cuts])
    good = np.stack([(mask[cut] & np.int32(bad_bits)) == 0 for cut in cuts])
    good &= np.isfinite(values) & (units > 0) & (units < np.float32(np.inf))
    pull = np.where(good, values, np.float32(0.0)) / np.sqrt(np.where(good, units, np.float32(1.0)))
    scatter = robust_sigma(thinned(pull[good], 100_000)) if good.any() else 1.0
    good &= np.abs(pull) < np.float32(CLIP * max(scatter, 1.0))
    whole = good.mean(axis=(1, 2)) > LEAST_GOOD
    return np.where(good, pull, np.float32(0.0))[whole], good[whole]


def _starts(length: int) -> list[int]:
    """First pixels of the tiles along one axis."""
    n = min(TILES_PER_SIDE, max(1, length // TILE_PX))
    return np.linspace(0, max(0, length - TILE_PX), n).astype(int).tolist()
