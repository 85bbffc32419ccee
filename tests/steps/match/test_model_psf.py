"""Matching by PSF models: closed forms, a kernel sum of exactly one, varying PSFs, fluxes and skies without stars."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from diapipe.errors import PsfUndefinedError, TooFewStarsError, UsageError
from diapipe.flow import difference_pair
from diapipe.images import Box, GaussianPsf, MaskPlane, Psf
from diapipe.images.fields import ImageField
from diapipe.images.photo_calib import PhotoCalib
from diapipe.images.psf import PolynomialPsf
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.recipe import Recipe
from diapipe.steps.match import AlardLupton, ModelPsf, match, match_psfs
from diapipe.steps.match.model_psf import fit_models
from gaussian_sky import Sky, drawn, exposure, masked, width_squared, with_planes

BOX = Box(100, 500, -200, 300)
SKY = Sky(shape=(240, 260), n_stars=36, noise_science=2.0, noise_template=1.0, template_scale=2.5, background=7.0)


def seen_through(kernel, psf, *, x, y):
    """The PSF through the kernel at a position, on the stamp of the PSF."""
    full = convolved_in_full(psf.kernel_image(x=x, y=y), kernel.image_at(x=x, y=y))
    margin = kernel.half
    return full[margin : margin + psf.size, margin : margin + psf.size]


def varying_psf(sigmas, *, size=41):
    """Gaussians whose image is linear in x, from the first sigma at the left to the second at the right."""
    left, right = (GaussianPsf(s, size).kernel_image(x=0, y=0) for s in sigmas)
    return PolynomialPsf(ImageField(np.array([0.5 * (left + right), 0.5 * (right - left), 0.0 * left]), BOX))


@pytest.mark.parametrize(
    ("widths", "tolerance"),
    [((1.4, 1.9), 1e-5), ((1.2, 3.6), 1e-5), ((1.3, 1.35), 1e-3), ((1.5, 1.5), 1e-3), ((1.9, 1.7), 5e-3)],
)
def test_two_gaussians(widths, tolerance):
    """One through the kernel is the other, to a part of its peak; σ_K² is the difference of their squares to 0.1 px².

    Where the kernel must be sharp or sharpen, less: what only noise would see is not asked of it.
    """
    target, reference = (GaussianPsf(s, 41) for s in widths)
    kernel = match_psfs(target, reference, BOX)
    expected = reference.kernel_image(x=0, y=0)
    np.testing.assert_allclose(seen_through(kernel, target, x=0, y=300), expected, atol=tolerance * expected.max())
    assert width_squared(kernel.image_at(x=0, y=300)) == pytest.approx(widths[1] ** 2 - widths[0] ** 2, abs=0.1)
    assert kernel.field.order == 0


@pytest.mark.parametrize("spatial_order", [None, 0, 2])
def test_the_kernel_sum_is_one(spatial_order):
    """Everywhere, exactly: to 1e-12, the rounding of a sum over its pixels (SPEC N)."""
    kernel = match_psfs(varying_psf((1.2, 1.5)), varying_psf((2.4, 1.9)), BOX, spatial_order=spatial_order)
    for x, y in ((-200.0, 100.0), (299.0, 499.0), (50.0, 300.0)):
        assert kernel.sum_at(x=x, y=y) == pytest.approx(1.0, abs=1e-12)


def test_varying_models_are_followed():
    """PSFs that widen to either side: the order is found, and one through the kernel is the other to 0.5% of the peak.

    A constant kernel is wrong by more than ten times as much.
    """
    target, reference = varying_psf((1.2, 1.5)), varying_psf((2.4, 1.9))
    chosen, constant = (match_psfs(target, reference, BOX, spatial_order=order) for order in (None, 0))
    assert chosen.field.order >= 1
    off = []
    for kernel in (chosen, constant):
        places = [(-150.0, 150.0), (50.0, 300.0), (250.0, 420.0)]
        models = [reference.kernel_image(x=x, y=y) for x, y in places]
        found = [seen_through(kernel, target, x=x, y=y) for x, y in places]
        off.append(max(np.abs(f - m).max() / m.max() for f, m in zip(found, models, strict=True)))
    assert off[0] < 0.005
    assert off[1] > 10 * off[0]


def test_models_of_different_sizes():
    """A large image of one PSF, a small one of the other: padded with zeros, matched to 1e-4 of the peak."""
    target, reference = GaussianPsf(1.4, 21), GaussianPsf(1.9, 51)
    kernel = match_psfs(target, reference, BOX)
    seen = np.pad(seen_through(kernel, target, x=0, y=300), 15)
    expected = reference.kernel_image(x=0, y=0)
    np.testing.assert_allclose(seen[20:31, 20:31], expected[20:31, 20:31], atol=1e-4 * expected.max())


@dataclass(frozen=True)
class HalfPsf(Psf):
    """A Gaussian that is defined on one side only."""

    limit: float

    @property
    def size(self):
        return 25

    def kernel_image(self, *, x, y):
        if x > self.limit:
            raise PsfUndefinedError("not here")
        return GaussianPsf(1.4, 25).kernel_image(x=x, y=y)


def test_models_are_compared_where_both_are_defined():
    """On half of the image: the same kernel; nowhere: the error says at how many places."""
    whole, half = (match_psfs(psf, GaussianPsf(1.9), BOX) for psf in (GaussianPsf(1.4), HalfPsf(50.0)))
    np.testing.assert_allclose(half.image_at(x=250, y=300), whole.image_at(x=250, y=300), atol=1e-8)
    basis = ModelPsf().sized_basis(target_sigma_px=1.4, reference_sigma_px=1.9).basis
    with pytest.raises(PsfUndefinedError, match=r"are defined at 0 of 36 places on a grid over .*; 1 are needed"):
        fit_models(HalfPsf(-300.0), GaussianPsf(1.9), BOX, basis=basis, spatial_order=None)
    with pytest.raises(PsfUndefinedError, match=r"are defined at 18 of 36 places on a grid over .*; 21 are needed"):
        fit_models(HalfPsf(50.0), GaussianPsf(1.9), BOX, basis=basis, spatial_order=5)


QUICK = ModelPsf(degrees=(2, 1), kernel_half_px=8)
"""Where the shape of the kernel does not matter."""


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def test_stars_tell_the_flux_scale(scene):
    """ΣK = 0.4 to three of its errors, which are below 1e-3; the shape is that of the models, the sky that of
    cells: one of 48 px tells it to 1.25 x 2.04 / 48 = 0.05.
    """
    stars, science, template = scene
    found = match(science, template, stars, algorithm=ModelPsf())
    assert found.kernel_sum_error < 1e-3
    assert found.kernel_sum == pytest.approx(0.4, abs=3 * found.kernel_sum_error)
    assert width_squared(found.kernel.image_at(x=130, y=120)) == pytest.approx(1.65, abs=0.01)
    assert float(found.background.at(x=130, y=120)) == pytest.approx(7.0, abs=0.2)
    assert found.fitted_to == "PSF models"
    assert found.basis.endswith(f"by 36 images of each PSF model; its sum by {found.candidates.kept.sum()} stars")
    assert found.relative_error == 0.0


def test_a_star_that_changed_does_not_tell_the_scale(scene):
    """One star brighter by a fifth is named; the scale is as before."""
    stars, science, template = scene
    k = int(np.argsort(-stars.flux)[2])
    light = drawn(SKY.shape, stars.x[k : k + 1], stars.y[k : k + 1], 0.2 * stars.flux[k : k + 1], sigma=1.9)
    planes = replace(science.masked_image, image=science.masked_image.image + light.astype(np.float32))
    found = match(replace(science, masked_image=planes), template, stars, algorithm=QUICK)
    at = int(np.argmin(np.hypot(found.candidates.x - stars.x[k], found.candidates.y - stars.y[k])))
    assert found.candidates.why_rejected[at] == "a flux ratio unlike the others"
    assert found.kernel_sum == pytest.approx(0.4, rel=2e-3)


def test_a_star_counts_by_what_its_stamp_tells(scene):
    """The list has the faintest as a bright star, of which both images hold 80 counts, and science 24 more.

    The noise of its flux is 13: its ratio is wrong by a third, two of its errors. Counted as a star of 1e5 it moves the
    scale by more than 0.1%; by its own error, by less.
    """
    stars, science, template = scene
    k = int(np.argmin(stars.flux))
    less, flux = stars.flux[k] - 80.0, stars.flux.copy()
    flux[k] = 1e5
    images = []
    for image, change, sigma in ((science, 24.0 - less, 1.9), (template, -2.5 * less, 1.4)):
        light = drawn(SKY.shape, stars.x[k : k + 1], stars.y[k : k + 1], np.array([change]), sigma=sigma)
        images.append(with_planes(image, image=image.masked_image.image + light.astype(np.float32)))
    found = match(*images, replace(stars, flux=flux), algorithm=QUICK)
    assert found.kernel_sum == pytest.approx(0.4, rel=1e-3)


def test_wrong_models_show_in_the_relative_error(scene):
    """A model 5% too narrow leaves 3% and more of the light at the stars; a right one nothing."""
    stars, science, template = scene
    wrong = replace(science, psf=GaussianPsf(1.8, 41))
    assert match(wrong, template, stars, algorithm=ModelPsf()).relative_error > 0.03


def test_the_scale_without_stars(scene):
    """Asked for; else by the calibrations: a count of the template is worth 3 nJy, one of science 7.5; else 1."""
    stars, science, template = scene
    none = stars.select(np.zeros(len(stars), bool))
    worth = replace(science, photo_calib=PhotoCalib(7.5)), replace(template, photo_calib=PhotoCalib(3.0))
    calibrated = match(*worth, none, algorithm=QUICK)
    assert calibrated.kernel_sum == pytest.approx(0.4, rel=1e-12)
    assert calibrated.basis.endswith("its sum by the calibrations of both images")
    assert np.isnan(calibrated.kernel_sum_error)
    assert match(science, template, none, algorithm=QUICK).kernel_sum == pytest.approx(1.0, rel=1e-12)
    for given in (stars, none):
        asked = match(*worth, given, algorithm=replace(QUICK, flux_scale=0.37))
        assert asked.kernel_sum == pytest.approx(0.37, rel=1e-12)


def test_the_other_way_round(scene):
    """Science convolved because its PSF is the sharper one: the scale is the inverse, the sky turned."""
    stars, science, template = scene
    found = match(template, science, stars, algorithm=QUICK)
    assert found.convolved == "science"
    assert found.kernel_sum == pytest.approx(0.4, rel=3e-3)
    asked = match(science, template, stars, algorithm=replace(QUICK, convolve="science"))
    assert asked.kernel_sum == pytest.approx(2.5, rel=0.02)


def test_orders_and_sizes_that_are_asked_for(scene):
    """Of kernel and background, no background, half-size, degrees."""
    stars, science, template = scene
    found = match(science, template, stars, algorithm=ModelPsf(spatial_order=2, background_order=1, kernel_half_px=9))
    assert (found.spatial_order, found.background.order, found.kernel.size) == (2, 1, 19)
    plain = match(science, template, stars, algorithm=ModelPsf(background_order=None, degrees=(2, 1)))
    np.testing.assert_array_equal(plain.background.coefficients, 0.0)
    assert "(degree 2), 1.28 px (degree 1)" in plain.basis
    with pytest.raises(UsageError, match="a kernel of 301 px is larger than science"):
        match(science, template, stars, algorithm=ModelPsf(kernel_half_px=150))


def test_masked_everywhere_leaves_the_models(scene):
    """No pixel tells a sky or a flux: the kernel is that of the models, its sum 1, the background 0."""
    stars, science, template = scene
    template = masked(template, slice(None), slice(None), MaskPlane.NO_DATA)
    found = match(science, template, stars, algorithm=QUICK)
    assert found.kernel_sum == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(found.background.coefficients, 0.0)
    assert set(found.candidates.why_rejected) == {"masked pixels"}


def test_a_field_without_stars_is_differenced(rng):
    """Two images of noise with PSF models, one transient of S/N 70: it is found, and its flux is right.

    Within four of its errors; the noise of the difference is what its variance says to 3%; stars match such a pair not.
    """
    shape = (300, 320)
    light = drawn(shape, np.array([100.3]), np.array([150.7]), np.array([3000.0]), sigma=1.9)
    science, template = exposure("science", light, 5.0, 1.9, rng), exposure("template", 0 * light, 4.0, 1.4, rng)
    result = difference_pair(science, template, recipe=Recipe(matcher=ModelPsf()))
    (source,) = result.dia_sources
    assert np.hypot(source["x"] - 100.3, source["y"] - 150.7) < 0.2
    assert abs(source["psfFlux"] - 3000.0) < 4 * source["psfFluxErr"]
    assert result.summary["noise"]["score_sigma"] == pytest.approx(1.0, abs=0.03)
    assert result.summary["kernel"]["fitted_to"] == "PSF models"
    assert not any("carried the matching kernel" in sentence for sentence in result.summary["warnings"])
    with pytest.raises(TooFewStarsError, match="bright enough"):
        difference_pair(science, template, recipe=Recipe(matcher=AlardLupton()))
