"""Which sources are stars: one size, one shape, slowly changing over the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import spatial

from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics import polynomials
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.characterize.sources import Sources
from diapipe.steps.limits import Limited

LOCUS_WIDTH = 0.05
"""Sizes within this relative range of each other are one."""

LOCUS_STARS = 2.5
"""So many sources of one size are a crowd,"""

LOCUS_SHARE = 0.25
"""if they are this part of what there are at the most frequent size,"""

ENOUGH_SOURCES = 2000
"""Sources, the brightest, that tell the size: all pairs of them are compared."""

SMALLEST_SURE_SIZE_PX, HIT_SHARE = 0.85, 0.6
"""or this part where they are so sharp that they may be cosmic rays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarSelection(Limited):
    """How stars are told from galaxies, blends and hits.

    Attributes
    ----------
    min_snr
        Sources that define the locus and may become PSF stars.
    min_snr_star
        Fainter ones are not classified.
    size_range
        Determinant radii in pixels that a PSF can have.
    size_tolerance, shape_tolerance
        Half-width of the locus at infinite signal-to-noise: relative size, and ellipticity.
    neighbour_fraction
        A neighbour one FWHM away matters above this fraction of the flux; the limit grows as the distance cubed.
    """

    may_be_zero = ("min_snr", "min_snr_star", "size_range", "size_tolerance", "shape_tolerance", "neighbour_fraction")

    min_snr: float = 20.0
    min_snr_star: float = 8.0
    size_range: tuple[float, float] = (0.7, 12.0)
    size_tolerance: float = 0.04
    shape_tolerance: float = 0.05
    neighbour_fraction: float = 0.02


def half_sample_mode(values: FloatArray) -> float:
    """Mode of a sample: the densest half of the densest half, and so on (Bickel & Frühwirth 2006); NaN if empty."""
    ordered = np.sort(values)
    while len(ordered) > 3:
        n = (len(ordered) + 1) // 2
        widths = ordered[n - 1 :] - ordered[: len(ordered) - n + 1]
        first = int(np.argmin(widths))
        ordered = ordered[first : first + n]
    return float(np.median(ordered)) if len(ordered) else float("nan")


def typical_size(sources: Sources, *, options: StarSelection) -> tuple[float, int]:
    """Determinant radius of the stars in pixels, and the number of round, bright, unsaturated sources it was sought in.

    Nothing on the sky is sharper than a star: of all sizes at which sources crowd, stars have the smallest. Galaxies
    may outnumber them and have a mode of their own, so the most frequent size will not do.
    """
    low, high = np.log(options.size_range)
    usable = sources.is_measured & (sources.snr > options.min_snr) & (np.hypot(sources.e1, sources.e2) < 0.7)
    usable &= (sources.log_size > low) & (sources.log_size < high)
    # galaxies and blends only add to the large side: of many sources the brighter half has the sharper locus
    chosen = np.flatnonzero(usable)[: min(max(40, int(usable.sum()) // 2), ENOUGH_SOURCES)]
    return float(np.exp(_sharpest_mode(sources.log_size[chosen]))), int(usable.sum())


def _sharpest_mode(log_size: FloatArray) -> float:
    """The smallest size around which sources crowd as much as stars would; NaN if there are none."""
    if len(log_size) == 0:
        return float("nan")
    values = np.sort(log_size)
    distance = (values[:, None] - values) / LOCUS_WIDTH
    density = np.exp(-0.5 * distance**2).sum(axis=1)
    highest = np.where(np.abs(distance) < 2.0, density, 0.0).max(axis=1)
    share = np.where(values < np.log(SMALLEST_SURE_SIZE_PX), HIT_SHARE, LOCUS_SHARE)
    crowded = (density >= highest) & (density >= np.maximum(share * density.max(), min(LOCUS_STARS, density.max())))
    middle = values[crowded][0]
    return half_sample_mode(values[np.abs(values - middle) < 2.0 * LOCUS_WIDTH])


def is_star(sources: Sources, image_shape: tuple[int, int], *, size: float, options: StarSelection) -> BoolArray:
    """Which sources lie on the locus of stars.

    The locus starts at ``size`` and is refined three times: a polynomial of the position is fitted to size and
    ellipticity of the bright sources on it. Each source is allowed 2.5 of its own errors more than the tolerance (for a
    Gaussian profile the relative error of the size is 1 / S/N, that of an ellipticity twice as much).
    """
    snr = np.where(sources.is_measured, sources.snr, 0.0)
    u, v = 2.0 * sources.x / image_shape[1] - 1.0, 2.0 * sources.y / image_shape[0] - 1.0
    measured = np.stack([sources.log_size, sources.e1, sources.e2])
    on_locus = sources.is_measured & (np.abs(sources.log_size - np.log(size)) < 0.15)
    for shape in (sources.e1, sources.e2):
        bright = on_locus & (snr > options.min_snr)
        on_locus &= np.abs(shape - half_sample_mode(shape[bright])) < 0.2
    tolerance = np.array([options.size_tolerance, options.shape_tolerance, options.shape_tolerance])
    noise = np.array([1.0, 2.0, 2.0])[:, None] / np.maximum(snr, 1e-3)
    found = on_locus
    for _ in range(3):
        train = on_locus & (snr > options.min_snr)
        n = int(train.sum())
        if n < 3:
            break
        terms = polynomials.chebyshev_terms(u, v, 2 if n >= 60 else 1 if n >= 12 else 0)
        centre = _robust_fit(terms[:, train], measured[:, train]) @ terms
        width = np.hypot(tolerance[:, None], 2.5 * noise)
        found = (np.abs(measured - centre) < width).all(axis=0) & (snr > options.min_snr_star)
        on_locus = found
    return np.asarray(found, dtype=np.bool_)


def _robust_fit(terms: FloatArray, values: FloatArray) -> FloatArray:
    """Least-squares coefficients, shape (n_values, n_terms), with outliers clipped around the running fit twice."""
    coefficients = np.zeros((len(values), len(terms)))
    for k, row in enumerate(values):
        keep = np.abs(row - np.median(row)) < 0.3
        for _ in range(3):
            coefficients[k], *_ = np.linalg.lstsq(terms[:, keep].T, row[keep], rcond=None)
            residual = row - coefficients[k] @ terms
            spread = 1.4826 * np.median(np.abs(residual[keep]))
            keep = np.abs(residual) < max(3.0 * spread, 1e-4)
            if keep.sum() < 2 * len(terms):
                break
    return coefficients


def contamination(sources: Sources, *, size: float, reach: float, options: StarSelection) -> FloatArray:
    """How much the worst neighbour matters: its flux over what is allowed at its distance; below 1 if isolated.

    Parameters
    ----------
    sources
        All sources.
    size
        Determinant radius of a star in pixels.
    reach
        Neighbours farther than this, in pixels, are not looked at.
    options
        The fraction allowed.
    """
    worst = np.zeros(len(sources))
    if len(sources) < 2:
        return worst
    tree = spatial.cKDTree(np.stack([sources.x, sources.y], axis=1))
    pairs = tree.query_pairs(reach, output_type="ndarray")
    if len(pairs) == 0:
        return worst
    a, b = pairs[:, 0], pairs[:, 1]
    distance = np.hypot(sources.x[a] - sources.x[b], sources.y[a] - sources.y[b]) / (SIGMA_TO_FWHM * size)
    allowed = options.neighbour_fraction * distance**3
    flux = np.where(sources.is_saturated, np.maximum(sources.flux, np.nanmax(sources.flux)), sources.flux)
    np.maximum.at(worst, a, flux[b] / np.maximum(flux[a], 1e-30) / allowed)
    np.maximum.at(worst, b, flux[a] / np.maximum(flux[b], 1e-30) / allowed)
    return worst
