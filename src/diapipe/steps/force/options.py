"""What can be chosen in forced photometry."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBackground(Limited):
    """The level around a place: mean of an annulus, clipped.

    Attributes
    ----------
    inner_fwhm, outer_fwhm
        Radii of the annulus in PSF FWHM: 7 and 15 sigma of a Gaussian.
    clip_sigma
        Pixels farther than this from the mean are left out, in units of their noise, three times over.
    is_subtracted
        Whether the level is taken off the fluxes, its error into theirs; otherwise it is only told.
    """

    inner_fwhm: float = 3.0
    outer_fwhm: float = 6.4
    clip_sigma: float = 3.0
    is_subtracted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Force(Limited):
    """Parameters of forced photometry.

    Attributes
    ----------
    stamp_fwhm
        Half-width of the stamps that the PSF is fitted on, in PSF FWHM; beyond 2 lie 1e-4 of the weight.
    together_fwhm
        Places nearer than this to each other, in PSF FWHM, are fitted together; at 0 each is fitted as if it were
        alone. Beyond 4 two stamps have no pixel in common.
    same_fwhm
        Places nearer than this, in PSF FWHM, count as one, and each has the flux of both: apart from each other their
        fluxes would have three times the error and more.
    aperture_radii_px
        Radii of circular apertures, pixels; empty for none.
    background
        The local background; None for none.
    correct_apertures
        Whether PSF fluxes are multiplied by the exposure's aperture correction.
    """

    may_be_zero = ("together_fwhm", "same_fwhm")

    stamp_fwhm: float = 2.0
    together_fwhm: float = 4.0
    same_fwhm: float = 0.2
    aperture_radii_px: tuple[float, ...] = ()
    background: LocalBackground | None = None
    correct_apertures: bool = True
