"""Registration by a new WCS of the template: a TAN-SIP fitted to stars of the two images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from astropy.wcs import WCS

from diapipe.catalogs.matching import match_sky
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError, TooFewStarsError
from diapipe.images import Exposure
from diapipe.images.sky import icrs_of, pixel_scale_deg
from diapipe.images.tan_sip import fit_sip_to_stars
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.stats import median, robust_sigma
from diapipe.steps.limits import Limited
from diapipe.steps.template.registration import Register, star_pairs

_MATCHING_ORDER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSip(Limited):
    """How the stars are matched and the WCS fitted.

    Attributes
    ----------
    sip_order
        Of the polynomials (templateSipOrder); lower where stars are few.
    match_radius_arcsec
        Farthest that a matched star may lie from where a smooth displacement puts it (matchRadius).
    n_iter
        Fits after which stars are rejected (sipIter).
    reject_sigma
        Stars farther off than this, over the root mean square of all, are rejected (sipRej).
    stars
        Which stars are matched, and over what shift of a wrong WCS.
    """

    sip_order: int = 2
    match_radius_arcsec: float = 1.0
    n_iter: int = 3
    reject_sigma: float = 3.0
    stars: Register = field(default_factory=Register)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SipRegistration:
    """The template's WCS as the stars say, and what they leave.

    Attributes
    ----------
    wcs
        TAN-SIP in ICRS, for the template's 0-based parent pixels.
    sip_order
        Of its polynomials.
    ra, dec
        Places of the matched stars by the science image, ICRS, degrees.
    east_arcsec, north_arcsec
        Science place of each less that by the new WCS.
    kept
        Stars that were not rejected.
    rms_arcsec
        Root mean square distance of those kept.
    """

    wcs: WCS
    sip_order: int
    ra: FloatArray
    dec: FloatArray
    east_arcsec: FloatArray
    north_arcsec: FloatArray
    kept: BoolArray
    rms_arcsec: float

    @property
    def n_matched(self) -> int:
        """Stars that both images have."""
        return len(self.kept)

    @property
    def n_kept(self) -> int:
        """Stars that the WCS was fitted to."""
        return int(self.kept.sum())

    def applied(self, template: Exposure) -> Exposure:
        """The template with the new WCS; the one given keeps its own."""
        return replace(template, wcs=self.wcs)


def register_sip(
    science_stars: StarList,
    template_stars: StarList,
    *,
    science: Exposure,
    template: Exposure,
    options: RegisterSip | None = None,
) -> SipRegistration:
    """Fit a WCS of the template to the stars, as the science image places them on the sky.

    The stars are matched as `register` does it: a vote of all pairs sees through a shift of tens of pixels, rounds of
    growing order and falling radius through rotation, scale and distortion. The default of the two-image flow,
    displacement fields, follows any distortion and weighs whether it is significant; this one leaves a WCS, which can
    be written.

    Parameters
    ----------
    science_stars, template_stars
        Sources of the two images, brightest first, each in its own parent pixels.
    science, template
        Boxes, WCSs and PSFs are used, the pixels are not.
    options
        How to match and to fit.

    Raises
    ------
    InputError
        If an image has no WCS.
    TooFewStarsError
        If fewer than three stars match.
    """
    options = options or RegisterSip()
    for image in (science, template):
        if image.wcs is None:
            raise InputError(f"{image.name} has no WCS; both images need one for the template's to be fitted")
    radius_px = options.match_radius_arcsec / (3600.0 * pixel_scale_deg(template.wcs))
    matching = replace(
        options.stars, match_radius_px=radius_px, max_order=min(options.stars.max_order, _MATCHING_ORDER)
    )
    pairs = star_pairs(science_stars, template_stars, science=science, template=template, options=matching)
    if len(pairs.science) < 3:
        raise TooFewStarsError(
            f"{len(pairs.science)} stars of {template.name} match those of {science.name} within "
            f"{options.match_radius_arcsec:g} arcsec; 3 are needed to fit a WCS",
            found=len(pairs.science),
            needed=3,
        )
    ra, dec = icrs_of(science.wcs, pairs.science.x, pairs.science.y)
    fit = fit_sip_to_stars(
        pairs.template.x,
        pairs.template.y,
        ra,
        dec,
        order=options.sip_order,
        sigma=pairs.sigma_px,
        n_iter=options.n_iter,
        reject_sigma=options.reject_sigma,
    )
    return SipRegistration(
        wcs=fit.wcs,
        sip_order=fit.order,
        ra=ra,
        dec=dec,
        east_arcsec=fit.east_arcsec,
        north_arcsec=fit.north_arcsec,
        kept=fit.kept,
        rms_arcsec=fit.rms_arcsec,
    )


class ColourOffset(NamedTuple):
    """Residual of the stars of one class of colour, arcsec: median and 0.7413 IQR along the sky; NaN without stars."""

    n: int
    east_median: float
    east_sigma: float
    north_median: float
    north_sigma: float


def offsets_by_colour(
    registration: SipRegistration,
    reference: ReferenceList,
    *,
    min_g_r_mag: float,
    max_g_r_mag: float,
    radius_arcsec: float = 1.0,
) -> dict[str, ColourOffset]:
    """What the registration leaves for blue, green and red stars: refraction in the air shows there first.

    Parameters
    ----------
    registration
        From `register_sip`; all matched stars count.
    reference
        Catalogue that knows their colours.
    min_g_r_mag, max_g_r_mag
        Blue stars have a smaller g - r than the first, red ones a larger than the second.
    radius_arcsec
        Largest distance of a catalogue entry.
    """
    pairs = match_sky(registration, reference, radius_arcsec=radius_arcsec, keep="nearest")
    colour = reference.colour("g", "r")[pairs.second]
    classes = {
        "blue": colour < min_g_r_mag,
        "green": (colour >= min_g_r_mag) & (colour <= max_g_r_mag),
        "red": colour > max_g_r_mag,
    }
    east, north = registration.east_arcsec[pairs.first], registration.north_arcsec[pairs.first]
    return {name: _offset(east[which], north[which]) for name, which in classes.items()}


def _offset(east: FloatArray, north: FloatArray) -> ColourOffset:
    """Median and scatter along both directions."""
    return ColourOffset(len(east), median(east), robust_sigma(east), median(north), robust_sigma(north))
