"""characterize on simulated images of known truth: what comes out is what went in."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from diapipe.errors import InputError, TooFewStarsError
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane, ObservationInfo
from diapipe.numerics.polynomials import chebyshev_terms
from diapipe.simulate import PairSpec, simulate_pair
from diapipe.steps.characterize import Characterize, characterize
from diapipe.steps.characterize.background import BackgroundMesh, measure_sky

SIZE = 768


@pytest.fixture(scope="module")
def pair():
    """A pair of 768 px with three times the stars of the default field: 330 stars, 300 galaxies."""
    spec = PairSpec.small(SIZE, n_stars=330)
    return simulate_pair(spec, rng=np.random.default_rng(11))


@pytest.fixture(scope="module")
def known(pair):
    """The science image characterized, variance and mask given."""
    return characterize(pair.science)


def bare(exposure: Exposure, *, sky: float = 0.0, **info) -> Exposure:
    """The same pixels as a plain file brings them: on their sky, without mask and variance."""
    pixels = MaskedImage.from_planes(exposure.masked_image.image + np.float32(sky))
    return replace(
        exposure,
        masked_image=pixels,
        has_mask=False,
        has_variance=False,
        info=replace(exposure.info, **info),
    )


def empty_sky(rng, *, sigma=10.0, sky=200.0, size=256) -> Exposure:
    """White noise on a constant sky."""
    pixels = MaskedImage.from_planes(rng.normal(sky, sigma, (size, size)))
    return Exposure(name="noise.fits", masked_image=pixels, has_mask=False, has_variance=False)


def test_psf_is_the_true_one(pair, known):
    """Fluxes of true stars by the model are right to 1% over the field, its pixels to 2.5% of the peak."""
    for x in (100.0, 380.0, 660.0):
        for y in (100.0, 380.0, 660.0):
            found = known.exposure.psf.kernel_image(x=x, y=y)
            truth = pair.science_psf_at(x, y)
            cut = (truth.shape[0] - found.shape[0]) // 2
            truth = truth[cut:-cut, cut:-cut]
            assert np.abs(found - truth).max() < 0.025 * truth.max()
            assert (found * truth).sum() / (found**2).sum() == pytest.approx(1.0, abs=0.01)
    assert known.summary["fwhm_px"] == pytest.approx(4.0, rel=0.05)


def test_given_planes_are_kept(pair, known):
    """Mask and variance that are right stay as they came, bit for bit."""
    assert known.exposure.masked_image.variance is pair.science.masked_image.variance
    assert known.exposure.masked_image.mask is pair.science.masked_image.mask
    assert known.summary["variance_factor"] == 1.0
    assert known.summary["variance_measured_over_claimed"] == pytest.approx(1.0, abs=0.03)
    assert known.exposure.noise_correlation is None


def test_given_psf_is_kept(pair):
    """No PSF model is made for an image that has one; its stars are listed all the same."""
    psf = GaussianPsf(1.9)
    found = characterize(replace(pair.science, psf=psf))
    assert found.exposure.psf is psf
    assert found.summary["psf_source"] == "given"
    assert found.stars.is_star.sum() > 20


def test_input_is_unchanged_and_result_travels(pair):
    """The step writes to nothing it was given; its result can be pickled."""
    before = [plane.copy() for plane in (pair.science.masked_image.image, pair.science.masked_image.mask)]
    found = characterize(bare(pair.science))
    np.testing.assert_array_equal(pair.science.masked_image.image, before[0])
    np.testing.assert_array_equal(pair.science.masked_image.mask, before[1])
    again = pickle.loads(pickle.dumps(found.exposure.psf))
    np.testing.assert_array_equal(again.field.images, found.exposure.psf.field.images)


def test_threads_change_no_bit(pair, known):
    """Two threads, the same result."""
    found = characterize(pair.science, n_threads=2)
    np.testing.assert_array_equal(found.exposure.masked_image.image, known.exposure.masked_image.image)
    np.testing.assert_array_equal(found.exposure.psf.field.images, known.exposure.psf.field.images)


def test_positions_are_in_parent_coordinates(pair, known):
    """The same pixels with their corner at (1000, 500): everything moves along."""
    box = Box.from_shape((SIZE, SIZE), x0=1000, y0=500)
    moved = characterize(replace(pair.science, masked_image=replace(pair.science.masked_image, box=box)))
    np.testing.assert_allclose(moved.stars.x, known.stars.x + 1000, atol=1e-6)
    np.testing.assert_allclose(moved.stars.y, known.stars.y + 500, atol=1e-6)
    np.testing.assert_allclose(
        moved.exposure.psf.kernel_image(x=1300, y=700), known.exposure.psf.kernel_image(x=300, y=200), atol=1e-9
    )
    np.testing.assert_allclose(moved.background.over(box), known.background.over(known.exposure.box), atol=1e-4)


def test_stars_are_told_from_galaxies(pair, known):
    """Above S/N 30, 90% of the isolated true stars are found as such and 5% of the galaxies pass for one."""
    stars = known.stars
    bright = (stars.flux / stars.flux_err > 30) & ~stars.is_saturated
    place = np.stack([stars.x, stars.y], axis=1)
    to_star, _ = cKDTree(np.stack([pair.stars["x"], pair.stars["y"]], axis=1)).query(place)
    to_galaxy, _ = cKDTree(np.stack([pair.galaxies["x"], pair.galaxies["y"]], axis=1)).query(place)
    true_star, true_galaxy = (to_star < 1) & (to_star < to_galaxy), (to_galaxy < 1.5) & (to_star > 3)
    assert stars.is_star[bright & true_star & stars.is_isolated].mean() > 0.9
    assert stars.is_star[bright & true_galaxy].mean() < 0.1
    assert (np.diff(stars.flux) <= 0).all()


def test_variance_from_gain_and_read_noise_is_the_true_one(pair):
    """On its sky, with gain and read noise known: the made variance is the simulated one, median to 3%."""
    spec = pair.spec
    found = characterize(bare(pair.science, sky=spec.sky_counts))
    ratio = found.exposure.masked_image.variance / pair.science.masked_image.variance
    good = pair.science.masked_image.mask == 0
    low, middle, high = np.percentile(ratio[good], [1, 50, 99])
    assert middle == pytest.approx(1.0, abs=0.03)
    assert low > 0.93
    assert high < 1.07
    assert found.summary["sky_level"] == pytest.approx(spec.sky_counts, abs=3.0)
    assert found.summary["gain"] == spec.gain_electrons


def test_variance_of_a_sky_subtracted_image_is_measured(pair):
    """Sky gone, gain known: the scatter tells the sky's part, median to 3%."""
    found = characterize(bare(pair.science))
    ratio = found.exposure.masked_image.variance / pair.science.masked_image.variance
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    assert "measured scatter" in found.summary["variance_source"]


def test_missing_gain_is_estimated_and_said(pair):
    """From sky level and scatter, to 20% (the read noise is part of the scatter); with a warning."""
    found = characterize(bare(pair.science, sky=pair.spec.sky_counts, gain=None, read_noise=None))
    assert found.summary["gain_source"] == "estimated"
    assert found.summary["gain"] == pytest.approx(pair.spec.gain_electrons, rel=0.2)
    assert "does not say its gain" in found.summary["warnings"][0]


def test_variance_is_rescaled_and_said(pair):
    """A variance half as large as the scatter is doubled; the summary says so."""
    pixels = pair.science.masked_image
    claimed = replace(pixels, variance=pixels.variance * np.float32(0.5))
    found = characterize(replace(pair.science, masked_image=claimed))
    assert found.summary["variance_factor"] == pytest.approx(2.0, abs=0.06)
    assert "multiplied by" in found.summary["variance_check"]
    assert np.median(found.exposure.masked_image.variance / pixels.variance) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_variance_in_a_wrong_unit_is_refused(pair, factor):
    """Off by a hundred: one sentence with the claimed and the measured noise."""
    pixels = pair.science.masked_image
    wrong = replace(pixels, variance=pixels.variance * np.float32(factor))
    with pytest.raises(InputError, match=r"claims a sky noise of .* the pixels scatter by .* within a factor of 10"):
        characterize(replace(pair.science, masked_image=wrong))


def test_impossible_variance_is_masked(pair):
    """Zero, negative, infinite and NaN variance make BAD pixels; everywhere, an error."""
    pixels = pair.science.masked_image
    broken = pixels.variance.copy()
    broken[5, 5], broken[6, 6], broken[7, 7], broken[8, 8] = 0.0, -1.0, np.inf, np.nan
    found = characterize(replace(pair.science, masked_image=replace(pixels, variance=broken)))
    mask = found.exposure.masked_image.mask
    assert all(mask[k, k] & MaskPlane.BAD for k in (5, 6, 7, 8))
    with pytest.raises(InputError, match="no positive finite pixel"):
        characterize(replace(pair.science, masked_image=replace(pixels, variance=np.zeros_like(broken))))


def test_saturation_and_cosmic_rays_are_flagged(pair):
    """Every truly saturated pixel, 95% of the masked hits above 10 sigma, and at most 2e-4 of the others."""
    truth = pair.science.masked_image
    found = characterize(bare(pair.science)).exposure.masked_image.mask
    saturated, ray = truth.mask & MaskPlane.SAT != 0, truth.mask & MaskPlane.CR != 0
    column = truth.mask & MaskPlane.BAD != 0
    assert (found[saturated & ~column] & MaskPlane.SAT != 0).all()
    strong = ray & ~saturated & ~column & (truth.image > 10 * np.sqrt(truth.variance))
    assert (found[strong] & MaskPlane.CR != 0).mean() > 0.95
    near_rays = cKDTree(np.stack([pair.cosmic_rays["y"], pair.cosmic_rays["x"]], axis=1))
    elsewhere = (found & MaskPlane.CR != 0) & ~column & ~ray
    distance, _ = near_rays.query(np.argwhere(elsewhere)) if elsewhere.any() else (np.empty(0), None)
    assert np.count_nonzero(distance > 15) < 2e-4 * SIZE**2


def test_saturation_is_found_without_a_header():
    """Stars cut off flat at 30,000 tell the level, to 5%; a field that is not cut has none."""
    spec = PairSpec.small(512, n_stars=200, star_brightest_mag=15.0)
    exposure = simulate_pair(spec, rng=np.random.default_rng(2)).science
    image = np.minimum(exposure.masked_image.image, 8_000.0)
    cut = replace(exposure, masked_image=MaskedImage.from_planes(image))
    found = characterize(bare(cut, saturation=None))
    assert found.summary["saturation_source"] == "measured"
    assert found.summary["saturation"] == pytest.approx(8_000.0, rel=0.05)


def test_nan_pixels_are_no_data(pair):
    """A border and a block of NaN: NO_DATA there, everything else as good as without."""
    image = pair.science.masked_image.image.copy()
    image[:, :20] = np.nan
    image[300:340, 400:460] = np.nan
    broken = replace(pair.science, masked_image=replace(pair.science.masked_image, image=image))
    for exposure in (broken, bare(broken)):
        found = characterize(exposure)
        assert (found.exposure.masked_image.mask[np.isnan(image)] & MaskPlane.NO_DATA != 0).all()
        assert found.summary["fwhm_px"] == pytest.approx(4.0, rel=0.07)
        assert np.isfinite(found.exposure.masked_image.variance[~np.isnan(image)]).all()


def test_correlated_noise_is_measured(pair, rng):
    """Noise averaged over neighbours in x: correlation 0.32 / 0.72 at lag 1, 0.04 / 0.72 at lag 2, as the taps say."""
    taps = np.array([0.2, 0.8, 0.2]) / np.sqrt(0.72)
    noise = rng.normal(0.0, 18.0, (SIZE, SIZE + 2))
    noise = sum(tap * noise[:, k : k + SIZE] for k, tap in enumerate(taps))
    y, x = np.mgrid[:SIZE, :SIZE]
    stars = sum(
        1e5 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8.0) / (8 * np.pi) for a, b in rng.uniform(30, SIZE - 30, (25, 2))
    )
    pixels = MaskedImage.from_planes(noise + stars, variance=18.0**2)
    found = characterize(Exposure(name="resampled", masked_image=pixels))
    correlation = found.exposure.noise_correlation
    assert correlation[4, 5] == pytest.approx(0.32 / 0.72, abs=0.02)
    assert correlation[4, 6] == pytest.approx(0.04 / 0.72, abs=0.02)
    assert np.abs(correlation[5, 3:6]).max() < 0.02
    np.testing.assert_array_equal(correlation, correlation[::-1, ::-1])


def test_aperture_correction_is_one(known):
    """A PSF model of its own stars has nothing to correct: 1 to 1%."""
    assert known.exposure.aperture_corrections["psfFlux"].at(x=384, y=384) == pytest.approx(1.0, abs=0.01)


def test_the_error_of_the_correction_is_what_the_psf_model_leaves(pair, known):
    """The map's error is that of fluxes ΣPD / ΣP² of true stars by the model at 100 places, to a factor of 2.5: three
    dozen stars, of which some ten weigh, tell a scatter to a third and what lies between them no better.
    """
    corrections, psf = known.exposure.aperture_corrections, known.exposure.psf
    ratios = []
    for x, y in itertools.product(np.linspace(40.0, 720.0, 10), repeat=2):
        model, true = psf.kernel_image(x=x, y=y), pair.science_psf_at(x, y)
        margin = (len(true) - len(model)) // 2
        true = true[margin : len(true) - margin, margin : len(true) - margin]
        ratios.append((model * true).sum() / (model**2).sum() / true.sum() * corrections["psfFlux"].at(x=x, y=y))
    left = float(np.sqrt(np.mean((np.array(ratios) - 1.0) ** 2)))
    told = float(corrections["psfFluxErr"].at(x=384, y=384))
    assert left / 2.5 < told < 2.5 * left


def test_no_stars_is_one_sentence(rng):
    """Noise alone: TooFewStarsError with what was found and needed."""
    with pytest.raises(TooFewStarsError, match=r"noise.fits has 0 usable stars among \d+ sources; 3 are needed"):
        characterize(empty_sky(rng))


def test_three_stars_are_enough(rng):
    """The least: three stars, a PSF of order 0."""
    exposure = empty_sky(rng)
    y, x = np.mgrid[:256, :256]
    star = sum(
        3e4 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8.0) / (8 * np.pi) for a, b in ((60, 70), (180, 90), (120, 200))
    )
    pixels = MaskedImage.from_planes(exposure.masked_image.image + star)
    found = characterize(replace(exposure, masked_image=pixels))
    assert found.summary["n_psf_stars"] == 3
    assert found.exposure.psf.field.order == 0
    assert found.summary["fwhm_px"] == pytest.approx(4.71, rel=0.05)


def test_no_star_with_a_whole_core_is_one_sentence(rng):
    """Four stars, and in the core of each two bad columns: too few, not an error of the fit."""
    exposure = empty_sky(rng)
    y, x = np.mgrid[:256, :256]
    places = ((60, 70), (180, 90), (120, 200), (60, 200))
    star = sum(3e4 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8.0) / (8 * np.pi) for a, b in places)
    mask = np.zeros((256, 256), np.int32)
    for a, b in places:
        mask[b - 2 : b + 3, [a - 3, a + 3]] = int(MaskPlane.BAD)
    pixels = MaskedImage.from_planes(exposure.masked_image.image + star, mask=mask)
    with pytest.raises(TooFewStarsError, match=r"of the 4 stars of noise.fits, 0 have a core free of neighbours"):
        characterize(replace(exposure, masked_image=pixels, has_mask=True))


def test_all_stars_saturated_is_its_own_sentence(rng):
    """Flat tops only."""
    exposure = empty_sky(rng)
    y, x = np.mgrid[:256, :256]
    star = sum(3e6 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8.0) for a, b in rng.uniform(40, 216, (8, 2)))
    pixels = MaskedImage.from_planes(np.minimum(exposure.masked_image.image + star, 6e4))
    with pytest.raises(TooFewStarsError, match=r"all \d+ bright stars of noise.fits are saturated"):
        characterize(replace(exposure, masked_image=pixels, info=ObservationInfo(saturation=5e4)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((100, 100), 3.0), "all pixels of bad.fits have the value 3"),
        (np.full((100, 100), np.nan), "bad.fits has no finite pixel"),
        (np.zeros((20, 300)), "bad.fits has 20 x 300 pixels; at least 48"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    """Constant, NaN-only and tiny images: one sentence each."""
    exposure = Exposure(
        name="bad.fits", masked_image=MaskedImage.from_planes(image), has_variance=False, has_mask=False
    )
    with pytest.raises(InputError, match=message):
        characterize(exposure)


def test_crowded_field_is_not_called_correlated(rng):
    """Confusion is no noise: 4000 stars in 400 x 400 px, white noise; variance to 10%, no correlation."""
    size = 400
    image = rng.normal(500.0, 15.0, (size, size))
    offset = np.arange(-15, 16)
    for x, y, flux in zip(
        *rng.uniform(16, size - 17, (2, 4000)), 800 * rng.pareto(1.2, 4000).clip(0, 100), strict=True
    ):
        u, v = offset[None, :] + round(x) - x, offset[:, None] + round(y) - y
        profile = (1 + (u * u + v * v) / 9.0) ** -3.0 * 2 / (np.pi * 9.0)
        image[round(y) - 15 : round(y) + 16, round(x) - 15 : round(x) + 16] += flux * profile
    pixels = MaskedImage.from_planes(image, variance=225.0)
    found = characterize(Exposure(name="bulge", masked_image=pixels))
    assert found.exposure.noise_correlation is None
    assert found.summary["variance_measured_over_claimed"] == pytest.approx(1.0, abs=0.1)
    assert found.summary["fwhm_px"] == pytest.approx(3.06, rel=0.07)


def test_sky_of_a_crowded_field_is_smooth(rng):
    """Where stars leave no sky a mesh would follow their density: the level is a polynomial of order 2, to rounding."""
    x = np.r_[rng.uniform(16, 200, 3000), rng.uniform(200, 383, 1000)]
    y, flux = rng.uniform(16, 383, 4000), 8000 * rng.pareto(1.2, 4000).clip(0, 100)
    image = rng.normal(500.0, 15.0, (400, 400)) + 20.0 * np.linspace(-0.5, 0.5, 400)
    for at_x, at_y, value in zip(np.round(x).astype(int), np.round(y).astype(int), flux, strict=True):
        u = np.arange(-15, 16)
        profile = (1 + (u[None, :] ** 2 + u[:, None] ** 2) / 9.0) ** -3.0 * 2 / (np.pi * 9.0)
        image[at_y - 15 : at_y + 16, at_x - 15 : at_x + 16] += value * profile
    pixels = image.astype(np.float32)
    mask, box = np.zeros(pixels.shape, np.int32), Box.from_shape(pixels.shape)
    sky = measure_sky(pixels, mask, box, options=BackgroundMesh())
    assert sky.is_source.mean() > 0.8
    values = sky.background.values
    v, u = ((at - 200.0) / 200.0 for at in (sky.background.y, sky.background.x))
    terms = chebyshev_terms(*np.meshgrid(u, v), 2).reshape(6, -1).T
    solution, *_ = np.linalg.lstsq(terms, values.ravel(), rcond=None)
    np.testing.assert_allclose(terms @ solution, values.ravel(), atol=1e-6)


def test_options_reach_their_step(pair):
    """A mesh of 128 px cells has 6 x 6 values, and those around it on the borders."""
    found = characterize(pair.science, options=Characterize(background=BackgroundMesh(cell_pixels=128)))
    assert found.background.values.shape == (8, 8)
