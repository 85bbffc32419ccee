"""Stars, galaxies and changes: the laws that they are drawn from."""

import numpy as np
import pytest

from diapipe.errors import UsageError
from diapipe.images import Box
from diapipe.simulate import Geometry, MoffatFieldPsf, PairSpec
from diapipe.simulate.changes import EDGE_PX, SEPARATION_PX, flux_of_snr, random_transients, variables
from diapipe.simulate.population import (
    Galaxies,
    galaxy_knots,
    power_law_magnitudes,
    random_galaxies,
    random_stars,
    sersic_share,
)


def one_galaxy(**changes):
    values = {"x": 64.0, "y": 64.0, "mag": 20.0, "flux": 1000.0}
    values |= {"half_light_px": 5.0, "axis_ratio": 0.6, "angle_rad": 0.5, "sersic_index": 1.0}
    return Galaxies(**{name: np.array([value]) for name, value in (values | changes).items()})


def test_luminosity_function_has_its_slope():
    """The share brighter than m is a ratio of powers; binomial scatter of 40,000 draws, four sigma allowed."""
    n, slope = 40_000, 0.25
    mag = power_law_magnitudes(n, brightest=13.0, faintest=25.0, slope=slope, rng=np.random.default_rng(0))
    assert mag.min() >= 13.0
    assert mag.max() <= 25.0
    for limit in (20.0, 22.0, 24.0):
        share = (10 ** (slope * (limit - 13)) - 1) / (10 ** (slope * 12) - 1)
        assert np.mean(mag < limit) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))


def test_numbers_of_objects_are_those_of_the_frame():
    """The sky is larger than the frame, and filled at the same density."""
    spec = PairSpec.small(1000, n_stars=500.0)
    rng = np.random.default_rng(1)
    assert len(random_stars(spec, Box(-500, 1500, 0, 1000), rng=rng).x) == 1000
    assert len(random_galaxies(spec, spec.box, rng=rng).x) == round(spec.n_galaxies)


def test_variable_stars_change_within_their_limits():
    """Share, size and both signs of the changes; a binomial scatter of four sigma."""
    spec = PairSpec.small(1000, n_stars=50_000.0, variable_fraction=0.1)
    stars = random_stars(spec, spec.box, rng=np.random.default_rng(2))
    change = -2.5 * np.log10(stars.flux / stars.template_flux)
    assert stars.is_variable.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / 50_000))
    assert (change[~stars.is_variable] == 0).all()
    size = np.abs(change[stars.is_variable])
    assert size.min() >= spec.variable_min_mag - 1e-9
    assert size.max() <= spec.variable_max_mag + 1e-9
    assert np.mean(change[stars.is_variable] > 0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(5000))
    np.testing.assert_array_equal(variables(stars).flux, (stars.flux - stars.template_flux)[stars.is_variable])


@pytest.mark.parametrize("index", [1.0, 4.0])
def test_half_of_a_galaxy_lies_within_its_half_light_ellipse(index):
    """The truncated profile's share within the half-light ellipse is 1/2 over the share within five radii."""
    galaxy = one_galaxy(sersic_index=index, half_light_px=12.0)
    knots = galaxy_knots(galaxy, spacing_px=1.0)
    cosine, sine = np.cos(0.5), np.sin(0.5)
    major = cosine * (knots.x - 64) + sine * (knots.y - 64)
    minor = (cosine * (knots.y - 64) - sine * (knots.x - 64)) / 0.6
    inside = knots.flux[np.hypot(major, minor) < 12.0].sum() / 1000.0
    expected = 0.5 / sersic_share(np.array([5.0]), np.array([index]))[0]
    assert knots.flux.sum() == pytest.approx(1000.0, rel=1e-9)
    assert inside == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("half_light_px", "tolerance"), [(2.0, 0.02), (6.0, 0.005), (15.0, 0.002)])
def test_knots_make_a_smooth_disk(half_light_px, tolerance):
    """Through the PSF the knots look like GalSim's truncated exponential, the better the larger it is."""
    galsim = pytest.importorskip("galsim")
    size, fwhm, beta = 129, 3.25, 3.5
    knots = galaxy_knots(one_galaxy(half_light_px=half_light_px), spacing_px=0.6 * fwhm)
    psf = MoffatFieldPsf.random(
        Box(0, size, 0, size),
        beta=beta,
        fwhm_px=fwhm,
        fwhm_variation=0.0,
        ellipticity=0.0,
        ellipticity_variation=0.0,
        rng=np.random.default_rng(0),
    )
    image = np.zeros((size, size), np.float32)
    psf.draw(image, x=knots.x, y=knots.y, flux=knots.flux, radius_px=np.full(len(knots.x), 90.0))
    disk = galsim.Sersic(1.0, half_light_radius=half_light_px, trunc=5 * half_light_px, flux_untruncated=True)
    disk = disk.withFlux(1000.0).transform(*_ellipse_matrix(0.6, 0.5)).withFlux(1000.0)
    sky = galsim.Convolve(disk, galsim.Moffat(beta=beta, fwhm=fwhm))
    expected = sky.drawImage(nx=size, ny=size, scale=1.0, method="no_pixel", dtype=float).array
    assert np.abs(image - expected).max() < tolerance * expected.max()


def _ellipse_matrix(axis_ratio, angle):
    """Unit circle to ellipse: squeezed along y, then turned."""
    c, s = np.cos(angle), np.sin(angle)
    return c, -s * axis_ratio, s, c * axis_ratio


def test_flux_of_snr_solves_its_equation():
    """F² = snr² (V + κ F), with κ of a β = 3 Moffat 25/16 per photon."""
    snr = np.array([3.0, 10.0, 50.0])
    flux = flux_of_snr(snr, flux_variance=np.full(3, 1e4), photons_per_count=np.full(3, 1.6), beta=3.0)
    np.testing.assert_allclose(flux**2, snr**2 * (1e4 + 25 / 16 / 1.6 * flux), rtol=1e-12)


def transients(**changes):
    spec = PairSpec.small(1000, **({"n_transients": 60.0} | changes))
    rng = np.random.default_rng(6)
    geometry = Geometry.random(spec, rng=rng)
    galaxies = random_galaxies(spec, spec.box, rng=rng)
    psf = MoffatFieldPsf.random(
        spec.box, beta=3.0, fwhm_px=4.0, fwhm_variation=0.0, ellipticity=0.0, ellipticity_variation=0.0, rng=rng
    )
    variance = np.full(spec.box.shape, 300.0, np.float32)
    return galaxies, geometry, random_transients(spec, galaxies, geometry, psf=psf, variance=variance, rng=rng)


def test_transients_keep_their_quotas_and_distances():
    """Forty per cent on hosts, half negative, away from edges and from each other."""
    _, _, found = transients()
    assert len(found.x) == 60
    assert found.on_host.sum() == 24
    assert (found.flux < 0).sum() == 30
    assert min(found.x.min(), found.y.min(), 999 - found.x.max(), 999 - found.y.max()) > EDGE_PX
    distance = np.hypot(found.x[:, None] - found.x, found.y[:, None] - found.y) + 1e9 * np.eye(60)
    assert distance.min() >= SEPARATION_PX


def test_hosted_transients_are_inside_a_half_light_ellipse():
    """Each lies, off the centre, within the half-light ellipse of some galaxy bright enough to be a host."""
    galaxies, _, found = transients()
    bright = galaxies.mag < PairSpec().host_faintest_mag
    cosine, sine = np.cos(galaxies.angle_rad[bright]), np.sin(galaxies.angle_rad[bright])
    for x, y in zip(found.x[found.on_host], found.y[found.on_host], strict=True):
        dx, dy = x - galaxies.x[bright], y - galaxies.y[bright]
        radius = np.hypot(cosine * dx + sine * dy, (cosine * dy - sine * dx) / galaxies.axis_ratio[bright])
        assert (radius / galaxies.half_light_px[bright]).min() < 1.0


def test_transients_lie_on_both_frames():
    """With a shifted and turned template none lies where the template does not."""
    _, geometry, found = transients(template_offset_px=(300.0, 0.0), template_rotation_deg=20.0)
    x, y = geometry.to_template(found.x, found.y)
    assert len(found.x) > 40
    assert min(x.min(), y.min(), 999 - x.max(), 999 - y.max()) > EDGE_PX


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"science_beta": 2.7}, "science_beta is 2.7; a multiple of 0.5"),
        ({"template_depth": 0.0}, "template_depth is 0.0; a positive number"),
        ({"width": -3}, "width is -3"),
        ({"sky_counts": 1e6}, "the sky of 1600000 electrons fills the pixels"),
    ],
)
def test_spec_refuses_what_cannot_be(changes, message):
    with pytest.raises(UsageError, match=message):
        PairSpec(**changes)
