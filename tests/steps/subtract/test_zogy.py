"""Zogy: the proper difference against the formula on a periodic frame, and by its statistics; S_corr by its scatter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from diapipe.errors import InputError, PsfUndefinedError, UsageError
from diapipe.images import Box, ChebyshevField, GaussianPsf, MaskPlane, SpatialKernel
from diapipe.images.fields import ImageField
from diapipe.images.psf import PolynomialPsf
from diapipe.steps.subtract import Zogy, proper_scores, subtract
from gaussian_sky import STAMP, Sky, drawn, exposure, masked, moved_to, with_planes

SKY = Sky(noise_science=10.0, noise_template=6.0, template_scale=2.0)
SMALL = replace(SKY, shape=(190, 210), n_stars=16)
INNER = np.s_[25:-25, 25:-25]


def matching(sky, *, convolved="template"):
    """The kernel that carries one Gaussian PSF to the other, flux scale included."""
    widths = (sky.sigma_template, sky.sigma_science)
    narrow, wide = widths if convolved == "template" else widths[::-1]
    ratio = 1.0 / sky.template_scale if convolved == "template" else sky.template_scale
    image = GaussianPsf(np.sqrt(wide**2 - narrow**2), 21).kernel_image(x=0, y=0)
    return SpatialKernel.constant(ratio * image, Box.from_shape(sky.shape))


def constant(value, sky):
    return ChebyshevField.constant(value, Box.from_shape(sky.shape))


def proper(science, template, sky, *, level=0.0, psfs="stars", convolved="template", **more):
    return subtract(
        science,
        template,
        matching(sky, convolved=convolved),
        constant(level, sky),
        convolved=convolved,
        algorithm=Zogy(psfs=psfs),
        **more,
    )


def periodic(sky, science, template):
    """Equation 13 of the paper on the whole frame at once, on the flux scale of the science image."""

    def spectrum(sigma):
        frame = np.zeros(sky.shape)
        frame[:STAMP, :STAMP] = GaussianPsf(sigma, STAMP).kernel_image(x=0, y=0)
        return np.fft.fft2(np.roll(frame, (-(STAMP // 2), -(STAMP // 2)), axis=(0, 1)))

    p_s, p_t = spectrum(sky.sigma_science) / sky.template_scale, spectrum(sky.sigma_template)
    v_s, v_t = (float(e.masked_image.variance[0, 0]) for e in (science, template))
    s, t = (np.fft.fft2(e.masked_image.image.astype(float)) for e in (science, template))
    root = np.sqrt(v_s * np.abs(p_t) ** 2 + v_t * np.abs(p_s) ** 2)
    found = np.fft.ifft2((p_t * s - p_s * t) / root).real
    return found * np.sqrt(v_s + v_t / sky.template_scale**2)


@pytest.mark.parametrize("psfs", ["stars", "models"])
def test_the_difference_is_the_formula(psfs, rng):
    """Against a transform of the whole frame, away from its border, seen through the PSF as every source is: to 1% of
    the noise. Frequencies at which neither PSF has anything are white noise in both, but not the same.
    """
    sky = replace(SMALL, brightest=2e4)
    science, template = sky.exposures(rng, sky.stars(rng))
    found = proper(science, template, sky, psfs=psfs).exposure.masked_image
    psf = GaussianPsf(sky.sigma_science, STAMP).kernel_image(x=0, y=0)
    expected, seen = (
        signal.fftconvolve(image, psf, mode="same")[INNER]
        for image in (periodic(sky, science, template), found.image.astype(float))
    )
    noise = float(np.sqrt(found.variance.mean() * (psf**2).sum()))
    assert np.std(expected) == pytest.approx(noise, rel=0.1)
    assert np.std(seen - expected) < 0.01 * noise
    assert abs((found.image / np.sqrt(found.variance))[INNER]).max() < 6


def exchanged(mask):
    """A mask with what is the template's called the science image's, and the other way round; without EDGE."""
    own = (1 << 11) - 1
    return (((mask & own) << 11) | ((mask >> 11) & own)) & ~int(MaskPlane.EDGE | MaskPlane.EDGE_TEMPLATE)


def widened(exposure_, factor):
    """The exposure with a PSF model that is too wide."""
    return replace(exposure_, psf=GaussianPsf(factor * exposure_.psf.sigma_at(x=0, y=0), STAMP))


@pytest.mark.parametrize("psfs", ["stars", "models"])
@pytest.mark.parametrize("wrong", [1.0, 1.04])
def test_swapping_the_images_turns_the_sign_to_rounding(psfs, wrong, rng):
    """Through `subtract`, with holes and a saturated star, a background, an error of the match and PSF models that the
    stars correct: the negative on the other flux scale, to a few roundings in float32 of the brightest pixel.
    """
    sky = replace(SKY, template_scale=3.0, background=5.0)
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    science = masked(widened(science, wrong), slice(100, 104), slice(200, 204), MaskPlane.CR, 1e6)
    brightest = np.argmax(stars.flux)
    core = (slice(int(at) - 2, int(at) + 3) for at in (stars.y[brightest], stars.x[brightest]))
    science = masked(science, *core, MaskPlane.SAT, 3e4)
    template = masked(template, slice(200, 220), slice(100, 130), MaskPlane.NO_DATA)
    more = {"stars": (stars.x, stars.y), "relative_error": 0.005, "algorithm": Zogy(psfs=psfs)}
    relation = matching(sky), constant(5.0, sky)
    one = subtract(science, template, *relation, convolved="template", **more)
    other = subtract(template, science, *relation, convolved="science", **more)
    ratio = one.template_filter.sum
    if psfs == "models":
        assert ratio == pytest.approx(1.0 / 3.0, rel=1e-9)
    first, second = one.exposure.masked_image, other.exposure.masked_image
    known = np.isfinite(first.image)
    np.testing.assert_array_equal(np.isfinite(second.image), known)
    light = science.masked_image.image[science.masked_image.usable()].max()
    rounding = 8 * np.finfo(np.float32).eps * light
    assert abs(first.image + ratio * second.image)[known].max() < rounding < 0.002 * np.sqrt(first.variance.min())
    np.testing.assert_allclose(ratio**2 * second.variance, first.variance, rtol=1e-5)
    np.testing.assert_array_equal(exchanged(second.mask), first.mask & ~int(MaskPlane.EDGE | MaskPlane.EDGE_TEMPLATE))


def test_the_stars_correct_a_psf_model_that_is_wrong(rng):
    """A model 4% too wide leaves a χ² far above 1 in the middles of stars of S/N 70 to 440; the stars bring it to 1
    within 0.15 (4000 pixels whose noise is correlated there: an error of 4%, and what κ has not of such a change), and
    the noise stays white to 0.02.
    """
    sky = replace(SKY, shape=(600, 600), template_scale=1.0, n_stars=200)
    stars, science, template = noisy_stars(sky, rng)
    wrong, at = widened(science, 1.04), (stars.x, stars.y)
    inside = stars.select((np.abs(stars.x - 300) < 270) & (np.abs(stars.y - 300) < 270))
    rows, columns = np.rint(inside.y).astype(int), np.rint(inside.x).astype(int)
    chi2 = {}
    for psfs in ("models", "stars"):
        planes = proper(wrong, template, sky, psfs=psfs, stars=at).exposure.masked_image
        pull = planes.image / np.sqrt(planes.variance)
        chi2[psfs] = np.mean([pull[rows + v, columns + u] ** 2 for v in range(-2, 3) for u in range(-2, 3)])
    assert abs((pull[INNER][:, 1:] * pull[INNER][:, :-1]).mean()) < 0.02
    assert chi2["models"] > 2.5
    assert chi2["stars"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("noise_template", [2.0, 10.0, 30.0])
@pytest.mark.parametrize("convolved", ["template", "science"])
def test_the_noise_is_what_the_variance_plane_says_and_white(noise_template, convolved, rng):
    """600 x 600 px of noise: variance within 2%, neighbours correlate by less than 0.01 (errors 0.3% and 0.002)."""
    sky = replace(SKY, shape=(600, 600), noise_template=noise_template, template_scale=1.0)
    if convolved == "science":
        sky = replace(sky, sigma_science=sky.sigma_template, sigma_template=sky.sigma_science)
    nothing = np.zeros(sky.shape)
    science = exposure("science", nothing, 10.0, sky.sigma_science, rng)
    template = exposure("template", nothing, noise_template, sky.sigma_template, rng)
    planes = proper(science, template, sky, convolved=convolved).exposure.masked_image
    pull = (planes.image / np.sqrt(planes.variance))[INNER]
    assert np.mean(pull**2) == pytest.approx(1.0, abs=0.02)
    for lag in (pull[:, 1:] * pull[:, :-1], pull[1:] * pull[:-1], pull[1:, 1:] * pull[:-1, :-1]):
        assert abs(lag.mean() / np.mean(pull**2)) < 0.01


@pytest.mark.parametrize("psfs", ["stars", "models"])
def test_psf_fluxes_on_the_difference_are_unbiased(psfs, rng):
    """49 new and 49 vanished sources: mean flux right to 0.5% (its error 0.1%), pulls of unit width within 4 errors."""
    sky = replace(SKY, shape=(800, 800), template_scale=1.0)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(7) * 100.0 + 100, np.arange(7) * 100.0 + 100))
    x, y = x + rng.uniform(-20, 20, 49), y + rng.uniform(-20, 20, 49)
    flux = np.geomspace(5e3, 8e4, 49)
    light = drawn(sky.shape, x, y, flux, sigma=sky.sigma_science)
    gone = drawn(sky.shape, x + 45, y + 5, flux, sigma=sky.sigma_template)
    science = exposure("science", light, 10.0, sky.sigma_science, rng)
    template = exposure("template", gone, 6.0, sky.sigma_template, rng)
    found = proper(science, template, sky, psfs=psfs).exposure
    planes = found.masked_image
    for at_x, at_y, sign in ((x, y, 1.0), (x + 45, y + 5, -1.0)):
        measured, error = np.empty(49), np.empty(49)
        for k in range(49):
            cut = Box.around(x=at_x[k], y=at_y[k], half=STAMP // 2).slices_in(planes.box)
            profile = found.psf.image_at(x=at_x[k], y=at_y[k])
            weight = 1.0 / planes.variance[cut].astype(float)
            power = (weight * profile**2).sum()
            measured[k], error[k] = sign * (weight * profile * planes.image[cut]).sum() / power, power**-0.5
        assert np.average(measured / flux, weights=(flux / error) ** 2) == pytest.approx(1.0, abs=0.005)
        assert np.std((measured - flux) / error) == pytest.approx(1.0, abs=4 / np.sqrt(2 * 49))


def test_stars_are_gone_where_the_psf_varies_and_no_seam_shows(rng):
    """The PSF widens from 1.5 to 2.3 px across 500 px, models as they are: no pull above 6 beside stars of S/N 700, and
    the noise of neighbouring columns is the same everywhere.
    """
    shape, box = (500, 500), Box.from_shape((500, 500))
    narrow, wide = (GaussianPsf(s, STAMP).kernel_image(x=0, y=0) for s in (1.5, 2.3))
    psf = PolynomialPsf(ImageField(np.stack([0.5 * (narrow + wide), 0.5 * (wide - narrow), 0.0 * wide]), box))
    sky = replace(SKY, shape=shape, template_scale=1.0)
    stars = sky.stars(rng)
    light = np.zeros(shape)
    for x, y, flux in zip(stars.x, stars.y, np.minimum(stars.flux, 5e4), strict=True):
        stamp = Box.around(x=x, y=y, half=STAMP // 2)
        inside = stamp.intersect(box)
        light[inside.slices_in(box)] += flux * psf.image_at(x=x, y=y)[inside.slices_in(stamp)]
    template_light = drawn(shape, stars.x, stars.y, np.minimum(stars.flux, 5e4), sigma=sky.sigma_template)
    science = replace(exposure("science", light, 10.0, 1.9, rng), psf=psf)
    template = exposure("template", template_light, 6.0, sky.sigma_template, rng)
    planes = proper(science, template, sky, psfs="models").exposure.masked_image
    pull = (planes.image / np.sqrt(planes.variance))[INNER]
    assert abs(pull).max() < 6
    # 450 values a column: the error of its variance is 6.7%, and five of them are allowed to the worst of 450 columns
    assert abs((pull**2).mean(axis=0) - 1.0).max() < 5 * 0.067


def test_defects_keep_their_names_and_spoil_little(rng):
    """A hole of the template, a hot block of the science image: NaN and planes there, the noise beside as claimed."""
    sky = replace(SKY, template_scale=1.0)
    science, template = sky.exposures(rng, sky.stars(rng))
    science = masked(science, slice(100, 104), slice(200, 204), MaskPlane.CR, 1e6)
    template = masked(template, slice(200, 220), slice(100, 130), MaskPlane.NO_DATA)
    before = [getattr(e.masked_image, p).copy() for e in (science, template) for p in ("image", "mask", "variance")]
    planes = proper(science, template, sky).exposure.masked_image
    after = [getattr(e.masked_image, p) for e in (science, template) for p in ("image", "mask", "variance")]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (planes.mask[100:104, 200:204] & MaskPlane.CR).all()
    assert (planes.mask[200:220, 100:130] & MaskPlane.NO_DATA_TEMPLATE).all()
    np.testing.assert_array_equal(np.isnan(planes.image), np.isnan(template.masked_image.image))
    good = planes.usable()[INNER] & ((planes.mask[INNER] & int(MaskPlane.NO_DATA_TEMPLATE)) == 0)
    assert good.mean() > 0.97
    assert abs((planes.image / np.sqrt(planes.variance))[INNER][good]).max() < 6.5


def test_threads_change_no_bit_and_places_shift_everything(rng):
    science, template = SKY.exposures(rng, SKY.stars(rng))
    one, two = (proper(science, template, SKY, n_threads=n).exposure.masked_image for n in (1, 2))
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(one, plane), getattr(two, plane))
    there = Box.from_shape(SKY.shape, x0=2000, y0=-300)
    moved = [moved_to(e, x0=2000, y0=-300) for e in (science, template)]
    kernel = SpatialKernel.constant(matching(SKY).image_at(x=0, y=0), there)
    level = ChebyshevField.constant(0.0, there)
    far = subtract(*moved, kernel, level, convolved="template", algorithm=Zogy(psfs="stars")).exposure.masked_image
    np.testing.assert_allclose(far.image, one.image, atol=0.05)


def test_what_cannot_be_used_is_told(rng):
    science, template = SMALL.exposures(rng, SMALL.stars(rng))
    with pytest.raises(PsfUndefinedError, match="template has no PSF; ZOGY needs those of both images"):
        proper(science, replace(template, psf=None), SMALL)
    off = PolynomialPsf.constant(GaussianPsf(1.9, STAMP).image_at(x=0.4, y=0.0), science.box)
    with pytest.raises(InputError, match=r"the PSF of science .* ZOGY needs it within 0.2 px"):
        proper(replace(science, psf=off), template, SMALL)
    with pytest.raises(UsageError, match="white by itself"):
        proper(science, template, SMALL, whitening=matching(SMALL))
    with pytest.raises(UsageError, match="psfs must be stars or models"):
        Zogy(psfs="some")
    plain = subtract(science, template, matching(SMALL), constant(0.0, SMALL), convolved="template")
    with pytest.raises(InputError, match="S_corr needs a proper difference"):
        proper_scores(plain, science, template)


def noisy_stars(sky, rng, *, jitter=0.0):
    """Stars with Poisson noise in both images (one electron a count), claimed in the variance; the science image's are
    displaced by ``jitter`` px rms.
    """
    stars = sky.stars(rng)
    there = stars.x + rng.normal(0, jitter, len(stars.x)), stars.y + rng.normal(0, jitter, len(stars.y))
    made = []
    for name, at, noise, sigma in (
        ("science", there, sky.noise_science, sky.sigma_science),
        ("template", (stars.x, stars.y), sky.noise_template, sky.sigma_template),
    ):
        light = drawn(sky.shape, *at, stars.flux, sigma=sigma)
        variance = (noise**2 + light).astype(np.float32)
        pixels = light + rng.normal(size=sky.shape) * np.sqrt(variance)
        made.append(
            with_planes(exposure(name, light, noise, sigma, rng), image=pixels.astype(np.float32), variance=variance)
        )
    return stars, *made


def at_stars(image, stars):
    return image[np.rint(stars.y).astype(int), np.rint(stars.x).astype(int)]


def around(image, stars, *, apart=5):
    """The values at the stars' pixels and ``apart`` px beside them: their noise has a correlation below 0.1."""
    rows, columns = np.rint(stars.y).astype(int), np.rint(stars.x).astype(int)
    steps = ((0, 0), (0, apart), (0, -apart), (apart, 0), (-apart, 0))
    return np.concatenate([image[rows + v, columns + u] for v, u in steps])


def test_s_corr_has_unit_scatter_on_the_sky_and_on_bright_stars(rng):
    """Within 2%: on 7e5 correlated pixels of sky, and at and beside 1700 stars of S/N 70 to 440, where five values each
    are read (error 0.9%). With the noise of the sky alone it would be above 2 at the stars.
    """
    sky = replace(SKY, shape=(900, 900), template_scale=1.0, n_stars=500)
    found = []
    for _ in range(4):
        stars, science, template = noisy_stars(sky, rng)
        difference = proper(science, template, sky, stars=(stars.x, stars.y))
        scores = proper_scores(difference, science, template)
        stars = stars.select((np.abs(stars.x - 450) < 420) & (np.abs(stars.y - 450) < 420))
        found.append(around(scores.corrected, stars))
    assert np.std(np.concatenate(found)) == pytest.approx(1.0, abs=0.02)
    # the score over the sky's error alone says what the sources add
    sky_only = np.std(at_stars(scores.score, stars)) / np.nanpercentile(np.abs(scores.score), 68.27)
    assert sky_only > 2.0
    middle = scores.corrected[INNER]
    low, high = np.nanpercentile(middle, [25, 75])
    assert 0.7413 * (high - low) == pytest.approx(1.0, abs=0.02)


def test_s_is_the_matched_filter_of_the_difference(rng):
    """The difference correlated with its own PSF, pixel by pixel; it peaks where a new source is."""
    science, template = SMALL.exposures(rng, SMALL.stars(rng))
    new = drawn(SMALL.shape, np.array([101.0]), np.array([83.0]), np.array([4e3]), sigma=SMALL.sigma_science)
    science = with_planes(science, image=(science.masked_image.image + new).astype(np.float32))
    difference = proper(science, template, SMALL)
    scores = proper_scores(difference, science, template)
    psf = difference.exposure.psf.kernel_image(x=101, y=83)
    cut = difference.exposure.masked_image.image[83 - STAMP // 2 : 84 + STAMP // 2, 101 - STAMP // 2 : 102 + STAMP // 2]
    assert scores.score[83, 101] == pytest.approx((psf * cut).sum(), rel=1e-4)
    assert scores.corrected[83, 101] > 10
    assert np.nanargmax(scores.corrected[70:96, 90:112]) == np.ravel_multi_index((13, 11), (26, 22))


def test_the_astrometric_term_takes_in_what_a_jitter_of_the_stars_adds(rng):
    """Stars of S/N 70 to 440 displaced by 0.1 px rms: beside their centres S_corr scatters by several sigma, with
    the term by about one: within 0.2, as 300 stars tell it to 0.04 and the slope is that of the displaced star.
    """
    sky = replace(SKY, shape=(900, 900), template_scale=1.0, n_stars=500)
    stars, science, template = noisy_stars(sky, rng, jitter=0.1)
    difference = proper(science, template, sky)
    plain = proper_scores(difference, science, template).corrected
    aware = proper_scores(difference, science, template, science_astrometry_px=(0.1, 0.1)).corrected
    inside = (np.abs(stars.x - 450) < 420) & (np.abs(stars.y - 450) < 420) & (stars.flux > 2e4)
    rows, columns = np.rint(stars.y[inside]).astype(int), np.rint(stars.x[inside]).astype(int)
    beside = columns + 2
    assert np.std(plain[rows, beside]) > 2.0
    assert np.std(aware[rows, beside]) == pytest.approx(1.0, abs=0.2)
