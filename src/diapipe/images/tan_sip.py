"""TAN-SIP WCSs: fitted over a box to any mapping from pixels to the sky, or to stars that are known in both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS, Sip

from diapipe.errors import InputError, TooFewStarsError, counted
from diapipe.images.box import Box
from diapipe.images.fields import chebyshev_nodes
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.sip_polynomials import SipPolynomials, fit_sip_polynomials
from diapipe.numerics.sphere import from_tangent_plane, tangent_plane

type SkyMapping = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

HIGHEST_ORDER = 9
"""Of the SIP convention."""
MARGIN = 64
"""Pixels beyond the box over which the fit still holds: what is cut out may be looked at from outside."""
POINTS_PER_TERM = 2
"""A polynomial through stars is given this many for each of its terms, or a lower order."""
_CENTRINGS = 4
_LEAST_RMS = 1e-9


@dataclass(frozen=True, slots=True)
class SipFit:
    """A fitted WCS, its order, and the largest distance in pixels between it and the mapping."""

    wcs: WCS
    order: int
    worst_px: float


def fit_sip(mapping: SkyMapping, box: Box, *, tolerance_px: float = 1e-5, n_nodes: int = 40) -> SipFit:
    """Fit a TAN-SIP WCS (ICRS, 0-based parent pixels) to a mapping.

    Parameters
    ----------
    mapping
        From pixels (x, y) to right ascension and declination in degrees.
    box
        Region to be fitted, with a margin of `MARGIN` pixels.
    tolerance_px
        The order is raised until no node of a grid finer than the fit's is farther off, up to the 9 that SIP allows.
    n_nodes
        Nodes of the fit's grid along each axis.

    Raises
    ------
    InputError
        If the mapping is not finite over the box.

    Notes
    -----
    The tangent point is the middle of the box, so the polynomials have no constant.
    """
    region = box.dilated(MARGIN)
    centre = np.array([box.x_center, box.y_center])
    crval = np.concatenate(mapping(centre[:1], centre[1:]))
    u, v, plane = _sampled(mapping, region, centre, crval, n_nodes)
    fine_u, fine_v, fine_plane = _sampled(mapping, region, centre, crval, 2 * n_nodes + 1)
    if not np.isfinite(fine_plane).all():
        raise InputError(f"the mapping to the sky is not finite over {region}")
    for order in range(2, HIGHEST_ORDER + 1):
        found = fit_sip_polynomials(u, v, plane, order)
        miss = np.linalg.solve(found.cd, found.at(fine_u, fine_v) - fine_plane)
        worst = float(np.hypot(*miss).max())
        if worst < tolerance_px:
            break
    return SipFit(_wcs(centre, crval, found), order, worst)


@dataclass(frozen=True, slots=True, eq=False)
class StarSipFit:
    """A WCS fitted to stars.

    Attributes
    ----------
    wcs
        TAN-SIP, ICRS, for 0-based parent pixels.
    order
        Of its polynomials.
    kept
        Stars that were not rejected, shape (n,).
    east_arcsec, north_arcsec
        Given place of each star less the fitted one, on the sky, shape (n,).
    rms_arcsec
        Root mean square distance of those kept.
    """

    wcs: WCS
    order: int
    kept: BoolArray
    east_arcsec: FloatArray
    north_arcsec: FloatArray
    rms_arcsec: float


def fit_sip_to_stars(
    x: FloatArray,
    y: FloatArray,
    ra: FloatArray,
    dec: FloatArray,
    *,
    order: int,
    sigma: FloatArray | None = None,
    n_iter: int = 3,
    reject_sigma: float = 3.0,
) -> StarSipFit:
    """Fit a TAN-SIP WCS to stars of known pixel and sky positions.

    Parameters
    ----------
    x, y
        0-based parent pixels, shape (n,).
    ra, dec
        ICRS, degrees.
    order
        Of the polynomials; lower where there are fewer than two stars a term.
    sigma
        Relative errors of the positions; None for equal ones.
    n_iter
        Fits after which stars may be rejected.
    reject_sigma
        A star is kept while its distance over its error is below this, in units of the root mean square of all kept.

    Raises
    ------
    TooFewStarsError
        If there are fewer than three stars.
    """
    if len(x) < 3:
        raise TooFewStarsError(f"{counted(len(x), 'star')} cannot fix a WCS; 3 are needed", found=len(x), needed=3)
    error = np.ones(len(x)) if sigma is None else sigma
    kept = np.ones(len(x), np.bool_)
    wcs, used, east, north = _through_stars(x, y, ra, dec, error, kept, order)
    for _ in range(n_iter):
        distance = np.hypot(east, north) / error
        scatter = max(float(np.sqrt((distance[kept] ** 2).mean())), _LEAST_RMS)
        now = kept & (distance < reject_sigma * scatter)
        if (now == kept).all() or now.sum() < 3:
            break
        kept = now
        wcs, used, east, north = _through_stars(x, y, ra, dec, error, kept, order)
    rms = float(np.sqrt((east[kept] ** 2 + north[kept] ** 2).mean()))
    return StarSipFit(wcs, used, kept, east, north, rms)


def _through_stars(
    x: FloatArray, y: FloatArray, ra: FloatArray, dec: FloatArray, error: FloatArray, kept: BoolArray, order: int
) -> tuple[WCS, int, FloatArray, FloatArray]:
    """WCS through the stars kept, its order, and by how much all lie east and north of it, arcsec.

    The tangent point follows the fitted place of the reference pixel until the constant has gone.
    """
    while order > 1 and POINTS_PER_TERM * n_terms(order) > kept.sum():
        order -= 1
    centre = np.array([np.median(x[kept]), np.median(y[kept])])
    nearest = int(np.argmin(np.where(kept, np.hypot(x - centre[0], y - centre[1]), np.inf)))
    crval = np.array([ra[nearest], dec[nearest]])
    u, v = x - centre[0], y - centre[1]
    for _ in range(_CENTRINGS):
        plane = tangent_plane(ra, dec, crval)
        found = fit_sip_polynomials(
            u[kept], v[kept], plane[:, kept], order, with_constant=True, weight=1.0 / error[kept] ** 2
        )
        last, crval = crval, from_tangent_plane(found.constant, crval)
    east, north = 3600.0 * (tangent_plane(ra, dec, last) - found.at(u, v))
    return _wcs(centre, crval, found), order, east, north


def _sampled(
    mapping: SkyMapping, region: Box, centre: FloatArray, crval: FloatArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Offsets from the centre and tangent-plane coordinates (degrees) on a grid of Chebyshev nodes, flattened."""
    x, y = chebyshev_nodes(region, n)
    ra, dec = mapping(x, y)
    return x - centre[0], y - centre[1], tangent_plane(ra, dec, crval)


def _wcs(centre: FloatArray, crval: FloatArray, found: SipPolynomials) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = crval, centre + 1.0, found.cd
    wcs.sip = Sip(found.a, found.b, None, None, centre + 1.0)
    wcs.wcs.set()
    return wcs
