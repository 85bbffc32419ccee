"""Any mapping from pixels to the sky as a TAN-SIP WCS, fitted over a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS, Sip

from diapipe.errors import InputError
from diapipe.images.box import Box
from diapipe.numerics import polynomials
from diapipe.numerics.arrays import FloatArray

type SkyMapping = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

HIGHEST_ORDER = 9
"""Of the SIP convention."""
MARGIN = 64
"""Pixels beyond the box over which the fit still holds: what is cut out may be looked at from outside."""


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
    With the tangent point at the middle of the box, the plane coordinates are polynomials in the offset (u, v) from
    there without a constant: the linear terms are the CD matrix, CD⁻¹ times the others the SIP coefficients (Shupe et
    al. 2005, ASPC 347, 491).
    """
    region = box.dilated(MARGIN)
    centre = np.array([box.x_center, box.y_center])
    crval = np.concatenate(mapping(centre[:1], centre[1:]))
    u, v, plane = _sampled(mapping, region, centre, crval, n_nodes)
    fine_u, fine_v, fine_plane = _sampled(mapping, region, centre, crval, 2 * n_nodes + 1)
    if not np.isfinite(fine_plane).all():
        raise InputError(f"the mapping to the sky is not finite over {region}")
    for order in range(2, HIGHEST_ORDER + 1):
        cd, a, b = _coefficients(u, v, plane, order)
        model = cd @ np.stack([fine_u + _series(a, fine_u, fine_v), fine_v + _series(b, fine_u, fine_v)])
        worst = float(np.hypot(*np.linalg.solve(cd, model - fine_plane)).max())
        if worst < tolerance_px:
            break
    return SipFit(_wcs(centre, crval, cd, a, b), order, worst)


def _sampled(
    mapping: SkyMapping, region: Box, centre: FloatArray, crval: FloatArray, n: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Offsets from the centre and tangent-plane coordinates (degrees) on a grid of Chebyshev nodes, flattened."""
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    x, y = np.meshgrid(region.x_center + 0.5 * region.width * nodes, region.y_center + 0.5 * region.height * nodes)
    ra, dec = mapping(x.ravel(), y.ravel())
    return x.ravel() - centre[0], y.ravel() - centre[1], tangent_plane(ra, dec, crval)


def tangent_plane(ra: FloatArray, dec: FloatArray, crval: FloatArray) -> FloatArray:
    """Gnomonic coordinates (ξ, η) in degrees about a point; shape (2, n)."""
    da, d, d0 = np.radians(ra - crval[0]), np.radians(dec), np.radians(crval[1])
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(da)
    xi = np.cos(d) * np.sin(da) / depth
    eta = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(da)) / depth
    return np.degrees(np.stack([xi, eta]))


def _coefficients(
    u: FloatArray, v: FloatArray, plane: FloatArray, order: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """CD matrix (2, 2) and SIP coefficients A, B, shape (order + 1, order + 1), indexed by the powers of u and v."""
    scale = max(np.abs(u).max(), np.abs(v).max())
    powers = [(p, q) for p, q in polynomials.exponents(order) if p + q > 0]
    design = np.stack([(u / scale) ** p * (v / scale) ** q for p, q in powers], axis=1)
    solution = np.linalg.lstsq(design, plane.T, rcond=None)[0] / scale ** np.array([[p + q] for p, q in powers])
    cd = np.array([solution[powers.index((1, 0))], solution[powers.index((0, 1))]]).T
    distortion = np.linalg.solve(cd, solution.T)
    a, b = np.zeros((order + 1, order + 1)), np.zeros((order + 1, order + 1))
    for k, (p, q) in enumerate(powers):
        if p + q > 1:
            a[p, q], b[p, q] = distortion[:, k]
    return cd, a, b


def _series(coefficients: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    return np.asarray(np.polynomial.polynomial.polyval2d(u, v, coefficients), dtype=np.float64)


def _wcs(centre: FloatArray, crval: FloatArray, cd: FloatArray, a: FloatArray, b: FloatArray) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = crval, centre + 1.0, cd
    wcs.sip = Sip(a, b, None, None, centre + 1.0)
    wcs.wcs.set()
    return wcs
