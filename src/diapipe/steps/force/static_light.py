"""What a difference leaves of light that does not change, and the error that this makes of fluxes upon such light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from diapipe.images import Exposure
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.excess import excess_scatter
from diapipe.steps.force.force import force_on_pixels
from diapipe.steps.force.options import Force

_DEFAULT = Force()


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticLight:
    """Light under the places of forced fluxes on a difference.

    Attributes
    ----------
    flux
        PSF flux of the template at each place, in the unit of the fluxes, shape (n,); NaN for unknown, which is none.
    relative_error
        Of what is left of it.
    """

    flux: FloatArray
    relative_error: float

    def error(self, flux_err: FloatArray) -> FloatArray:
        """Errors of fluxes with what is left of the light beneath, in squares."""
        return np.asarray(np.hypot(flux_err, self.relative_error * np.nan_to_num(self.flux)))


def left_of_stars(
    difference: Exposure, *, x: FloatArray, y: FloatArray, flux: FloatArray, options: Force = _DEFAULT
) -> float:
    """Relative error of what a difference leaves of static light, from its stars, most of which do not vary.

    Parameters
    ----------
    difference
        With its PSF.
    x, y, flux
        Isolated stars: parent coordinates, and their fluxes on the science image in the unit of its pixels.
    options
        How fluxes are forced; each star is measured alone.

    Returns
    -------
    float
        Scatter of the stars' fluxes on the difference over their own, about 0 and beyond the noise. A kernel that few
        stars made, or that varies less over the image than the PSFs do, leaves half a percent to two.
    """
    alone = replace(options, together_fwhm=0.0, aperture_radii_px=(), background=None, correct_apertures=False)
    found = force_on_pixels(replace(difference, photo_calib=None), x=x, y=y, options=alone)
    good = ~(found["psfFlux_flag"] | found["dp_badPixel"]) & (flux > 0.0)
    return excess_scatter(found["psfFlux"][good] / flux[good], found["psfFluxErr"][good] / flux[good])
