"""The drawing kernel against a slow twin, closed forms and GalSim."""

import numpy as np
import pytest

from diapipe.simulate import rendering

BETAS = [2.0, 2.5, 3.0, 3.5, 4.5]


def sources(beta, *, radius_px=200.0):
    """Three overlapping sources, one of them beyond the corner of a 60 x 80 image."""
    return rendering.profile_table(
        x=np.array([30.3, 41.9, -2.4]),
        y=np.array([25.8, 30.1, 61.2]),
        flux=np.array([1.0e5, -3.0e4, 5.0e4]),
        fwhm_px=np.array([4.0, 3.3, 5.1]),
        g1=np.array([0.05, -0.1, 0.0]),
        g2=np.array([-0.03, 0.08, 0.2]),
        beta=beta,
        radius_px=np.full(3, radius_px),
    )


def drawn_slowly(table, beta, shape):
    """Every pixel of every source, from the shear matrix down, in float64."""
    image = np.zeros(shape)
    for x, y, peak, xx, xy, yy, radius in table:
        for row in range(shape[0]):
            for column in range(shape[1]):
                dx, dy = column - x, row - y
                if dx**2 + dy**2 <= radius**2:
                    image[row, column] += peak * (1.0 + xx * dx**2 + xy * dx * dy + yy * dy**2) ** -beta
    return image


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("radius_px", [12.5, 200.0])
def test_drawing_equals_its_slow_twin(beta, radius_px):
    """Float32 sums agree with float64 to a few rounding errors of the peak, 6e-8 each; wings are cut at one radius."""
    table = sources(beta, radius_px=radius_px)
    image = np.zeros((60, 80), np.float32)
    rendering.draw_moffats(image, table, round(2 * beta))
    np.testing.assert_allclose(image, drawn_slowly(table, beta, image.shape), atol=2e-6 * table[0, 2])


@pytest.mark.parametrize("beta", BETAS)
def test_quadratic_form_is_that_of_the_shear_matrix(beta):
    """The form is |S⁻¹ d|² / α² with S the area-preserving shear: computed here by matrices."""
    g1, g2, fwhm = 0.07, -0.12, 4.4
    table = rendering.profile_table(
        x=np.zeros(1),
        y=np.zeros(1),
        flux=np.ones(1),
        fwhm_px=np.array([fwhm]),
        g1=np.array([g1]),
        g2=np.array([g2]),
        beta=beta,
        radius_px=np.ones(1),
    )
    shear = np.array([[1 + g1, g2], [g2, 1 - g1]]) / np.sqrt(1 - g1**2 - g2**2)
    inverse = np.linalg.inv(shear)
    form = inverse.T @ inverse / (fwhm / rendering.fwhm_of_unit_alpha(beta)) ** 2
    np.testing.assert_allclose(table[0, 3:6], [form[0, 0], 2 * form[0, 1], form[1, 1]], rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
def test_half_of_the_peak_is_reached_at_half_the_fwhm(beta):
    """The definition of the FWHM, on the profile itself."""
    assert (1.0 + (0.5 * rendering.fwhm_of_unit_alpha(beta)) ** 2) ** -beta == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("beta", [2.5, 3.0, 3.5])
def test_drawing_equals_galsim(beta):
    """A sheared Moffat off the pixel centre, to 1e-4 of its peak."""
    galsim = pytest.importorskip("galsim")
    g1, g2, fwhm, dx, dy = 0.06, -0.04, 3.4, 0.37, -0.21
    table = rendering.profile_table(
        x=np.array([50 + dx]),
        y=np.array([50 + dy]),
        flux=np.array([1.0]),
        fwhm_px=np.array([fwhm]),
        g1=np.array([g1]),
        g2=np.array([g2]),
        beta=beta,
        radius_px=np.array([100.0]),
    )
    image = np.zeros((101, 101), np.float32)
    rendering.draw_moffats(image, table, round(2 * beta))
    profile = galsim.Moffat(beta=beta, fwhm=fwhm).shear(g1=g1, g2=g2)
    expected = profile.drawImage(nx=101, ny=101, scale=1.0, method="no_pixel", offset=(dx, dy), dtype=float).array
    assert np.abs(image - expected).max() < 1e-4 * expected.max()


@pytest.mark.parametrize("beta", BETAS)
def test_all_but_the_stated_share_of_the_flux_is_drawn(beta):
    """Flux beyond the radius u α is (1 + u²)^(1 - β); sampling at pixels adds less than 2e-4."""
    outside = 3e-3
    radius = rendering.wing_radius(np.ones(1), fwhm_px=np.array([3.5]), beta=beta, faintest=1e9, outside=outside)
    table = rendering.profile_table(
        x=np.array([150.2]),
        y=np.array([149.6]),
        flux=np.ones(1),
        fwhm_px=np.array([3.5]),
        g1=np.zeros(1),
        g2=np.zeros(1),
        beta=beta,
        radius_px=radius,
    )
    image = np.zeros((300, 300), np.float32)
    rendering.draw_moffats(image, table, round(2 * beta))
    assert radius[0] < 149
    assert image.sum(dtype=float) == pytest.approx(1.0 - outside, abs=2e-4)


@pytest.mark.parametrize("beta", BETAS)
def test_wings_end_at_the_stated_surface_brightness(beta):
    """At the radius of a bright source the profile has just sunk to the limit."""
    flux, fwhm, faintest = np.array([1e7]), np.array([4.0]), 0.5
    radius = rendering.wing_radius(flux, fwhm_px=fwhm, beta=beta, faintest=faintest, outside=1e-1)
    alpha = fwhm / rendering.fwhm_of_unit_alpha(beta)
    at_edge = flux * (beta - 1) / (np.pi * alpha**2) * (1 + (radius / alpha) ** 2) ** -beta
    assert at_edge[0] == pytest.approx(faintest, rel=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_information_of_uniform_noise_has_a_closed_form(beta):
    """Σ P² = (β - 1)² / (π α² (2β - 1)) for a Moffat of unit flux, sheared or not; sampling costs less than 1e-4."""
    table = rendering.profile_table(
        x=np.array([60.3]),
        y=np.array([59.8]),
        flux=np.ones(1),
        fwhm_px=np.array([4.0]),
        g1=np.array([0.08]),
        g2=np.array([0.05]),
        beta=beta,
        radius_px=np.array([58.0]),
    )
    information = rendering.matched_information(np.full((120, 120), 7.0, np.float32), table, round(2 * beta))
    alpha = 4.0 / rendering.fwhm_of_unit_alpha(beta)
    expected = (beta - 1) ** 2 / (np.pi * alpha**2 * (2 * beta - 1)) / 7.0
    assert information[0] == pytest.approx(expected, rel=1e-4)


def test_information_weighs_pixels_by_their_variance():
    """The sum over a frame that cuts the source, written with arrays."""
    beta, table = 3.0, sources(3.0, radius_px=12.0)
    variance = np.random.default_rng(5).uniform(1.0, 9.0, (60, 80)).astype(np.float32)
    rows, columns = np.indices(variance.shape)
    for i, value in enumerate(rendering.matched_information(variance, table, round(2 * beta))):
        x, y, peak, xx, xy, yy, radius = table[i]
        dx, dy = columns - x, rows - y
        profile = peak * (1 + xx * dx**2 + xy * dx * dy + yy * dy**2) ** -beta
        profile[(np.abs(dx) > radius) | (np.abs(dy) > radius)] = 0.0
        assert value == pytest.approx((profile**2 / variance).sum(), rel=1e-6)


def test_nothing_to_draw_changes_nothing():
    """An empty table, and sources whose wings do not reach the image."""
    image = np.ones((5, 4), np.float32)
    rendering.draw_moffats(image, np.empty((0, rendering.N_COLUMNS)), 6)
    far = sources(3.0, radius_px=2.0)
    far[:, 0] += [1000.0, -1000.0, 0.0]
    far[:, 1] += 1000.0
    rendering.draw_moffats(image, far, 6)
    assert (image == 1.0).all()
