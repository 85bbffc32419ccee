"""Any mapping to the sky as a TAN-SIP WCS."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from diapipe.errors import InputError
from diapipe.images import Box
from diapipe.images.tan_sip import fit_sip
from diapipe.numerics.sphere import tangent_plane


def worst_mas(wcs: WCS, mapping: object, box: Box) -> float:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(box.x0, box.x1, 500), rng.uniform(box.y0, box.y1, 500)
    ra, dec = mapping(x, y)  # type: ignore[operator]
    got = np.array(wcs.all_pix2world(x, y, 0))
    return float(np.hypot((got[0] - ra) * np.cos(np.radians(dec)), got[1] - dec).max() * 3.6e6)


def zpn(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---ZPN", "DEC--ZPN"]
    wcs.wcs.crval, wcs.wcs.crpix = [359.99, 60.0], [3000.0, -1000.0]
    wcs.wcs.cd = np.array([[-5e-5, 1e-6], [1e-6, 5e-5]])
    wcs.wcs.set_pv([(2, 1, 1.0), (2, 3, 40.0)])
    ra, dec = wcs.all_pix2world(x, y, 0)
    return ra, dec


@pytest.mark.parametrize("box", [Box(0, 4000, 0, 4000), Box(-2000, -1900, 500, 560)])
def test_fits_a_distorted_projection(box: Box) -> None:
    """A radial distortion of 25 px over a 4k frame across RA 0 is followed to 1e-3 mas."""
    fit = fit_sip(zpn, box)
    assert fit.worst_px < 1e-5
    assert worst_mas(fit.wcs, zpn, box) < 1e-3


def test_inverts() -> None:
    """The fitted WCS inverts to 1e-5 px."""
    box = Box(0, 2000, 0, 2000)
    wcs = fit_sip(zpn, box).wcs
    x, y = wcs.all_world2pix(*zpn(np.array([10.0, 1990.0]), np.array([5.0, 1500.0])), 0)
    np.testing.assert_allclose([x, y], [[10.0, 1990.0], [5.0, 1500.0]], atol=1e-5)


def test_order_is_raised_only_as_needed() -> None:
    """A plain TAN needs no more than the lowest order."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [10.0, 5.0], [50.0, 50.0], [-1e-4, 1e-4]
    assert fit_sip(lambda x, y: tuple(wcs.all_pix2world(x, y, 0)), Box(0, 100, 0, 100)).order == 2


def test_mapping_must_be_finite() -> None:
    with pytest.raises(InputError, match="not finite"):
        fit_sip(lambda x, y: (x * np.nan, y), Box(0, 10, 0, 10))


def test_tangent_plane_matches_wcslib() -> None:
    """The gnomonic projection agrees with wcslib's."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [200.0, -70.0], [1.0, 1.0]
    ra, dec = np.array([199.0, 203.0, 200.5]), np.array([-70.5, -69.0, -71.0])
    np.testing.assert_allclose(
        tangent_plane(ra, dec, np.array([200.0, -70.0])), wcs.wcs_world2pix(ra, dec, 0) + np.ones((2, 1)), atol=1e-12
    )
