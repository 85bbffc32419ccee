"""What the subtraction left at stars that should have vanished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images import UNUSABLE_DIFFERENCE, MaskedImage, Psf
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics.arrays import BoolArray, FloatArray

AT_MOST = 800
"""Stars looked at; where there are more, every n-th in order of brightness."""
_LEAST_SIGNAL_TO_NOISE = 20.0
_LEAST_SHARE = 0.5
"""Of a star's footprint that must be usable: the rest of a star tells nothing of how well all of it vanished."""
_CHUNK = 100


@dataclass(frozen=True, slots=True, eq=False)
class StarResiduals:
    """Residuals at isolated, unsaturated stars, brightest first, one array entry each.

    Attributes
    ----------
    x, y
        Position, parent pixel coordinates.
    flux
        On the science image, in its unit.
    reduced_chi2
        Mean of difference²/variance over the usable pixels of the star's footprint; 1 if only noise is left.
    residual_fraction
        Sum of the difference over the footprint, over the star's flux.
    residual_fraction_err
        Its error from the variance plane.
    n_pixels
        Usable pixels of the footprint.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    reduced_chi2: FloatArray
    residual_fraction: FloatArray
    residual_fraction_err: FloatArray
    n_pixels: FloatArray

    def __len__(self) -> int:
        return len(self.x)


def star_residuals(difference: MaskedImage, stars: StarList, psf: Psf, *, at_most: int = AT_MOST) -> StarResiduals:
    """Residuals in the circle in which a star stands above the sky noise.

    Parameters
    ----------
    difference
        Pixels and variance.
    stars
        Of the science image; those that are isolated, unsaturated and well above the noise are taken, if the
        difference is usable at their centre and on at least half of their footprint.
    psf
        Of the difference, the wider of the two images': with the flux it gives the radius of the footprint.
    at_most
        Number of stars.
    """
    box = difference.box
    sigma_px = psf.sigma_at(x=box.x_center, y=box.y_center)
    chosen = _chosen(stars, difference, margin=int(4 * SIGMA_TO_FWHM * sigma_px))
    chosen = chosen.select(np.arange(len(chosen))[:: max(1, -(-len(chosen) // at_most))])
    noise = float(np.sqrt(np.median(difference.variance[::16, ::16])))
    radius = footprint_radius(chosen.flux, noise=noise, sigma_px=sigma_px)
    columns = [
        _residuals(difference, chosen.select(slice_), radius[slice_])
        for first in range(0, len(chosen), _CHUNK)
        for slice_ in [np.arange(first, min(first + _CHUNK, len(chosen)))]
    ]
    chi2, total, error, n, share = np.concatenate(columns, axis=1) if columns else np.empty((5, 0))
    whole = share >= _LEAST_SHARE
    chosen, chi2, total, error, n = chosen.select(whole), chi2[whole], total[whole], error[whole], n[whole]
    return StarResiduals(chosen.x, chosen.y, chosen.flux, chi2, total / chosen.flux, error / chosen.flux, n)


def footprint_radius(flux: FloatArray, *, noise: float, sigma_px: float) -> FloatArray:
    """Radius in pixels at which a Gaussian star falls to the noise of a pixel, between 1 and 3 FWHM."""
    peak = flux / (2.0 * np.pi * sigma_px**2)
    radius = sigma_px * np.sqrt(2.0 * np.log(np.maximum(peak / noise, 1.0)))
    fwhm = SIGMA_TO_FWHM * sigma_px
    return np.asarray(np.clip(radius, fwhm, 3.0 * fwhm), dtype=np.float64)


def _chosen(stars: StarList, difference: MaskedImage, *, margin: int) -> StarList:
    """Stars fit for the test, brightest first."""
    inner = difference.box.dilated(-margin)
    good = stars.is_star & ~stars.is_saturated & stars.is_isolated
    good &= stars.flux > _LEAST_SIGNAL_TO_NOISE * stars.flux_err
    good &= (stars.x >= inner.x0) & (stars.x < inner.x1) & (stars.y >= inner.y0) & (stars.y < inner.y1)
    index = np.flatnonzero(good)
    return stars.select(index[np.argsort(-stars.flux[index], kind="stable")])


def _residuals(difference: MaskedImage, stars: StarList, radius: FloatArray) -> FloatArray:
    """Reduced χ², sum, error of the sum, pixels, share of the circle (0 with the centre lost): shape (5, n)."""
    half = int(np.ceil(radius.max()))
    offset = np.arange(-half, half + 1)
    column, row = np.floor(stars.x + 0.5).astype(np.intp), np.floor(stars.y + 0.5).astype(np.intp)
    x, y = column[:, None, None] + offset[None, None, :], row[:, None, None] + offset[None, :, None]
    r2 = (x - stars.x[:, None, None]) ** 2 + (y - stars.y[:, None, None]) ** 2
    at = (y - difference.box.y0, x - difference.box.x0)
    value, variance = difference.image[at].astype(np.float64), difference.variance[at].astype(np.float64)
    circle: BoolArray = r2 <= radius[:, None, None] ** 2
    good: BoolArray = (
        circle & np.isfinite(value) & (variance > 0) & ((difference.mask[at] & np.int32(int(UNUSABLE_DIFFERENCE))) == 0)
    )
    value, variance = np.where(good, value, 0.0), np.where(good, variance, 1.0)
    n = good.sum(axis=(1, 2)).astype(np.float64)
    chi2 = (value**2 / variance).sum(axis=(1, 2)) / np.where(n > 0, n, np.nan)
    share = np.where(good[:, half, half], n / circle.sum(axis=(1, 2)), 0.0)
    error = np.sqrt(np.where(good, variance, 0.0).sum(axis=(1, 2)))
    return np.stack([chi2, value.sum(axis=(1, 2)), error, n, share])
