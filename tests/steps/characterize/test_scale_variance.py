"""One factor that brings a variance plane to the scatter of the pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from diapipe.errors import InputError
from diapipe.images import Box, ChebyshevField, MaskedImage, MaskPlane
from diapipe.steps.characterize import ScaleVariance, scale_variance
from gaussian_sky import Sky, masked

SHAPE = (256, 256)


def noise(rng, *, claimed=1.0, sigma=1.0, shape=SHAPE):
    """White noise that claims ``claimed`` of its variance."""
    return MaskedImage.from_planes(rng.normal(0.0, sigma, shape), variance=claimed * sigma**2)


@pytest.mark.parametrize("inflated", [1 / 1.345, 1.0, 1.345])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_a_wrong_variance_is_found(rng, inflated, sigma):
    """The factor to 0.05 (SPEC N); from 65536 pixels it is known to 2 x 1.36 / sqrt(65536) = 0.9%."""
    image = noise(rng, claimed=inflated, sigma=sigma)
    found = scale_variance(image)
    assert found.factor == pytest.approx(1.0 / inflated, abs=0.05)
    assert found.mode == "pixel"
    np.testing.assert_allclose(found.masked_image.variance, image.variance * found.factor, rtol=1e-6)
    assert found.masked_image.image is image.image


def test_stars_do_not_count(rng):
    """Science and template of the fixture of SPEC N, 20 stars of flux 500 to 1000 marked DETECTED: still to 0.05."""
    sky = Sky(shape=SHAPE, n_stars=20, faintest=500.0, brightest=1000.0, noise_science=1.0, noise_template=1.0)
    stars = sky.stars(rng)
    for image in sky.exposures(rng, stars):
        for x, y in zip(stars.x, stars.y, strict=True):
            rows, columns = Box.around(x=x, y=y, half=8).intersect(image.box).slices_in(image.box)
            image = masked(image, rows, columns, MaskPlane.DETECTED, 1e3)
        wrong = dataclasses.replace(image.masked_image, variance=image.masked_image.variance / np.float32(1.345))
        assert scale_variance(wrong).factor == pytest.approx(1.345, abs=0.05)


def test_sources_that_nobody_marked_do_not_count_either(rng):
    """40 stars on 256² pixels and an empty mask: to 0.05; believing the mask, or without a margin for the wings, it is
    the farther off the less is left out.
    """
    sky = Sky(shape=SHAPE, n_stars=40, faintest=500.0, brightest=5000.0, noise_science=1.0)
    science, _ = sky.exposures(rng, sky.stars(rng))
    mend, tight, blind = (
        scale_variance(science.masked_image, options=ScaleVariance(**given)).factor
        for given in ({}, {"grow_px": 0}, {"source_sigma": None})
    )
    assert mend == pytest.approx(1.0, abs=0.05)
    assert mend < tight < blind
    assert blind > 1.1


def test_a_higher_threshold_leaves_more_of_the_sources(rng):
    """At 40 sigma only the cores of bright stars are left out."""
    sky = Sky(shape=SHAPE, n_stars=40, faintest=500.0, brightest=5000.0, noise_science=1.0)
    science, _ = sky.exposures(rng, sky.stars(rng))
    low, high = (scale_variance(science.masked_image, options=ScaleVariance(source_sigma=n)).factor for n in (4, 40))
    assert low < high


def test_noise_alone_has_no_sources(rng):
    """Looking for some takes less than 0.5% of the variance with it: the tail of a Gaussian beyond 4 sigma, grown."""
    image = noise(rng, shape=(700, 700))
    found, plain = (scale_variance(image, options=ScaleVariance(source_sigma=n)).factor for n in (4.0, None))
    assert found == pytest.approx(plain, abs=0.005)


def test_a_sloping_sky_is_taken_off_first_and_stays(rng):
    """A sky that varies by 30 sigma: without the mesh its slope would count as scatter. The pixels stay."""
    image = noise(rng)
    box = Box.from_shape(SHAPE)
    tilted = dataclasses.replace(image, image=image.image + ChebyshevField(np.array([50.0, 10.0, -5.0]), box).over(box))
    found = scale_variance(tilted)
    assert found.factor == pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(found.masked_image.image, tilted.image)
    flat = scale_variance(tilted, options=ScaleVariance(background_cell_px=0, limit=1e4))
    assert flat.factor > 10.0


@pytest.mark.parametrize("plane", ["DETECTED", "DETECTED_NEGATIVE", "BAD", "SAT", "NO_DATA", "INTRP", "CR", "EDGE"])
def test_masked_pixels_are_left_out(rng, plane):
    """Half of the frame scatters tenfold under the plane; the rest tells the truth. Unmasked it would not."""
    image = noise(rng)
    pixels, mask = image.image.copy(), image.mask.copy()
    pixels[::2] *= 10.0
    mask[::2] |= int(MaskPlane[plane])
    spoiled = dataclasses.replace(image, image=pixels, mask=mask)
    assert scale_variance(spoiled).factor == pytest.approx(1.0, abs=0.05)
    nothing_masked = ScaleVariance(planes=MaskPlane.SUSPECT, limit=1e3)
    assert scale_variance(spoiled, options=nothing_masked).factor > 2.0


@pytest.mark.parametrize("plane", ["STREAK", "STREAK_TEMPLATE", "CR", "BAD_TEMPLATE"])
def test_what_was_filled_on_a_difference_is_left_out(rng, plane):
    """A satellite's trail, filled before the difference was made white, has next to no noise: 8% of the pixels without
    any would make the variance 15% too small.
    """
    image = noise(rng)
    pixels, mask = image.image.copy(), image.mask.copy()
    pixels[100:121] = 0.0
    mask[100:121] |= int(MaskPlane[plane])
    assert scale_variance(dataclasses.replace(image, image=pixels, mask=mask)).factor == pytest.approx(1.0, abs=0.03)


def test_beyond_the_limit_the_whole_image_is_asked(rng):
    """Variances of next to nothing on 49.9% of the pixels: a quarter lies beyond 3.1 claimed sigma, a factor of 21.
    The median variance and the scatter of the whole image are right.
    """
    image = noise(rng)
    variance = image.variance.copy()
    variance.ravel()[rng.permutation(variance.size)[: int(0.499 * variance.size)]] /= 1e8
    found = scale_variance(dataclasses.replace(image, variance=variance))
    assert found.mode == "image"
    assert found.factor == pytest.approx(1.0, abs=0.05)


def test_a_plane_that_is_no_variance_is_refused(rng):
    """Both ways above the limit, which is a parameter."""
    image = noise(rng, claimed=1 / 25.0)
    with pytest.raises(InputError, match=r"the pixels of night.fits have 2\d.*; at most 10 is mended"):
        scale_variance(image, name="night.fits")
    assert scale_variance(image, options=ScaleVariance(limit=30.0)).factor == pytest.approx(25.0, rel=0.05)


def test_nothing_to_measure_on_changes_nothing(rng):
    """Fewer than two usable pixels: 1."""
    image = noise(rng)
    masked = dataclasses.replace(image, mask=np.full(SHAPE, int(MaskPlane.NO_DATA), np.int32))
    assert scale_variance(masked) == (masked, 1.0, "none")


def test_a_large_image_is_sampled(rng):
    """4 x 4 tiles of a frame of 1100 x 1300 pixels tell the factor to 0.5%, as the whole would."""
    image = noise(rng, claimed=0.5, shape=(1100, 1300))
    assert scale_variance(image).factor == pytest.approx(2.0, rel=0.015)
