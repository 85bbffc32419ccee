"""match against what is known in closed form: two Gaussians, flux ratios, constants, shifts; and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from diapipe.errors import InputError, TooFewStarsError, UsageError
from diapipe.images import Box, GaussianPsf, MaskPlane
from diapipe.images.fields import scaled_coordinates
from diapipe.steps.match import AlardLupton, DeltaFunction, clipping, match
from diapipe.steps.match.candidates import spread_candidates
from gaussian_sky import Sky, drawn, exposure, masked, moved_to, star_list, width_squared, with_planes

QUIET = Sky(noise_science=1.0, noise_template=1.0, template_scale=2.5, background=7.0)
MIDDLE = {"x": 170.0, "y": 150.0}


def matched(sky, rng, *, algorithm=None, **changes):
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    return match(science, template, stars, algorithm=replace(algorithm or AlardLupton(), **changes))


@pytest.mark.parametrize("widths", [(1.3, 1.35), (1.4, 1.9), (1.2, 2.4), (1.2, 3.6)])
@pytest.mark.parametrize("convolved", ["template", "science"])
def test_two_gaussians_give_a_gaussian(widths, convolved, rng):
    """σ_K² = σ_S² - σ_T² from the second moments, ΣK = flux ratio, b = difference of the skies; either way round.

    The moments weigh the kernel's outermost pixels most: 1% and 0.05 px². The stars' S/N of 1e5 would fix the sum to
    1e-5; the error allowed to the model (0.2% of a pixel) leaves 3e-4.
    """
    narrow, wide = widths if convolved == "template" else widths[::-1]
    found = matched(replace(QUIET, sigma_template=narrow, sigma_science=wide), rng)
    kernel = found.kernel.image_at(**MIDDLE)
    assert found.convolved == convolved
    name = {"science": "science image", "template": "template"}[convolved]
    assert f"the {name} was convolved because its PSF is the sharper one" in found.reason
    assert width_squared(kernel) == pytest.approx(abs(wide**2 - narrow**2), rel=0.01, abs=0.05)
    ratio = 1.0 / QUIET.template_scale
    sums, background = (ratio, 7.0) if convolved == "template" else (1.0 / ratio, -7.0 / ratio)
    assert found.kernel_sum == pytest.approx(sums, rel=5e-4)
    assert float(found.background.at(**MIDDLE)) == pytest.approx(background, abs=0.05 / min(ratio, sums))
    assert found.spatial_order == 0


def test_free_pixels_find_the_same_kernel(rng):
    """The delta-function basis knows nothing of Gaussians: the sum to 5e-4; smoothness takes up to 3% of the peak."""
    found = matched(QUIET, rng, algorithm=DeltaFunction())
    kernel = found.kernel.image_at(**MIDDLE)
    expected = 0.4 * GaussianPsf(1.65**0.5, len(kernel)).kernel_image(x=0, y=0)
    assert found.kernel_sum == pytest.approx(0.4, rel=5e-4)
    np.testing.assert_allclose(kernel, expected, atol=0.03 * expected.max())
    assert width_squared(kernel) == pytest.approx(1.65, rel=0.02)


def test_equal_psfs_give_a_delta(rng):
    """Nothing to convolve: a star through the kernel is itself, times the flux ratio, to 1% of its peak."""
    found = matched(replace(QUIET, sigma_template=1.5, sigma_science=1.5), rng)
    kernel, star = found.kernel.image_at(**MIDDLE), GaussianPsf(1.5, 61).kernel_image(x=0, y=0)
    through = signal.fftconvolve(star, kernel, mode="same")
    assert width_squared(kernel) == pytest.approx(0.0, abs=0.05)
    assert np.abs(through / found.kernel_sum - star).max() < 0.01 * star.max()


def test_the_way_round_can_be_asked_for(rng):
    """The wider image convolved: the kernel sharpens, and its sum is still the flux ratio to 0.2%.

    Where it must sharpen by more, the noise it makes hides its sum: 2% at 1.9 px to 1.7 px.
    """
    found = matched(replace(QUIET, sigma_template=1.75, sigma_science=1.7), rng, convolve="template")
    assert (found.convolved, "was asked for" in found.reason) == ("template", True)
    assert found.kernel_sum == pytest.approx(0.4, rel=0.002)


@pytest.mark.parametrize("algorithm", [AlardLupton(), DeltaFunction()])
def test_the_scale_of_the_template_scales_the_kernel_alone(algorithm, rng):
    """Template, and its sigma, times 1024: kernel / 1024, background the same; a power of two rounds nothing away."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    planes = template.masked_image
    scaled = with_planes(
        template, image=planes.image * np.float32(1024), variance=planes.variance * np.float32(1024**2)
    )
    one, other = (match(science, t, stars, algorithm=algorithm) for t in (template, scaled))
    unit = np.abs(one.kernel.field.images).max()
    np.testing.assert_allclose(1024 * other.kernel.field.images, one.kernel.field.images, atol=1e-9 * unit)
    np.testing.assert_allclose(other.background.coefficients, one.background.coefficients, atol=1e-9)


@pytest.mark.parametrize("algorithm", [AlardLupton(), DeltaFunction()])
def test_a_constant_moves_the_background_alone(algorithm, rng):
    """Science plus 40, template plus 20: background plus 40 - 20 ΣK; the weights change by a few parts in 1e4."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    lifted = [
        with_planes(image, image=image.masked_image.image + np.float32(c))
        for image, c in ((science, 40), (template, 20))
    ]
    one = match(science, template, stars, algorithm=algorithm)
    other = match(*lifted, stars, algorithm=algorithm)
    unit = np.abs(one.kernel.field.images).max()
    np.testing.assert_allclose(other.kernel.field.images, one.kernel.field.images, atol=1e-2 * unit)
    change = other.background.coefficients - one.background.coefficients
    assert change[0] == pytest.approx(40 - 20 * other.kernel_sum, abs=0.1)
    np.testing.assert_allclose(change[1:], 0.0, atol=0.1)


def test_coordinates_are_those_of_the_parent(rng):
    """The same pixels at another place of a larger image: the same kernel at the moved position."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    here = match(science, template, stars, algorithm=AlardLupton(spatial_order=1))
    moved = replace(stars, x=stars.x + 4096, y=stars.y - 512)
    there = match(
        moved_to(science, x0=4096, y0=-512), moved_to(template, x0=4096, y0=-512), moved,
        algorithm=AlardLupton(spatial_order=1),
    )  # fmt: skip
    assert there.kernel.box == Box(-512, -212, 4096, 4436)
    np.testing.assert_allclose(
        there.kernel.image_at(x=4096 + 33, y=-512 + 200), here.kernel.image_at(x=33, y=200), atol=1e-5
    )


def test_a_cut_is_matched_by_its_own_stars(rng):
    """Cutting both exposures leaves positions as they are; stars outside the cut take no part."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    cut = Box(40, 260, 90, 330)
    found = match(science[cut], template[cut], stars, algorithm=AlardLupton())
    inside = (stars.x > 93) & (stars.x < 326) & (stars.y > 43) & (stars.y < 256)
    assert len(found.candidates) == inside.sum()
    assert found.kernel_sum == pytest.approx(0.4, rel=1e-3)


def test_a_varying_psf_is_followed(rng):
    """Science stars widen from 1.6 to 2.3 px across the frame: σ_K² follows to 4%, where a constant is off by 40%.

    The order found is above zero, and the sum of the kernel is the same everywhere.
    """
    sky = replace(QUIET, shape=(400, 400), n_stars=100)
    stars = sky.stars(rng)
    u, _ = scaled_coordinates(Box.from_shape(sky.shape), x=stars.x, y=stars.y)
    width = 1.95 + 0.35 * u
    light = sum(
        drawn(sky.shape, *map(np.atleast_1d, s), sigma=w)
        for *s, w in zip(stars.x, stars.y, stars.flux, width, strict=True)
    )
    science = exposure("science", light, 1.0, 1.95, rng)
    _, template = sky.exposures(rng, stars)
    found = match(science, template, stars, algorithm=AlardLupton())
    assert found.spatial_order >= 1
    for x in (40.0, 200.0, 360.0):
        expected = (1.95 + 0.35 * (x - 199.5) / 200) ** 2 - 1.4**2
        assert width_squared(found.kernel.image_at(x=x, y=200)) == pytest.approx(expected, rel=0.04, abs=0.03)
        assert found.kernel.sum_at(x=x, y=200) == pytest.approx(0.4, rel=2e-3)


def test_noise_of_an_equally_deep_template_does_not_bias_the_flux_scale(rng):
    """Twenty pairs, stars of S/N 15 to 600: the mean kernel sum is the flux ratio within three errors of the mean."""
    sky = Sky(noise_science=10.0, noise_template=10.0, shape=(240, 240), n_stars=36, brightest=2e4, faintest=3e3)
    sums = [matched(sky, rng, spatial_order=0, background_order=0).kernel_sum for _ in range(20)]
    error = np.std(sums) / np.sqrt(len(sums))
    assert error < 0.004
    assert np.mean(sums) == pytest.approx(1.0, abs=3 * error + 5e-4)


def test_masked_pixels_are_left_out_and_stamps_kept(rng):
    """A bad column of nonsense through every third star costs no stamp, and nothing of the kernel (to 0.1%)."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    for x in stars.x[::3]:
        column = int(x + 0.5)
        science = masked(science, slice(None), slice(column, column + 2), MaskPlane.BAD, 1e5)
        template = masked(template, slice(None), slice(column - 6, column - 4), MaskPlane.BAD, np.nan)
    found = match(science, template, stars, algorithm=AlardLupton())
    assert found.candidates.kept.mean() > 0.9
    assert found.kernel_sum == pytest.approx(0.4, rel=1e-3)
    assert width_squared(found.kernel.image_at(**MIDDLE)) == pytest.approx(1.65, rel=0.02, abs=0.02)


def test_what_changed_is_found_out_and_named(rng):
    """A variable star and a new one beside a candidate are clipped, with the reason; the kernel does not feel them."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    order = np.argsort(-stars.flux)
    variable, beside = order[3], order[10]
    change = drawn(
        QUIET.shape,
        np.array([stars.x[variable], stars.x[beside] + 6]),
        np.array([stars.y[variable], stars.y[beside] + 3]),
        np.array([0.3 * stars.flux[variable], 0.2 * stars.flux[beside]]),
        sigma=QUIET.sigma_science,
    )
    science = with_planes(science, image=science.masked_image.image + change.astype(np.float32))
    found = match(science, template, stars, algorithm=AlardLupton())
    at = np.argmin(np.hypot(found.candidates.x - stars.x[variable], found.candidates.y - stars.y[variable]))
    assert not found.candidates.kept[at]
    assert found.candidates.why_rejected[at] in ("high residuals", "pixels far from the model")
    assert found.kernel_sum == pytest.approx(0.4, rel=1e-3)


def test_the_fit_ends_whatever_the_pixels_hold(rng):
    """Stars against noise with the tails of a Cauchy distribution: a finite kernel, and none of the light in it."""
    stars = Sky().stars(rng)
    science, _ = Sky().exposures(rng, stars)
    template = exposure("other", rng.standard_cauchy((300, 340)) * 100, 10.0, 1.4, rng)
    found = match(science, template, stars, algorithm=AlardLupton())
    assert np.isfinite(found.kernel.field.images).all()
    assert abs(found.kernel.sum) < 0.01


def test_the_result_is_the_same_twice(rng):
    """Bit for bit."""
    stars = Sky().stars(rng)
    pair = Sky().exposures(rng, stars)
    one, other = (match(*pair, stars, algorithm=AlardLupton()) for _ in range(2))
    np.testing.assert_array_equal(one.kernel.field.images, other.kernel.field.images)
    np.testing.assert_array_equal(one.background.coefficients, other.background.coefficients)


def test_candidates_are_bright_unsaturated_apart_and_from_everywhere(rng):
    """None near another or the border, none faint or saturated, and every quarter of the frame has its share."""
    n = 3000
    stars = star_list(*rng.uniform(0, 1000, (2, n)), 10 ** rng.uniform(2, 5, n), noise=10.0, sigma=2.0)
    stars = replace(stars, is_saturated=rng.random(n) < 0.2)
    chosen = spread_candidates(stars, Box(0, 1000, 0, 1000), at_most=80, margin=5, distance=20)
    x, y = stars.x[chosen], stars.y[chosen]
    assert len(chosen) == len(set(chosen)) == 80
    assert not stars.is_saturated[chosen].any()
    assert (stars.flux > 20 * stars.flux_err)[chosen].all()
    assert min(x.min(), y.min(), 999 - x.max(), 999 - y.max()) > 5
    distance = np.hypot(x[:, None] - x, y[:, None] - y)[~np.eye(80, dtype=bool)]
    assert distance.min() >= 20
    assert np.histogram2d(x, y, bins=2)[0].min() >= 10


@pytest.mark.parametrize(("n_bright", "n_chosen"), [(90, 90), (25, 60)])
def test_faint_sources_only_where_bright_ones_are_few(n_bright, n_chosen, rng):
    """All above S/N 120 if they are 60 or more; else the best 60."""
    x, y = (grid.ravel() * 40.0 + 20.0 for grid in np.mgrid[:20, :20])
    signal_to_noise = np.r_[rng.uniform(130, 1000, n_bright), rng.uniform(25, 110, 400 - n_bright)]
    unit = star_list(x, y, np.ones(400), noise=1.0, sigma=2.0).flux_err
    stars = star_list(x, y, signal_to_noise * unit, noise=1.0, sigma=2.0)
    chosen = spread_candidates(stars, Box(0, 800, 0, 800), at_most=400, margin=5, distance=20)
    assert set(chosen) == set(np.argsort(-signal_to_noise)[:n_chosen])


def test_nothing_to_choose_from_gives_nothing():
    nothing = np.empty(0)
    stars = star_list(nothing, nothing, nothing, noise=1.0, sigma=1.0)
    assert len(spread_candidates(stars, Box(0, 10, 0, 10), at_most=5, margin=1, distance=3)) == 0


@pytest.mark.parametrize("n", [0, 2])
def test_too_few_stars_are_counted(n, rng):
    """The sentence says how many there are, how many are needed, and of which image."""
    sky = Sky()
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    with pytest.raises(TooFewStarsError, match=rf"^science has {n} sources bright enough.*3 are needed$") as caught:
        match(science, template, stars.select(np.arange(n)), algorithm=AlardLupton())
    assert caught.value.context == {"found": n, "needed": 3}


def test_three_stars_are_enough(rng):
    """A constant kernel from three bright stars."""
    stars = QUIET.stars(rng)
    science, template = QUIET.exposures(rng, stars)
    found = match(science, template, stars.select(np.argsort(-stars.flux)[:3]), algorithm=AlardLupton())
    assert found.kernel_sum == pytest.approx(0.4, rel=5e-3)


def test_masked_everywhere_is_too_few_stars(rng):
    """All pixels of the template bad: the stamps are there, what is in them is not."""
    stars = Sky().stars(rng)
    science, template = Sky().exposures(rng, stars)
    template = masked(template, slice(None), slice(None), MaskPlane.NO_DATA)
    with pytest.raises(
        TooFewStarsError, match=r"^0 of \d+ candidate stars are usable for the matching kernel, 3 are needed"
    ):
        match(science, template, stars, algorithm=AlardLupton())


def test_grids_must_agree(rng):
    stars = Sky().stars(rng)
    science, template = Sky().exposures(rng, stars)
    with pytest.raises(InputError, match=r"science \[0:300, 0:340\] and template \[3:303, 0:340\] must be on one grid"):
        match(science, moved_to(template, x0=0, y0=3), stars, algorithm=AlardLupton())


def test_a_psf_is_needed(rng):
    stars = Sky().stars(rng)
    science, template = Sky().exposures(rng, stars)
    with pytest.raises(InputError, match="science and template must both have a PSF before they are matched"):
        match(science, replace(template, psf=None), stars, algorithm=AlardLupton())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"convolve": "both"}, "must be auto, template or science, not 'both'"),
        ({"kernel_half_px": 0}, "kernel_half_px of .* must be positive, not 0"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        AlardLupton(**options)
    with pytest.raises(UsageError, match=sentence):
        DeltaFunction(**options)


def test_few_stamps_are_clipped_less(rng):
    """χ² of 1.8 where six stars have 1.0 to 1.2 may be chance or a bright star's: kept. Among a hundred it is not."""
    few = np.array([1.78, 1.17, 1.20, 1.01, 1.13, 1.07, 1.10])
    many = np.append(rng.normal(1.1, 0.06, 100), 1.78)
    assert clipping.highest(few) > 1.78
    assert many[:-1].max() < clipping.highest(many) < 1.6
