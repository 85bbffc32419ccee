"""Whole pairs: invariants, and truth that the pixels bear out."""

import numpy as np
import pytest

from diapipe.images import Box, MaskPlane
from diapipe.simulate import PairSpec, simulate_pair

EMPTY = {"n_stars": 0, "n_galaxies": 0, "n_transients": 0, "n_bad_columns": 0, "n_cosmic_rays": 0}


def simulate(size=384, seed=11, **changes):
    return simulate_pair(PairSpec.small(size, **changes), rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def pair():
    """Crowded with changes, so that their statistics mean something."""
    return simulate(size=1000, n_transients=120, n_cosmic_rays=80)


def psf_flux(image, variance, psf, x, y, half=15):
    """Weighted PSF flux at a known place, in units of an infinitely wide PSF, and its error."""
    box = Box.around(x=x, y=y, half=half)
    cut = box.slices_in(Box.from_shape(image.shape))
    wide = np.zeros(image.shape, np.float32)
    psf.draw(wide, x=np.array([x]), y=np.array([y]), flux=np.ones(1), radius_px=np.array([60.0]))
    profile, weight = wide[cut].astype(float), 1.0 / variance[cut].astype(float)
    information = (profile**2 * weight).sum()
    return (profile * weight * image[cut]).sum() / information, 1.0 / np.sqrt(information)


def test_equal_generators_make_equal_pairs():
    """Every pixel and every row of the truth."""
    one, two = simulate(), simulate()
    for name in ("science", "template"):
        for plane in ("image", "mask", "variance"):
            a, b = (getattr(getattr(p, name).masked_image, plane) for p in (one, two))
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.ceiling.image, two.ceiling.image)
    for name in ("stars", "galaxies", "transients", "cosmic_rays"):
        assert (getattr(one, name) == getattr(two, name)).all()


def test_other_seeds_make_other_pairs():
    one, two = simulate(seed=1), simulate(seed=2)
    assert np.abs(one.science.masked_image.image - two.science.masked_image.image).max() > 100


def test_flux_scale_scales_the_template_only():
    """The same photons in other counts: image by the scale, variance by its square, science untouched."""
    one, seven = simulate(), simulate(template_flux_scale=7.0)
    np.testing.assert_array_equal(one.science.masked_image.image, seven.science.masked_image.image)
    np.testing.assert_allclose(
        seven.template.masked_image.image, 7 * one.template.masked_image.image, rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(seven.template.masked_image.variance, 49 * one.template.masked_image.variance, rtol=1e-5)
    np.testing.assert_allclose(seven.stars["template_flux"], 7 * one.stars["template_flux"])
    assert seven.template.photo_calib.mean == pytest.approx(one.template.photo_calib.mean / 7)


def test_depth_leaves_the_sky_as_it_is():
    """Only noise, and with it the fluxes of the transients, follow the depth."""
    deep, shallow = simulate(), simulate(template_depth=1.0)
    for column in ("x", "y", "mag", "flux"):
        np.testing.assert_array_equal(deep.stars[column], shallow.stars[column])
    np.testing.assert_array_equal(deep.transients["x"], shallow.transients["x"])
    assert (deep.cosmic_rays["image"] == "science").all()
    ratio = np.median(shallow.template.masked_image.variance) / np.median(deep.template.masked_image.variance)
    assert ratio == pytest.approx(10.0, rel=0.01)


def test_a_single_template_has_cosmic_rays():
    rays = simulate(template_depth=1.0, n_cosmic_rays=40).cosmic_rays
    assert (rays["image"] == "template").sum() > 20


def test_an_empty_sky_is_noise_and_background():
    """No sources at all: no truth, no mask, and pulls of unit variance plus that of the background."""
    empty = simulate(**EMPTY)
    for table in (empty.stars, empty.galaxies, empty.transients, empty.cosmic_rays):
        assert len(table) == 0
    pulls = empty.science.masked_image.image / np.sqrt(empty.science.masked_image.variance)
    expected = 1 + 4.0 / empty.science.masked_image.variance[0, 0]
    assert pulls.var(dtype=float) == pytest.approx(expected, abs=5 * np.sqrt(2 / pulls.size))
    assert not empty.ceiling.mask.any()


def test_exposures_are_what_a_user_would_bring(pair):
    """Planes, WCS and zero point, no PSF."""
    for exposure in (pair.science, pair.template):
        assert exposure.psf is None
        assert exposure.wcs is not None
        assert np.isfinite(exposure.masked_image.image).all()
        assert (exposure.masked_image.variance > 0).all()
    star = pair.stars[100]
    nanojansky = star["flux"] * pair.science.photo_calib.mean
    assert 31.4 - 2.5 * np.log10(nanojansky) == pytest.approx(star["mag"], abs=1e-3)


GRIDS = [
    {},
    {"template_rotation_deg": 30.0, "template_offset_px": (20.0, -30.0)},
    {"template_flip": True, "template_scale": 1.4, "template_flux_scale": 0.3},
]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("which", ["science", "template"])
def test_truth_explains_the_pixels(which, grid):
    """True stars drawn with the true PSF at their true places leave pulls N(0, 1) where there are stars.

    Pixels above a tenth of the sky noise, away from the frame's edge (beyond it stars are not in the table); five sigma
    of a χ² for its mean, and 2e-3 for what float32 and wings leave.
    """
    stars_only = {"n_galaxies": 0, "n_transients": 0, "background_residual_counts": 0.0, "star_brightest_mag": 16.8}
    pair = simulate(n_stars=150, **stars_only, **grid)
    exposure, psf, stars = getattr(pair, which), getattr(pair, f"{which}_psf"), pair.stars
    x, y, flux = ("x", "y", "flux") if which == "science" else ("x_template", "y_template", "template_flux")
    model = np.zeros(exposure.box.shape, np.float32)
    columns = {name: np.asarray(stars[column]) for name, column in (("x", x), ("y", y), ("flux", flux))}
    psf.draw(model, **columns, radius_px=np.full(len(stars), 60.0))
    image = exposure.masked_image
    sky = np.sqrt(np.median(image.variance))
    known = image.usable() & (model > 0.1 * sky) & away_from_unlisted_sky(pair, which)
    pulls = ((image.image - model) / np.sqrt(image.variance))[known].astype(float)
    unmasked_rays = np.abs(pulls) > 6
    assert unmasked_rays.sum() < 30
    pulls = pulls[~unmasked_rays]
    assert pulls.size > 1000
    assert abs(pulls.mean()) < 5 / np.sqrt(pulls.size) + 0.01
    assert abs((pulls**2).mean() - 1) < 5 * np.sqrt(2 / pulls.size) + 0.002


def away_from_unlisted_sky(pair, which):
    """Pixels at least 40 px inside the science frame, whose stars the table lists."""
    rows, columns = np.indices(getattr(pair, which).box.shape, dtype=float)
    if which == "template":
        sky = pair.template.wcs.pixel_to_world(columns, rows)
        columns, rows = pair.science.wcs.world_to_pixel(sky)
    box = pair.science.box.dilated(-40)
    return (columns >= box.x0) & (columns < box.x1) & (rows >= box.y0) & (rows < box.y1)


def test_ceiling_gives_the_transients_back(pair):
    """PSF fluxes on the ideal difference have pulls N(0, 1): four sigma for the mean, and for the scatter."""
    changes = pair.transients[pair.transients["kind"] == "transient"]
    pulls, snr = [], []
    for row in changes:
        flux, error = psf_flux(pair.ceiling.image, pair.ceiling.variance, pair.science_psf, row["x"], row["y"])
        pulls.append((flux - row["flux"]) / error)
        snr.append(row["flux"] / error)
    n = len(pulls)
    assert n == 120
    assert abs(np.mean(pulls)) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)
    np.testing.assert_allclose(snr, changes["snr_true"], rtol=0.01)


def test_transients_are_in_the_image_they_belong_to(pair):
    """Bright ones away from hosts: science minus template flux is what the table says, with its sign."""
    changes = pair.transients
    bright = (changes["kind"] == "transient") & (np.abs(changes["snr_true"]) > 25) & ~changes["on_host"]
    seen = 0
    for row in changes[bright & (changes["mask"] == 0)]:
        x, y = np.array([row["x"]]), np.array([row["y"]])
        tx, ty = pair.geometry.to_template(x, y)
        science, template = pair.science.masked_image, pair.template.masked_image
        in_science, _ = psf_flux(science.image, science.variance, pair.science_psf, row["x"], row["y"], half=4)
        in_template, _ = psf_flux(template.image, template.variance, pair.template_psf, tx[0], ty[0], half=4)
        neighbour = min(in_science, in_template)
        assert in_science - in_template == pytest.approx(row["flux"], abs=0.3 * abs(row["flux"]) + 0.2 * abs(neighbour))
        seen += 1
    assert seen >= 10


def test_signal_to_noise_is_within_its_limits(pair):
    """Drawn between 3 and 50; the source's own noise on a galaxy is only nearly that of uniform noise: 2%."""
    snr = np.abs(pair.transients["snr_true"][pair.transients["kind"] == "transient"])
    assert snr.min() > 3 * 0.98
    assert snr.max() < 50 * 1.02


def test_masks_know_saturated_stars_and_most_cosmic_rays(pair):
    """Below mag 15.5 stars are saturated, above 16.6 never; nine cosmic rays of ten are in the CR plane."""
    stars = pair.stars
    assert stars["saturated"][stars["mag"] < 15.5].all()
    assert not stars["saturated"][(stars["mag"] > 16.6) & (stars["mag"] < 19)].any()
    rays = pair.cosmic_rays
    assert (~rays["masked"]).sum() == round(0.1 * len(rays))
    known = (pair.science.masked_image.mask & MaskPlane.CR) != 0
    for ray in rays[rays["masked"] & (rays["n_pix"] < 5)]:
        x, y = round(ray["x"]), round(ray["y"])
        assert known[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].any()


def test_ceiling_brings_the_masks_of_both(pair):
    science, template, both = pair.science.masked_image.mask, pair.template.masked_image.mask, pair.ceiling.mask
    np.testing.assert_array_equal(both & (int(MaskPlane.BAD_TEMPLATE) - 1), science)
    np.testing.assert_array_equal((both & MaskPlane.SAT_TEMPLATE) != 0, (template & MaskPlane.SAT) != 0)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_template_on_another_grid_shows_the_same_sky(grid):
    """Stars stand where the template's WCS puts them; where the template has no pixel the ceiling says so."""
    turned = simulate(misregistration_px=0.0, **grid)
    x, y = turned.template.wcs.world_to_pixel(turned.science.wcs.pixel_to_world(turned.stars["x"], turned.stars["y"]))
    np.testing.assert_allclose(x, turned.stars["x_template"], atol=1e-6)
    np.testing.assert_allclose(y, turned.stars["y_template"], atol=1e-6)
    rows, columns = turned.geometry.nearest_template_pixels()
    expected = (rows >= 0) & (rows < 384) & (columns >= 0) & (columns < 384)
    np.testing.assert_array_equal((turned.ceiling.mask & MaskPlane.NO_DATA_TEMPLATE) == 0, expected)


def test_small_pairs_are_cuts_of_the_large_one():
    """Counts as the area, variation of the PSF as the side, everything else the same."""
    large, small = PairSpec(), PairSpec.small(1009)
    area = 1009**2 / (4072 * 4000)
    assert small.n_galaxies == pytest.approx(large.n_galaxies * area)
    assert small.n_cosmic_rays == pytest.approx(large.n_cosmic_rays * area)
    assert small.fwhm_variation == pytest.approx(large.fwhm_variation * np.sqrt(area))
    assert small.science_fwhm_arcsec == large.science_fwhm_arcsec
    assert PairSpec.small(500, n_stars=7).n_stars == 7
