"""What a difference leaves of light that does not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images import Difference, Psf
from diapipe.numerics.excess import excess_variance
from diapipe.steps.force.force import force_on_pixels
from diapipe.steps.force.options import Force

_MAX_STARS = 500
"""Of more the brightest are taken: they tell the most."""

_CHANGED = 0.5
"""What leaves more of itself is new on the science image, or varies: no match leaves so much of a star."""

_CLIP_SIGMA = 2.0
"""A tenth of the stars, the brightest, may be left with many times what the others are: each visit of a template
saturates its own, and where some do the others make the coadd, with their PSFs.
"""

_ALONE = Force(together_fwhm=0.0, correct_apertures=False)


def with_static_error(difference: Difference, stars: StarList) -> Difference:
    """The difference with `Difference.static_error`, from its stars, most of which do not vary.

    What is new is among the stars of the science image, and does not count.

    Parameters
    ----------
    difference
        With its PSF; one without is returned as it is.
    stars
        Of the science image, in its counts; those that are isolated and not saturated count.

    Notes
    -----
    A kernel that few stars made, or that varies less over the image than the PSFs do, leaves half a percent to two of
    every star: not much beside the noise of a pixel, but many times that of a bright star's PSF flux. The error f of
    the match, on the other hand, is in the variance as if it differed from pixel to pixel, and adds (f F)² ΣP⁴ / (ΣP²)²
    to that of a star's flux; where it alternates, fluxes feel little of it. By so much at most the stars may say less.
    What the kernel leaves is divided by how uncertain it is at each star (`Difference.static_error_at`) and then told.
    """
    exposure = difference.exposure
    if exposure.psf is None:
        return difference
    chosen = np.flatnonzero(stars.is_star & stars.is_isolated & ~stars.is_saturated & (stars.flux > 0.0))[:_MAX_STARS]
    found = force_on_pixels(replace(exposure, photo_calib=None), x=stars.x[chosen], y=stars.y[chosen], options=_ALONE)
    flux = stars.flux[chosen]
    left, error = found["psfFlux"] / flux, found["psfFluxErr"] / flux
    good = ~(found["psfFlux_flag"] | found["dp_badPixel"]) & (np.abs(left) < _CHANGED)
    least = -_of_match(difference, exposure.psf)
    square = excess_variance(left[good], error[good], least=least, clip_sigma=_CLIP_SIGMA)
    if square > 0.0:
        growth = np.sqrt(difference.kernel.leverage_at(x=stars.x[chosen], y=stars.y[chosen]))[good]
        shared = excess_variance(left[good] / growth, error[good] / growth, least=least, clip_sigma=_CLIP_SIGMA)
        square = max(shared, 0.0)
    return replace(difference, static_error=float(np.copysign(np.sqrt(abs(square)), square)))


def _of_match(difference: Difference, psf: Psf) -> float:
    """What the error of the match adds to the variance of a star's flux, in units of that squared."""
    squares = psf.kernel_image(x=difference.box.x_center, y=difference.box.y_center) ** 2
    return float(difference.relative_error**2 * (squares**2).sum() / squares.sum() ** 2)
