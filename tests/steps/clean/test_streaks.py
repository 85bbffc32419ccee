"""Streaks: the whole line is masked and nothing else is; stars, bleeds and borders are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane
from diapipe.steps.clean import AMONG_STARS, Clean, Streaks, clean, mask_streaks
from toy_difference import toy_parts

SIZE = 400
STREAK = int(MaskPlane.STREAK)


def image_of(light=0.0, *, rng, mask=None, shape=(SIZE, SIZE), box=None) -> Exposure:
    planes = MaskedImage.from_planes(rng.normal(size=shape) + light, mask=mask, variance=1.0, box=box)
    return Exposure(name="difference", masked_image=planes, psf=GaussianPsf(2.0))


def band(angle: float, *, half: float, ramp: float, amplitude: float, shape=(SIZE, SIZE)):
    """A straight band whose profile is a trapezoid."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    across = np.abs((x - shape[1] / 2) * np.sin(angle) - (y - shape[0] / 2) * np.cos(angle))
    return np.clip(amplitude * (half - across) / ramp, 0.0, amplitude)


def streak_of(exposure: Exposure, plane: int = STREAK) -> np.ndarray:
    return (exposure.masked_image.mask & plane) != 0


def test_noise_has_no_streak(rng):
    """Nothing is masked, and the exposure is the one that was given."""
    given = image_of(rng=rng)
    found, streaks = mask_streaks(given, options=Streaks())
    assert found is given
    assert streaks == []


@pytest.mark.parametrize("turned", [False, True])
def test_a_short_bright_streak_is_masked_from_border_to_border(turned, rng):
    """50 sigma on 3 x 160 pixels of 400 x 400: all of them, and the line beyond, which is under 5% of the image."""
    light = np.zeros((SIZE, SIZE))
    light[201:204, 40:200] = 50.0
    found, streaks = mask_streaks(image_of(light.T if turned else light, rng=rng), options=Streaks())
    masked = streak_of(found).T if turned else streak_of(found)
    assert masked[201:204].all()
    assert masked.mean() < 0.05
    assert len(streaks) == 1


def test_by_option_only_the_part_that_was_seen(rng):
    """``segment``: all of the streak, and at most two pieces of 16 px beyond either end."""
    light = np.zeros((SIZE, SIZE))
    light[201:204, 40:200] = 50.0
    found, _ = mask_streaks(image_of(light, rng=rng), options=Streaks(extent="segment"))
    assert streak_of(found)[201:204, 40:200].all()
    assert not streak_of(found)[:, 232:].any()
    assert not streak_of(found)[:, :8].any()


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, np.pi / 2, 2.5])
def test_a_faint_wide_streak_is_masked_where_it_is_full(angle, rng):
    """A trapezoid of 5 sigma, 100 px wide: every pixel of its plateau, and less than half of the image."""
    light = band(angle, half=50.0, ramp=10.0, amplitude=5.0)
    found, streaks = mask_streaks(image_of(light, rng=rng), options=Streaks())
    assert streak_of(found)[light >= 5.0].all()
    assert streak_of(found).mean() < 0.5
    assert len(streaks) == 1


@pytest.mark.parametrize("angle", [0.4, 1.9])
def test_a_trail_fainter_than_the_noise_is_found(angle, rng):
    """Less than a pixel's noise at its brightest, 3 px wide: no pixel shows it, the line does."""
    light = band(angle, half=3.0, ramp=6.0, amplitude=1.6, shape=(1000, 1000))
    found, streaks = mask_streaks(image_of(light, rng=rng, shape=(1000, 1000)), options=Streaks())
    assert len(streaks) == 1
    assert streak_of(found)[light > 0].mean() > 0.98
    assert streak_of(found).mean() < 0.03
    assert streaks[0].width_px < 25


def test_two_streaks_and_their_places(rng):
    """Both, each told by its ends in parent coordinates."""
    shape, box = (600, 600), Box(1000, 1600, -300, 300)
    light = band(0.5, half=3.0, ramp=2.0, amplitude=8.0, shape=shape)
    light = light + band(2.0, half=3.0, ramp=2.0, amplitude=4.0, shape=shape)
    found, streaks = mask_streaks(image_of(light, rng=rng, shape=shape, box=box), options=Streaks())
    assert len(streaks) == 2
    assert streaks[0].significance > streaks[1].significance
    assert streak_of(found)[light > 3.0].all()
    for streak, angle in zip(streaks, (0.5, 2.0), strict=True):
        direction = np.arctan2(streak.y1 - streak.y0, streak.x1 - streak.x0) % np.pi
        assert direction == pytest.approx(angle, abs=0.01)
        middle = (0.0 - streak.x0) * np.sin(direction) - (1300.0 - streak.y0) * np.cos(direction)
        assert abs(middle) < 4


def test_dark_streaks_are_those_of_the_template(rng):
    """A negative line gets STREAK_TEMPLATE; by option only the science image's are looked for."""
    given = image_of(-band(0.7, half=3.0, ramp=2.0, amplitude=8.0), rng=rng)
    found, streaks = mask_streaks(given, options=Streaks())
    assert not streak_of(found).any()
    assert streak_of(found, int(MaskPlane.STREAK_TEMPLATE)).any()
    assert streaks[0].significance < 0
    assert mask_streaks(given, options=Streaks(signs="positive"))[1] == []


def test_stars_in_a_row_and_blobs_are_no_streaks(rng):
    """Residuals of 300 sigma on 150 stars, ten of them in a row, and a broad bright cloud."""
    y, x = np.mgrid[:SIZE, :SIZE]
    light = np.zeros((SIZE, SIZE))
    places = [*rng.uniform(10, SIZE - 10, (150, 2)), *[(40 + 33 * k, 60 + 30 * k) for k in range(10)]]
    for at_x, at_y in places:
        light += rng.choice([-1, 1]) * 40.0 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 8.0)
    light += 3.0 * np.exp(-((x - 300) ** 2 + (y - 100) ** 2) / (2 * 60.0**2))
    assert mask_streaks(image_of(light, rng=rng), options=Streaks())[1] == []


def stars_in_a_row(rng, *, size=300):
    """Bright stars, of halos that meet, at random places along a line; their light, and its angle."""
    y, x = np.mgrid[:size, :size]
    light = np.zeros((size, size))
    for along in rng.uniform(20, size - 20, 10):
        at_x, at_y = along, 60 + 0.5 * along + rng.normal(0, 4)
        light += 10 ** rng.uniform(1.5, 3) * (1 + ((x - at_x) ** 2 + (y - at_y) ** 2) / 16.0) ** -2.5
    return light, float(np.arctan(0.5))


def test_a_few_bright_stars_that_chance_to_stand_in_a_row_are_no_streak(rng):
    """None in 8 images that would have some if a streak had not to be even: there is sky between stars."""
    careless = replace(AMONG_STARS, least_evenness=0.0)
    images = [image_of(stars_in_a_row(rng)[0], rng=rng, shape=(300, 300)) for _ in range(8)]
    assert not any(mask_streaks(image, options=AMONG_STARS)[1] for image in images)
    assert sum(bool(mask_streaks(image, options=careless)[1]) for image in images) >= 2


def test_a_trail_across_bright_stars_is_masked(rng):
    """Five sigma a pixel and as wide as a star, square to ten stars in a row: all of it."""
    light, angle = stars_in_a_row(rng)
    trail = band(angle + np.pi / 2, half=5.0, ramp=5.0, amplitude=5.0, shape=light.shape)
    found, streaks = mask_streaks(image_of(light + trail, rng=rng, shape=light.shape), options=AMONG_STARS)
    assert len(streaks) == 1
    assert streak_of(found)[trail > 1.0].all()
    assert streak_of(found).mean() < 0.15


@pytest.mark.parametrize("turned", [False, True])
def test_what_bleeds_out_of_a_saturated_star_is_no_streak(turned, rng):
    """A line along a column or row through saturated pixels is the detector's; the same at an angle is a streak."""
    light, mask = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE), np.int32)
    light[:, 200:204], mask[190:210, 195:209] = 20.0, MaskPlane.SAT
    if turned:
        light, mask = light.T, mask.T
    assert mask_streaks(image_of(light, rng=rng, mask=mask), options=Streaks())[1] == []
    slanted = band(0.6, half=3.0, ramp=2.0, amplitude=20.0)
    assert len(mask_streaks(image_of(slanted, rng=rng, mask=mask), options=Streaks())[1]) == 1


def test_patterns_of_the_readout_are_no_streaks(rng):
    """Rows off by a third of the noise, an amplifier by half of it, a slope of two: faint along an axis, or broad."""
    shape = (800, 800)
    rows = np.repeat(rng.normal(0, 0.4, 200), 4)[:, None]
    step = np.where(np.arange(800) < 350, 0.25, -0.25)[None, :]
    slope = np.linspace(-1, 1, 800)[:, None]
    for light in (rows, rows.T, step, slope, rows + step):
        given = image_of(np.broadcast_to(light, shape), rng=rng, shape=shape)
        assert mask_streaks(given, options=Streaks())[1] == []


def test_light_along_a_border_is_no_streak(rng):
    """A bright margin beside pixels without data: the image ends there."""
    light, mask = np.zeros((SIZE, SIZE)), np.zeros((SIZE, SIZE), np.int32)
    light[:, 50:56], mask[:, :50] = 5.0, MaskPlane.NO_DATA
    assert mask_streaks(image_of(light, rng=rng, mask=mask), options=Streaks())[1] == []


@pytest.mark.parametrize(
    ("options", "n"),
    [
        ({}, 1),
        ({"max_streaks": 3, "profile_sigma": 1e6}, 0),
        ({"line_sigma": 1e6}, 0),
        ({"max_width_px": 8.0}, 0),
        ({"min_length_px": 4000.0}, 0),
    ],
)
def test_thresholds_refuse_a_streak(options, n, rng):
    """Each of the limits alone keeps a plain streak of 20 px from being one."""
    given = image_of(band(0.6, half=10.0, ramp=2.0, amplitude=10.0), rng=rng)
    assert len(mask_streaks(given, options=Streaks(**options))[1]) == n


def test_the_mask_ends_where_the_profile_does(rng):
    """With ramps of 40 px from 8 sigma to nothing, a level of 4 sigma is passed half-way down: 40 px less in width."""
    given = image_of(band(0.6, half=50.0, ramp=40.0, amplitude=8.0), rng=rng)
    widths = [mask_streaks(given, options=Streaks(edge_level_sigma=e))[1][0].width_px for e in (0.1, 4.0)]
    assert widths[0] - widths[1] == pytest.approx(40.0, abs=10.0)


@pytest.mark.parametrize(
    ("options", "n"),
    [({}, 1), ({"least_share": 0.9}, 0), ({"least_elongation": 40.0}, 0), ({"block_px": 8}, 1), ({"block_px": 2}, 1)],
)
def test_a_piece_of_a_line(options, n, rng):
    """50 sigma on 3 x 160 pixels: seen in two thirds of the pieces of its strip, 20 times as long as wide."""
    light = np.zeros((SIZE, SIZE))
    light[201:204, 40:200] = 50.0
    assert len(mask_streaks(image_of(light, rng=rng), options=Streaks(**options))[1]) == n


def test_the_margin_widens_the_mask(rng):
    """Ten pixels more on either side: 20 px in width."""
    given = image_of(band(0.6, half=10.0, ramp=2.0, amplitude=10.0), rng=rng)
    widths = [mask_streaks(given, options=Streaks(margin_px=m))[1][0].width_px for m in (4.0, 14.0)]
    assert widths[1] - widths[0] == pytest.approx(20.0)


@pytest.mark.parametrize("shape", [(3, 3), (20, 500), (129, 7)])
def test_small_and_empty_images(shape, rng):
    """Smaller than a streak, or without a usable pixel: nothing, and no warning."""
    assert mask_streaks(image_of(rng=rng, shape=shape), options=Streaks())[1] == []
    lost = np.full(shape, int(MaskPlane.NO_DATA), np.int32)
    assert mask_streaks(image_of(rng=rng, shape=shape, mask=lost), options=Streaks())[1] == []


def test_the_verb_sets_both_planes_and_leaves_its_input(rng):
    """`clean` masks the rays and the streak, tells both, changes nothing that it was given; None leaves a part out."""
    difference = toy_parts(rng)["difference"]
    planes = difference.exposure.masked_image
    light = 50.0 * band(0.6, half=3.0, ramp=2.0, amplitude=1.0, shape=planes.shape)
    pixels = planes.image + light.astype(np.float32)
    pixels[100, 300] += 2000.0
    given = replace(difference, exposure=replace(difference.exposure, masked_image=replace(planes, image=pixels)))
    before = given.exposure.masked_image.mask.copy()
    cleaned = clean(given)
    np.testing.assert_array_equal(given.exposure.masked_image.mask, before)
    mask = cleaned.difference.exposure.masked_image.mask
    assert mask[100, 300] & int(MaskPlane.CR)
    assert cleaned.n_cosmic_ray_pixels == 1
    assert len(cleaned.streaks) == 1
    nothing = clean(given, options=Clean(cosmic_rays=None, streaks=None))
    np.testing.assert_array_equal(nothing.difference.exposure.masked_image.mask, before)
