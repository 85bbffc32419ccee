"""Registration by a new WCS of the template: a TAN-SIP fitted to stars of the two images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from astropy.wcs import WCS

from diapipe.catalogs.matching import match_sky
from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError, TooFewStarsError
from diapipe.images import ChebyshevField, Exposure
from diapipe.images.fields import chebyshev_nodes, field_terms
from diapipe.images.sky import icrs_of, pixel_scale_deg, pixels_of_icrs
from diapipe.images.tan_sip import fit_sip_to_stars
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.registration import fall_significance
from diapipe.numerics.stats import median, robust_sigma
from diapipe.steps.template.mapping import template_positions
from diapipe.steps.template.registration import AbstractRegister, Register, Registration, star_pairs

_MATCHING_ORDER = 3
_DISPLACEMENT_ORDER = 6
"""Of the fields that stand for the difference of two WCSs: that of polynomials is one, but for the projection."""


SAME_STAR_ARCSEC = 0.2
"""A source and a registered star this near to each other are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSip(AbstractRegister):
    """A TAN-SIP WCS of the template, fitted to matched stars, of a given order.

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

    def registered(
        self, science_stars: StarList, template_stars: StarList, *, science: Exposure, template: Exposure
    ) -> Registration:
        """What the new WCS moves, as displacement fields; nothing where fewer than three stars match."""
        try:
            found = register_sip(science_stars, template_stars, science=science, template=template, options=self)
        except TooFewStarsError:
            still = ChebyshevField.constant(0.0, science.box)
            return Registration(displacement=(still, still))
        return found.as_displacement(science, template, options=self.stars)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SipRegistration:
    """The template's WCS as the stars say, and what they leave.

    Attributes
    ----------
    wcs
        TAN-SIP in ICRS, for the template's 0-based parent pixels.
    sip_order
        Of its polynomials.
    x, y
        Places of the matched stars on the template, parent pixels.
    ra, dec
        Their places by the science image, ICRS, degrees.
    east_arcsec, north_arcsec
        Science place of each less that by the new WCS.
    sigma_px
        Error per axis of each, in template pixels.
    kept
        Stars that were not rejected.
    rms_arcsec
        Root mean square distance of those kept.
    """

    wcs: WCS
    sip_order: int
    x: FloatArray
    y: FloatArray
    ra: FloatArray
    dec: FloatArray
    east_arcsec: FloatArray
    north_arcsec: FloatArray
    sigma_px: FloatArray
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

    def as_displacement(self, science: Exposure, template: Exposure, *, options: Register) -> Registration:
        """By how much the new WCS moves the template's pixels under those of the science image, if it matters.

        ``options`` say from where on it does.
        """
        before, after = (template_positions(science, image) for image in (template, self.applied(template)))
        x, y = chebyshev_nodes(science.box, 16)
        moved = np.stack(after.at(x=x, y=y)) - np.stack(before.at(x=x, y=y))
        terms = field_terms(science.box, _DISPLACEMENT_ORDER, x=x, y=y).T
        along_x, along_y = np.linalg.lstsq(terms, moved.T, rcond=None)[0].T
        place, sky = np.stack([self.x, self.y])[:, self.kept], (self.ra[self.kept], self.dec[self.kept])
        off, left = (place - np.stack(pixels_of_icrs(wcs, *sky)) for wcs in (template.wcs, self.wcs))
        weight = 1.0 / self.sigma_px[self.kept] ** 2
        significance = _significance(off, left, weight, 2 * n_terms(self.sip_order))
        rms = float(np.sqrt((moved**2).mean())) / before.scale
        return Registration(
            displacement=(ChebyshevField(along_x, science.box), ChebyshevField(along_y, science.box)),
            n_matched=self.n_kept,
            order=self.sip_order,
            rms_before_px=_rms(off, weight) / before.scale,
            rms_after_px=_rms(left, weight) / before.scale,
            significance=significance,
            is_significant=significance >= options.least_significance and rms >= options.least_displacement_px,
            rms_displacement_px=rms,
        )

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
        x=pairs.template.x,
        y=pairs.template.y,
        ra=ra,
        dec=dec,
        east_arcsec=fit.east_arcsec,
        north_arcsec=fit.north_arcsec,
        sigma_px=pairs.sigma_px,
        kept=fit.kept,
        rms_arcsec=fit.rms_arcsec,
    )


def _significance(before: FloatArray, after: FloatArray, weight: FloatArray, n_parameters: int) -> float:
    """Sigma of the fall of χ² from one set of residuals, shape (2, n), to another; 0 where nothing is left to tell.

    The errors are taken to be as large as the residuals say, where these exceed them.
    """
    n_left = before.size - n_parameters
    if n_left <= 0:
        return 0.0
    first, last = (float((weight * vectors**2).sum()) for vectors in (before, after))
    return fall_significance(max(first - last, 0.0) / max(last / n_left, 1.0), n_parameters)


def _rms(vectors: FloatArray, weight: FloatArray) -> float:
    """Weighted root mean square per axis of vectors, shape (2, n)."""
    return float(np.sqrt((weight * vectors**2).sum() / (2.0 * weight.sum())))


def residual_columns(registration: SipRegistration, sources: SourceList) -> dict[str, FloatArray]:
    """What the registration left at each source, for the table of kernel sources.

    ``RegisterRefPosition``: right ascension and declination by the science image, shape (n, 2);
    ``RegisterResidualBearing``: direction of the residual, from east towards north; ``RegisterResidualDistance``: its
    length; all in radians, NaN for a source that was not matched.
    """
    pairs = match_sky(sources, registration, radius_arcsec=SAME_STAR_ARCSEC, keep="nearest")
    position, bearing, distance = np.full((len(sources), 2), np.nan), *np.full((2, len(sources)), np.nan)
    east, north = registration.east_arcsec[pairs.second], registration.north_arcsec[pairs.second]
    position[pairs.first] = np.radians(np.stack([registration.ra, registration.dec], axis=1)[pairs.second])
    bearing[pairs.first] = np.arctan2(north, east)
    distance[pairs.first] = np.radians(np.hypot(east, north) / 3600.0)
    return {
        "RegisterRefPosition": position,
        "RegisterResidualBearing": bearing,
        "RegisterResidualDistance": distance,
    }


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
