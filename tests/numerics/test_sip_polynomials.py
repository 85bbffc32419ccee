"""SIP polynomials: fitted to what they made."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.sip_polynomials import SipPolynomials, fit_sip_polynomials
from diapipe.numerics.sphere import from_tangent_plane, tangent_plane

CD = np.array([[-5.5e-5, 1e-6], [2e-6, 5.5e-5]])


@pytest.fixture
def truth(rng):
    """Distortions of the second and third order of a pixel at 1000 px, and an offset of the tangent point."""
    a, b = np.zeros((2, 4, 4))
    for array in (a, b):
        for p in range(4):
            for q in range(4 - p):
                if p + q > 1:
                    array[p, q] = rng.normal(0.0, 1.0) / 1000.0 ** (p + q)
    return SipPolynomials(CD, a, b, np.array([1e-3, -2e-3]))


def slow(poly: SipPolynomials, u: float, v: float) -> np.ndarray:
    """Plane coordinates term by term, as the convention writes them."""
    f, g = u, v
    for p in range(4):
        for q in range(4 - p):
            f += poly.a[p, q] * u**p * v**q
            g += poly.b[p, q] * u**p * v**q
    return poly.constant + np.array([poly.cd[0, 0] * f + poly.cd[0, 1] * g, poly.cd[1, 0] * f + poly.cd[1, 1] * g])


def test_the_polynomials_are_those_of_the_convention(truth):
    points = np.array([[10.0, -700.0, 333.0], [20.0, 5.0, -900.0]])
    expected = np.stack([slow(truth, u, v) for u, v in points.T], axis=1)
    np.testing.assert_allclose(truth.at(*points), expected, rtol=1e-12)


def test_the_fit_finds_what_made_the_points(truth, rng):
    """Without noise all coefficients come back, to 1e-8 of what they do at 1000 px."""
    u, v = rng.uniform(-1000, 1000, (2, 200))
    found = fit_sip_polynomials(u, v, truth.at(u, v), 3, with_constant=True)
    np.testing.assert_allclose(found.cd, truth.cd, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(found.constant, truth.constant, atol=1e-12)
    np.testing.assert_allclose(found.at(u, v), truth.at(u, v), atol=1e-12)
    np.testing.assert_allclose(found.a * 1000.0**2, truth.a * 1000.0**2, atol=1e-6)


def test_weights_count(truth, rng):
    """Points of next to no weight may lie anywhere."""
    u, v = rng.uniform(-1000, 1000, (2, 200))
    plane = truth.at(u, v)
    plane[:, :50] += 1.0
    weight = np.where(np.arange(200) < 50, 1e-12, 1.0)
    found = fit_sip_polynomials(u, v, plane, 3, with_constant=True, weight=weight)
    np.testing.assert_allclose(found.at(u, v)[:, 50:], plane[:, 50:], atol=1e-9)


def test_without_a_constant_the_centre_is_the_tangent_point(truth, rng):
    u, v = rng.uniform(-1000, 1000, (2, 200))
    found = fit_sip_polynomials(u, v, truth.at(u, v), 3)
    np.testing.assert_array_equal(found.at(np.zeros(1), np.zeros(1)), np.zeros((2, 1)))


@pytest.mark.parametrize("centre", [(0.001, 20.0), (200.0, -89.9), (120.0, 0.0)])
def test_the_plane_leads_back_to_the_sky(centre):
    """Up to 0.2 degrees away, over RA 0 and beyond the pole, to 1e-11 degrees."""
    centre = np.array(centre)
    for point in ([0.05, 0.01], [-0.2, -0.19], [0.0, 0.15]):
        sky = from_tangent_plane(np.array(point), centre)
        back = tangent_plane(sky[:1], sky[1:], centre)[:, 0]
        np.testing.assert_allclose(back, point, atol=1e-11)
