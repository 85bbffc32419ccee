"""subtract: the difference by its definition, masks by name, variance, whiteness and fluxes by their statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, ChebyshevField, GaussianPsf, MaskPlane, SpatialKernel
from diapipe.images.fields import ImageField
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.subtract import subtract
from diapipe.steps.subtract.convolve import convolve_pixels
from diapipe.steps.subtract.flatten import residual_background
from diapipe.steps.subtract.masks import edge_width
from gaussian_sky import STAMP, Sky, drawn, exposure, masked, moved_to, with_planes

SKY = Sky(noise_science=10.0, noise_template=6.0, template_scale=2.0)
SMALL = replace(SKY, shape=(94, 90), n_stars=6)
"""Smaller than three cells of any mesh, and than the cells of a parabola: no residual level is looked for."""
INNER = np.s_[25:-25, 25:-25]


def residual_over(pull, mask, **options):
    """The residual background at every pixel, or None."""
    box = Box.from_shape(pull.shape)
    found = residual_background(pull, mask, 1, box, **options)
    return None if found is None else found.over(box)


def matching(sky: Sky, *, convolved: str = "template") -> SpatialKernel:
    """The kernel that carries one Gaussian PSF to the other, flux scale included."""
    widths = (sky.sigma_template, sky.sigma_science)
    narrow, wide = widths if convolved == "template" else widths[::-1]
    ratio = 1.0 / sky.template_scale if convolved == "template" else sky.template_scale
    image = GaussianPsf(np.sqrt(wide**2 - narrow**2), 21).kernel_image(x=0, y=0)
    return SpatialKernel.constant(ratio * image, Box.from_shape(sky.shape))


def constant(value, sky):
    return ChebyshevField.constant(value, Box.from_shape(sky.shape))


def turned(sky, convolved):
    """The sky with the science image as the sharper one where that is to be convolved."""
    if convolved == "template":
        return sky
    return replace(sky, sigma_science=sky.sigma_template, sigma_template=sky.sigma_science)


def level_of(sky, convolved):
    """The background that the match would find: reference above convolved image."""
    return constant(sky.background if convolved == "template" else -sky.template_scale * sky.background, sky)


def planes_of(*exposures):
    return [plane for e in exposures for plane in (e.masked_image.image, e.masked_image.mask, e.masked_image.variance)]


def whitened_difference(science, template, kernel, background, *, convolved="template", **more):
    target, reference = (template, science) if convolved == "template" else (science, template)
    whitening = decorrelate(target, reference, kernel, algorithm=Afterburner())
    return subtract(science, template, kernel, background, convolved=convolved, whitening=whitening, **more)


def psf_fluxes(difference, x, y):
    """Inverse-variance PSF fits on the difference with its own PSF, and their errors."""
    planes, half = difference.exposure.masked_image, STAMP // 2
    found = []
    for at_x, at_y in zip(x, y, strict=True):
        cut = Box.around(x=at_x, y=at_y, half=half).slices_in(planes.box)
        profile, weight = difference.exposure.psf.image_at(x=at_x, y=at_y), 1.0 / planes.variance[cut].astype(float)
        power = (weight * profile**2).sum()
        found.append(((weight * profile * planes.image[cut]).sum() / power, power**-0.5))
    return np.array(found).T


@pytest.mark.parametrize("convolved", ["template", "science"])
def test_the_difference_is_its_definition(convolved, rng):
    """S - K ⊗ T - b, or (K ⊗ S + b - T) / ΣK where science is convolved: science minus template, to rounding."""
    sky = replace(turned(SMALL, convolved), background=3.0)
    science, template = sky.exposures(rng, sky.stars(rng))
    kernel = matching(sky, convolved=convolved)
    found = subtract(science, template, kernel, level_of(sky, convolved), convolved=convolved)
    s, t = (e.masked_image.image.astype(float) for e in (science, template))
    k, b = kernel.image_at(x=0, y=0), level_of(sky, convolved).coefficients[0]
    if convolved == "template":
        expected = s - signal.convolve2d(t, k, mode="same") - b
    else:
        expected = (signal.convolve2d(s, k, mode="same") + b - t) / k.sum()
    np.testing.assert_allclose(found.exposure.masked_image.image[INNER], expected[INNER], atol=0.02)
    # what is left is noise: stars up to S/N 3000 are gone
    pull = found.exposure.masked_image.image / np.sqrt(found.exposure.masked_image.variance)
    assert abs(pull[INNER]).max() < 6
    assert (found.convolved, found.kernel, found.exposure.noise_correlation) == (convolved, kernel, None)


@pytest.mark.parametrize("convolved", ["template", "science"])
def test_science_less_the_matched_template_is_the_difference(convolved, rng):
    """With the science image convolved the template is only brought to its flux scale and background."""
    sky = replace(turned(SMALL, convolved), background=3.0)
    science, template = sky.exposures(rng, sky.stars(rng))
    found = subtract(
        science, template, matching(sky, convolved=convolved), level_of(sky, convolved), convolved=convolved
    )
    assert found.matched_template is not None
    if convolved == "template":
        again = science.masked_image.image - found.matched_template.image
        np.testing.assert_allclose(again, found.exposure.masked_image.image, atol=1e-3 + 1e-6 * again.max())
    else:
        change = np.median(found.matched_template.image - template.masked_image.image / sky.template_scale)
        assert change == pytest.approx(3.0, abs=0.01)


def test_inputs_are_left_as_they_were(rng):
    science, template = SKY.exposures(rng, SKY.stars(rng))
    template = masked(template, slice(50, 60), slice(70, 90), MaskPlane.SAT, 5e4)
    before = [plane.copy() for plane in planes_of(science, template)]
    whitened_difference(science, template, matching(SKY), constant(0.0, SKY))
    after = planes_of(science, template)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_change_no_bit(rng):
    sky = replace(SKY, shape=(600, 340))
    science, template = sky.exposures(rng, sky.stars(rng))
    one, two = (whitened_difference(science, template, matching(sky), constant(1.0, sky), n_threads=n) for n in (1, 2))
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(
            getattr(one.exposure.masked_image, plane), getattr(two.exposure.masked_image, plane)
        )


def test_parent_coordinates_shift_everything(rng):
    """The same pixels at another place of a larger image, fields moved along: the same difference there."""
    science, template = SKY.exposures(rng, SKY.stars(rng))
    base = matching(SKY).image_at(x=0, y=0)
    images = np.stack([base, 0.1 * base, -0.05 * base])
    here, there = Box.from_shape(SKY.shape), Box.from_shape(SKY.shape, x0=2000, y0=-300)
    found = []
    for box in (here, there):
        pair = [moved_to(e, x0=box.x0, y0=box.y0) for e in (science, template)]
        slope = ChebyshevField(np.array([1.0, 2.0, 3.0]), box)
        found.append(subtract(*pair, SpatialKernel(ImageField(images, box)), slope, convolved="template").exposure)
    assert found[1].box == there
    np.testing.assert_allclose(found[1].masked_image.image, found[0].masked_image.image, atol=0.05)
    np.testing.assert_allclose(found[1].masked_image.variance, found[0].masked_image.variance, rtol=1e-5)


def test_the_planes_of_both_images_keep_their_names(rng):
    """Science planes stay, the template's get the ``_TEMPLATE`` names, and the border is EDGE; nothing else is set."""
    science, template = SKY.exposures(rng, SKY.stars(rng))
    science = masked(science, slice(100, 101), slice(100, 101), MaskPlane.DETECTED, 0.0)
    template = masked(template, slice(120, 121), slice(130, 131), MaskPlane.DETECTED | MaskPlane.INTRP, 0.0)
    mask = subtract(
        science, template, matching(SKY), constant(0.0, SKY), convolved="template"
    ).exposure.masked_image.mask
    assert mask[100, 100] == MaskPlane.DETECTED
    assert mask[120, 130] == MaskPlane.DETECTED_TEMPLATE | MaskPlane.INTRP_TEMPLATE
    inner = mask[5:-5, 5:-5].copy()
    inner[95, 95] = inner[115, 125] = 0
    assert not inner.any()
    assert (mask[0] & MaskPlane.EDGE).all()
    assert set(np.unique(mask)) <= {0, int(MaskPlane.EDGE), int(mask[100, 100]), int(mask[120, 130])}


@pytest.mark.parametrize(
    ("plane", "name"), [(MaskPlane.BAD, MaskPlane.BAD_TEMPLATE), (MaskPlane.CR, MaskPlane.CR_TEMPLATE)]
)
def test_a_bad_column_blanks_little_more_than_itself(plane, name, rng):
    """On the convolved image it grows where it crosses a star, at most by the kernel's core; on sky by a pixel."""
    science, template = SKY.exposures(rng, SKY.stars(rng))
    template = masked(template, slice(None), slice(170, 171), plane, np.nan)
    found = subtract(science, template, matching(SKY), constant(0.0, SKY), convolved="template").exposure.masked_image
    marked = (found.mask & int(name)) != 0
    assert marked[:, 170].all()
    assert 300 <= marked.sum() < 300 * 4
    columns = np.flatnonzero(marked.any(axis=0))
    assert columns.min() >= 160
    assert columns.max() <= 180
    assert np.isnan(found.image).sum() == 300
    usable = ~marked[INNER] & np.isfinite(found.image[INNER])
    pull = (found.image / np.sqrt(found.variance))[INNER][usable]
    assert abs(pull).max() < 6.5


def test_a_hole_stays_a_hole(rng):
    """A block of NaN, NO_DATA in both images: NaN there and nowhere else; the noise beside it is as claimed."""
    science, template = SKY.exposures(rng, SKY.stars(rng))
    science = masked(science, slice(100, 150), slice(200, 260), MaskPlane.NO_DATA)
    template = masked(template, slice(110, 170), slice(220, 300), MaskPlane.NO_DATA)
    found = whitened_difference(science, template, matching(SKY), constant(0.0, SKY)).exposure.masked_image
    holes = np.isnan(science.masked_image.image) | np.isnan(template.masked_image.image)
    np.testing.assert_array_equal(np.isnan(found.image), holes)
    assert np.isfinite(found.variance[found.usable()]).all()
    near = np.zeros(SKY.shape, bool)
    near[90:180, 190:310] = True
    beside = near & found.usable() & ((found.mask & int(MaskPlane.NO_DATA.of_template)) == 0)
    pull = found.image[beside] / np.sqrt(found.variance[beside])
    assert abs(pull).max() < 6.5
    assert np.std(pull) == pytest.approx(1.0, abs=0.06)


def test_the_edge_is_as_wide_as_the_kernel_reaches():
    """Where over 30% of a kernel's weight falls off the image: nowhere for a delta, some px for a wide Gaussian."""
    delta = np.zeros((21, 21))
    delta[10, 10] = 1.0
    assert edge_width(delta) == 0
    assert 1 <= edge_width(GaussianPsf(4.0, 31).kernel_image(x=0, y=0)) <= 4


@pytest.mark.parametrize("flux", [2e6, 8e6])
def test_the_wings_of_a_saturated_star_subtract(flux, rng):
    """Rings of 4 to 30 px around a core that the template lacks: mean pull below 0.3 sigma, plus three errors.

    Without rebuilding the core the rings next to it are off by tens of sigma, so the law is not vacuous.
    """
    sky = replace(SKY, sigma_science=2.5, shape=(200, 200))
    at = (np.array([100.3]), np.array([98.8]), np.array([flux]))
    science = exposure("science", drawn(sky.shape, *at, sigma=2.5), 10.0, 2.5, rng)
    template = exposure("template", 2.0 * drawn(sky.shape, *at, sigma=1.4), 12.0, 1.4, rng)
    clipped, broken = (_saturated(e, 4e4) for e in (science, template))
    assert np.count_nonzero(broken.masked_image.mask) >= 9
    found = subtract(clipped, broken, matching(sky), constant(0.0, sky), convolved="template").exposure.masked_image
    naive = subtract(clipped, replace(broken, psf=None), matching(sky), constant(0.0, sky), convolved="template")
    assert max(abs(p) - 3 * e for p, e in ring_pulls(found)) < 0.3
    wrong = with_planes(naive.exposure, mask=np.zeros(sky.shape, np.int32)).masked_image
    assert max(abs(p) for p, _ in ring_pulls(wrong)) > 5.0


def _saturated(image, level):
    """Pixels above a level cut to it, with SAT."""
    pixels, mask = image.masked_image.image.copy(), image.masked_image.mask.copy()
    high = pixels > level
    pixels[high] = level
    mask[high] |= int(MaskPlane.SAT)
    return with_planes(image, image=pixels, mask=mask)


def ring_pulls(planes):
    """Mean pull and its error of the usable pixels in rings of 2 px around (100.3, 98.8), from 4 to 30 px."""
    y, x = np.indices(planes.shape)
    radius, good = np.hypot(x - 100.3, y - 98.8), planes.mask == 0
    pull = planes.image / np.sqrt(planes.variance)
    rings = [good & (radius >= r) & (radius < r + 2) for r in range(4, 30, 2)]
    return [(pull[ring].mean(), ring.sum() ** -0.5) for ring in rings if ring.sum() >= 12]


@pytest.mark.parametrize("noise_template", [2.0, 10.0, 30.0])
@pytest.mark.parametrize("convolved", ["template", "science"])
def test_the_noise_is_what_the_variance_plane_says_and_white(noise_template, convolved, rng):
    """Two frames of 600 x 600 px of noise: variance as claimed within 2%, neighbours correlate by less than 0.01.

    The standard error of the variance of 3e5 pixels is 0.3%, that of a correlation 0.002.
    """
    sky = turned(replace(SKY, shape=(600, 600), noise_template=noise_template, template_scale=1.0), convolved)
    nothing = np.zeros(sky.shape)
    science = exposure("science", nothing, 10.0, sky.sigma_science, rng)
    template = exposure("template", nothing, noise_template, sky.sigma_template, rng)
    found = whitened_difference(
        science, template, matching(sky, convolved=convolved), constant(0.0, sky), convolved=convolved
    )
    planes = found.exposure.masked_image
    pull = (planes.image / np.sqrt(planes.variance))[INNER]
    assert np.mean(pull**2) == pytest.approx(1.0, abs=0.02)
    for lag in (
        pull[:, 1:] * pull[:, :-1],
        pull[1:] * pull[:-1],
        pull[1:, 1:] * pull[:-1, :-1],
        pull[:, 2:] * pull[:, :-2],
    ):
        assert abs(lag.mean() / np.mean(pull**2)) < 0.01


@pytest.mark.parametrize(("contrast", "white"), [(9.0, False), (2.0, True)])
def test_the_variance_of_a_varying_noise_is_followed(contrast, white, rng):
    """Twenty realisations: noise rises across the science image, falls across the template, the kernel widens.

    Each eighth of the frame, of 3e4 pixels, is right to 2%; the error of the measurement is 0.2%.
    """
    shape, box, n = (300, 340), Box.from_shape((300, 340)), 20
    rising = (np.linspace(25.0, 25.0 * contrast, 340)[None, :] * np.ones((300, 1))).astype(np.float32)
    base, wide = (GaussianPsf(w, 21).kernel_image(x=0, y=0) for w in (1.2, 2.2))
    kernel = SpatialKernel(ImageField(np.stack([0.5 * (base + wide), 0.3 * (wide - base), 0.0 * base]), box))
    subtracted = whitened_difference if white else subtract
    squares, expected = np.zeros(shape), np.ones(shape)
    for _ in range(n):
        science, template = (
            with_planes(e, image=e.masked_image.image * np.sqrt(v), variance=v)
            for e, v in (
                (exposure("science", np.zeros(shape), 1.0, 2.0, rng), rising),
                (exposure("template", np.zeros(shape), 1.0, 1.4, rng), rising[:, ::-1].copy()),
            )
        )
        found = subtracted(science, template, kernel, ChebyshevField.constant(0.0, box), convolved="template")
        squares += found.exposure.masked_image.image.astype(float) ** 2 / n
        expected = found.exposure.masked_image.variance
    ratio = (squares / expected)[25:-25, 20:-20]
    for part in np.array_split(ratio, 8, axis=1):
        assert part.mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("convolved", ["template", "science"])
def test_psf_fluxes_on_the_difference_are_unbiased(convolved, rng):
    """64 new sources and 64 that vanished: mean flux right to 0.5% (its error 0.1%), pulls of width 1.00 ± 0.09."""
    sky = turned(replace(SKY, shape=(900, 900), template_scale=1.0), convolved)
    x, y = np.meshgrid(np.arange(8) * 100.0 + 100, np.arange(8) * 100.0 + 100)
    x, y = x.ravel() + rng.uniform(-20, 20, 64), y.ravel() + rng.uniform(-20, 20, 64)
    flux = np.geomspace(5e3, 8e4, 64)
    gone_x, gone_y = x + 45, y + 5
    science = exposure("science", drawn(sky.shape, x, y, flux, sigma=sky.sigma_science), 10.0, sky.sigma_science, rng)
    template = exposure(
        "template", drawn(sky.shape, gone_x, gone_y, flux, sigma=sky.sigma_template), 6.0, sky.sigma_template, rng
    )
    found = whitened_difference(
        science, template, matching(sky, convolved=convolved), constant(0.0, sky), convolved=convolved
    )
    for at_x, at_y, sign in ((x, y, 1.0), (gone_x, gone_y, -1.0)):
        measured, error = psf_fluxes(found, at_x, at_y)
        weight = 1.0 / (error / flux) ** 2
        assert np.average(sign * measured / flux, weights=weight) == pytest.approx(1.0, abs=0.005)
        pulls = (sign * measured - flux) / error
        assert abs(pulls.mean()) < 4 / 8
        assert np.std(pulls) == pytest.approx(1.0, abs=4 / np.sqrt(2 * 64))


def test_swapping_the_images_turns_the_sign(rng):
    """Either image as science, the same one convolved: the differences are each other's negative on the flux scale."""
    sky = replace(SMALL, template_scale=1.0)
    science, template = sky.exposures(rng, sky.stars(rng))
    kernel, level = matching(sky), constant(2.0, sky)
    one = subtract(science, template, kernel, level, convolved="template").exposure.masked_image
    other = subtract(template, science, kernel, level, convolved="science").exposure.masked_image
    np.testing.assert_allclose(other.image[INNER], -one.image[INNER], atol=1e-3 * np.abs(one.image).max())
    np.testing.assert_allclose(other.variance[INNER], one.variance[INNER], rtol=1e-4)


def test_a_large_kernel_is_applied_whole(rng):
    """Wide wings around a narrow core: the convolution equals SciPy's, the border apart."""
    sky = replace(SKY, shape=(160, 170), template_scale=1.0, n_stars=12)
    science, template = sky.exposures(rng, sky.stars(rng))
    image = 0.95 * GaussianPsf(1.3, 61).kernel_image(x=0, y=0) + 0.05 * GaussianPsf(9.0, 61).kernel_image(x=0, y=0)
    found = subtract(
        science, template, SpatialKernel.constant(image, science.box), constant(0.0, sky), convolved="template"
    )
    expected = signal.fftconvolve(template.masked_image.image.astype(float), image, mode="same")
    assert found.matched_template is not None
    np.testing.assert_allclose(found.matched_template.image[31:-31, 31:-31], expected[31:-31, 31:-31], atol=0.02)


@pytest.mark.parametrize("factor", [1e-7, 1e7])
def test_a_kernel_in_another_unit_gives_the_same_pixels_in_it(factor, rng):
    """Counts of a template may be worth anything: the pixels scale with the kernel, to the rounding of float32."""
    box = Box.from_shape((300, 520))
    pixels = rng.normal(0.0, 100.0, box.shape).astype(np.float32)
    images = GaussianPsf(sigma=2.0).kernel_image(x=0.0, y=0.0) * np.array([1.0, 0.05, -0.02])[:, None, None]
    plain, scaled = (
        convolve_pixels(pixels, box, SpatialKernel(ImageField(images * unit, box))) for unit in (1.0, factor)
    )
    np.testing.assert_allclose(scaled / np.float32(factor), plain, rtol=1e-4, atol=1e-3)


def test_a_psf_of_the_reference_is_needed(rng):
    science, template = SKY.exposures(rng, SKY.stars(rng))
    with pytest.raises(PsfUndefinedError, match="science has no PSF; the difference would have none"):
        subtract(replace(science, psf=None), template, matching(SKY), constant(0.0, SKY), convolved="template")


def test_all_masked_gives_no_usable_pixel_and_no_crash(rng):
    science, template = SKY.exposures(rng, SKY.stars(rng))
    template = masked(template, slice(None), slice(None), MaskPlane.NO_DATA)
    found = whitened_difference(science, template, matching(SKY), constant(0.0, SKY)).exposure.masked_image
    assert np.isnan(found.image).all()
    assert ((found.mask & int(MaskPlane.NO_DATA_TEMPLATE)) != 0).all()


def test_a_residual_level_is_found_and_noise_left_alone(rng):
    """A wave of one sigma over 400 px is followed to 0.1 sigma rms; in pure noise no more than 0.03 is seen."""
    mask = np.zeros((800, 800), np.int32)
    noise = rng.normal(size=mask.shape).astype(np.float32)
    spurious = residual_over(noise, mask)
    assert spurious is None or np.std(spurious) < 0.03
    wave = np.sin(np.arange(800) * 2 * np.pi / 400)[:, None] * np.ones((1, 800))
    level = residual_over((noise + wave).astype(np.float32), mask)
    assert level is not None
    assert np.std(level - wave) < 0.1


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_a_level_without_scatter_is_found(level):
    """An image less itself scatters nowhere: nothing is found, and a constant added to it is, without a warning."""
    found = residual_over(np.full((300, 300), level, np.float32), np.zeros((300, 300), np.int32))
    assert (found is None) == (level == 0.0)
    np.testing.assert_allclose(0.0 if found is None else found, level, atol=1e-6)


def test_a_wide_source_keeps_its_flux(rng):
    """S/N 60, PSF of sigma 5 px, on such a wave: what is taken away because of the source is below 1% of its flux."""
    mask = np.zeros((800, 800), np.int32)
    wave = np.sin(np.arange(800) * 2 * np.pi / 800)[:, None] * np.ones((1, 800))
    source = drawn((800, 800), np.array([400.0]), np.array([405.0]), np.array([1000.0]), sigma=5.0)
    noise = rng.normal(size=mask.shape)
    alone, both = (
        residual_over((noise + wave + extra).astype(np.float32), mask, psf_sigma_px=5.0) for extra in (0, source)
    )
    assert alone is not None
    assert both is not None
    profile = source / (source**2).sum() * 1000.0
    assert ((both - alone) * profile).sum() < 0.01 * 1000.0


def test_a_slope_is_found_where_no_mesh_may_be_used(rng):
    """0.1 sigma from the middle to either side of 260 px, too small a cut-out for cells of 14 x 5 px: of a parabola
    through cells that know their level to 0.03 sigma the rms error is 0.03 √(6/25) inside, twice that at the rim. Of
    noise alone one image in 2000 shows any.
    """
    box = Box(500, 760, -30, 230)
    slope = np.linspace(-0.1, 0.1, 260)[:, None] * np.ones((1, 260))
    noise = rng.normal(size=box.shape)
    mask = np.zeros(box.shape, np.int32)
    found = residual_background((noise + slope).astype(np.float32), mask, 1, box, psf_sigma_px=5.0)
    assert found is not None
    assert np.std(found.over(box) - slope) < 0.03
    assert residual_background(noise.astype(np.float32), mask, 1, box, psf_sigma_px=5.0) is None


def test_sources_are_not_taken_for_background(rng):
    """Sky that a mesh follows; what 25 sources of S/N 40 add to it is under 0.3% of their fluxes.

    The noise is the same with and without them, so that only what they add differs.
    """
    box, sigma = Box(0, 600, 0, 600), 4.5
    y, x = np.mgrid[:600, :600]
    ground = (rng.standard_normal(box.shape) + np.sin(x / 250.0) + np.cos(y / 270.0)).astype(np.float32)
    psf = GaussianPsf(sigma, 61).kernel_image(x=0, y=0)
    flux = 40.0 / np.sqrt((psf**2).sum())
    sources, at = np.zeros(box.shape, np.float32), np.arange(100, 600, 100)
    for row in at:
        for column in at:
            sources[row - 30 : row + 31, column - 30 : column + 31] += flux * psf
    mask = np.zeros(box.shape, np.int32)
    without, found = (residual_over(pull, mask, psf_sigma_px=sigma) for pull in (ground, ground + sources))
    weights = sources / flux / (psf**2).sum()
    lost = ((found - without) * weights).sum() / len(at) ** 2 / flux
    assert np.std(without) > 0.5
    assert abs(lost) < 0.003


@pytest.mark.parametrize("convolved", ["template", "science"])
def test_the_aperture_correction_is_that_of_the_psf(convolved, rng):
    """The difference has the PSF of the image that was not convolved, and with it its aperture correction."""
    sky = Sky()
    science, template = sky.exposures(rng, sky.stars(rng))
    own, other = (ChebyshevField.constant(value, science.box) for value in (1.02, 1.05))
    science = replace(science, aperture_corrections={"psfFlux": own})
    template = replace(template, aperture_corrections={"psfFlux": other})
    kernel = SpatialKernel.constant(GaussianPsf(1.3, 15).kernel_image(x=0, y=0), science.box)
    flat = ChebyshevField.constant(0.0, science.box)
    found = subtract(science, template, kernel, flat, convolved=convolved).exposure.aperture_corrections["psfFlux"]
    assert found is (own if convolved == "template" else other)
    bare = subtract(science, replace(template, aperture_corrections={}), kernel, flat, convolved=convolved)
    assert bare.exposure.aperture_corrections["psfFlux"] is own
