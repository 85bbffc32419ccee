"""What a difference leaves of light that does not change, and the error that this makes of fluxes upon such light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images import Difference
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.excess import excess_scatter
from diapipe.steps.force.force import force_on_pixels
from diapipe.steps.force.options import Force

_MAX_STARS = 500
"""Of more the brightest are taken: they tell the most."""

_ALONE = Force(together_fwhm=0.0, correct_apertures=False)


def with_static_error(difference: Difference, stars: StarList) -> Difference:
    """The difference with `Difference.static_error`, from its stars, most of which do not vary.

    Parameters
    ----------
    difference
        With its PSF; one without is returned as it is.
    stars
        Of the science image, in its counts; those that are isolated and not saturated count.

    Notes
    -----
    A kernel that few stars made, or that varies less over the image than the PSFs do, leaves half a percent to two of
    every star: not much beside the noise of a pixel, but many times that of a bright star's PSF flux.
    """
    exposure = difference.exposure
    if exposure.psf is None:
        return difference
    chosen = np.flatnonzero(stars.is_star & stars.is_isolated & ~stars.is_saturated & (stars.flux > 0.0))[:_MAX_STARS]
    found = force_on_pixels(replace(exposure, photo_calib=None), x=stars.x[chosen], y=stars.y[chosen], options=_ALONE)
    good, flux = ~(found["psfFlux_flag"] | found["dp_badPixel"]), stars.flux[chosen]
    left, error = found["psfFlux"] / flux, found["psfFluxErr"] / flux
    return replace(difference, static_error=excess_scatter(left[good], error[good]))


def error_with_static_light(flux_err: FloatArray, *, static_flux: FloatArray, relative_error: float) -> FloatArray:
    """Errors of fluxes on a difference, with that of what is left of the light beneath.

    Parameters
    ----------
    flux_err
        Without it, shape (n,).
    static_flux
        PSF flux of the template at each place, in the same unit; NaN for unknown, which counts as none.
    relative_error
        `Difference.static_error`.
    """
    return np.asarray(np.hypot(flux_err, relative_error * np.nan_to_num(static_flux)))
