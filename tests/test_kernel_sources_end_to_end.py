"""From source lists to the difference: the rows of SPEC N on kernel sources, scaled variances and the background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.catalogs.source_tables import source_list, source_table
from diapipe.errors import TooFewStarsError
from diapipe.images import Box, ChebyshevField, MaskPlane, add_background
from diapipe.steps.characterize import scale_variance
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.match import AlardLupton, Given, candidate_quality, match
from diapipe.steps.select import KernelSources, ObjectSize, PointSources, measured_sources, select
from diapipe.steps.subtract import subtract
from gaussian_sky import Sky, drawn, exposure, masked, star_list, with_planes

SKY = Sky(
    sigma_science=2.4,
    sigma_template=2.0,
    noise_science=1.0,
    noise_template=1.0,
    shape=(256, 256),
    n_stars=20,
    brightest=1e4,
    faintest=5e3,
)
INFLATED = 1.345
GIVEN = AlardLupton(candidates=Given(), spatial_order=0)


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def detected(image, stars):
    """The exposure with its stars marked."""
    for x, y in zip(stars.x, stars.y, strict=True):
        cut = Box.around(x=x, y=y, half=12).intersect(image.box).slices_in(image.box)
        kept = image.masked_image.image[cut]
        image = masked(image, *cut, MaskPlane.DETECTED, kept)
    return image


def difference_of(science, template, stars, *, whitened, background_order=2):
    found = match(science, template, stars, algorithm=replace(GIVEN, background_order=background_order))
    whitening = decorrelate(template, science, found.kernel, algorithm=Afterburner()) if whitened else None
    return found, subtract(
        science, template, found.kernel, found.background, convolved=found.convolved, whitening=whitening
    )


def sky_of(difference, stars, *, away=16):
    """Pixels and variances far from stars and border."""
    y, x = np.mgrid[: SKY.shape[0], : SKY.shape[1]]
    free = (x > 40) & (x < 216) & (y > 40) & (y < 216)
    for a, b in zip(stars.x, stars.y, strict=True):
        free &= np.hypot(x - a, y - b) > away
    planes = difference.exposure.masked_image
    return planes.image[free].astype(float), planes.variance[free].astype(float)


@pytest.mark.parametrize("whitened", [True, False])
@pytest.mark.parametrize("wrong", ["science", "template"])
def test_a_scaled_variance_is_that_of_the_pixels(scene, wrong, whitened):
    """An image that claims 1.345 of its variance: the factor is found to 0.05, and the variance of the difference is
    that of right inputs to 5%; whitened, its pixels scatter so to 10%.
    """
    stars, *right = scene
    right = [detected(image, stars) for image in right]
    images = dict(zip(("science", "template"), right, strict=True))
    spoiled = images | {wrong: with_planes(images[wrong], variance=images[wrong].masked_image.variance * INFLATED)}
    scaled = {name: scale_variance(image.masked_image) for name, image in spoiled.items()}
    for name, found in scaled.items():
        assert found.factor == pytest.approx(1.0 / INFLATED if name == wrong else 1.0, abs=0.05)
    mended = [replace(spoiled[name], masked_image=found.masked_image) for name, found in scaled.items()]
    (pixels, variance), (_, expected) = (
        sky_of(difference_of(*pair, stars, whitened=whitened)[1], stars) for pair in (mended, right)
    )
    assert variance.mean() == pytest.approx(expected.mean(), rel=0.05)
    if whitened:
        assert variance.mean() == pytest.approx(SKY.noise_science**2 + SKY.noise_template**2, rel=0.06)
        assert pixels.var() == pytest.approx(variance.mean(), rel=0.1)


def test_a_difference_can_be_scaled_too(scene):
    """A whitened difference of images that claim twice their noise: half of it, to 0.05 of the factor."""
    stars, *images = scene
    images = [with_planes(detected(i, stars), variance=i.masked_image.variance * 2.0) for i in images]
    _, difference = difference_of(*images, stars, whitened=True)
    assert scale_variance(difference.exposure.masked_image).factor == pytest.approx(0.5, abs=0.05)


def test_a_background_of_the_science_image_is_fitted(rng):
    """Given back to the science image as a field of the second order, it is what the match finds of it, each of the six
    coefficients to five times the error that 30 stamps of 41 px give, and the difference is flat: its std to 10%.
    """
    sky = replace(SKY, n_stars=30)
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    truth = np.array([30.0, 2.0, -1.5, 0.8, 0.4, -0.6])
    bright = add_background(science, ChebyshevField(truth, science.box))
    found, difference = difference_of(bright, template, stars, whitened=True)
    error = np.sqrt(2.0) / 41 / np.sqrt(30 / 6)
    np.testing.assert_allclose(found.background.coefficients, truth, atol=5 * error)
    pixels, _ = sky_of(difference, stars)
    assert pixels.std() == pytest.approx(np.sqrt(2.0), rel=0.1)
    assert science.masked_image.image.mean() < 10.0


def test_the_kernel_is_fitted_to_the_chosen_sources(rng, scene):
    """Table in, selection, match: stars flagged, blurred or too faint make no kernel, every other source of the list
    does, and of the controls none.
    """
    stars, science, template = scene
    table = source_table(measured_sources(science, stars))
    table["pixelFlags_saturatedCenter"][3] = True
    table["ixx"][4] = table["iyy"][4] = 30.0
    table["psfFluxErr"][5] = table["psfFlux"][5] / 20.0
    selection = select(
        source_list(table), selector=ObjectSize(clip_sigma=8.0), options=KernelSources(matched_to="nothing")
    )
    chosen = selection.kernel_sources
    assert not {3, 4, 5} & {*selection.kernel, *selection.control}
    assert len(selection.kernel) + len(selection.control) == 17
    found = match(science, template, chosen.stars(), algorithm=GIVEN)
    np.testing.assert_array_equal(np.sort(found.candidates.x), np.sort(chosen.x))
    quality = candidate_quality(found, science, template, selection.control_sources, algorithm=GIVEN)
    assert len(quality) == 4
    np.testing.assert_allclose(quality["KCDiffimChiSq_SPATIAL"], 1.0, atol=5 * np.sqrt(2 / 41**2))
    assert (quality["KCKernelStatus_LOCAL"] == 2).all()


def test_of_the_sources_the_best_are_taken(scene):
    """SPEC N, kernel_source_selector: bad flags gone, as many as asked for, of the highest S/N; too few are refused."""
    stars, science, _ = scene
    sources = measured_sources(science, stars)
    sources.flags["pixelFlags_badCenter"][:2] = True
    options = KernelSources(matched_to="nothing", control_step=None)
    found = select(sources, selector=PointSources(max_sources=5, max_signal_to_noise=None), options=options).kernel
    expected = np.argsort(-np.where(np.arange(20) < 2, 0.0, sources.signal_to_noise))[:5]
    assert set(found) == set(expected)
    with pytest.raises(TooFewStarsError, match="; 19 are needed"):
        select(sources, selector=PointSources(min_sources=19, max_signal_to_noise=None), options=options)


def test_one_source_is_not_enough(rng):
    """SPEC N, few_sources."""
    star = star_list(np.array([60.0]), np.array([64.0]), np.array([1e4]), noise=1.0, sigma=2.4)
    science, template = (
        exposure(name, drawn((128, 128), star.x, star.y, star.flux, sigma=sigma), 1.0, sigma, rng)
        for name, sigma in (("science", 2.4), ("template", 2.0))
    )
    with pytest.raises(TooFewStarsError, match=r"science has 1 source .* 3 are needed"):
        match(science, template, star, algorithm=GIVEN)
