"""Residual over light at the kernel's stars, the check made of it, and limiting magnitudes by their formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import BadSubtractionError
from diapipe.flow import difference_pair
from diapipe.images import ChebyshevField, GaussianPsf, PhotoCalib, SpatialKernel
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.recipe import Recipe
from diapipe.steps.subtract import subtract
from diapipe.steps.summarize import (
    FootprintRatios,
    SubtractionCheck,
    concerns,
    footprint_ratios,
    refuse_bad_subtraction,
    summarize,
)
from diapipe.steps.summarize.tally import limiting_flux, limiting_magnitudes
from gaussian_sky import Sky
from toy_difference import ToyCandidates, ToyMatch, toy_parts

SKY = Sky(sigma_science=2.0, sigma_template=1.4, n_stars=48, brightest=3e5, faintest=2e4)


def made(rng, *, sky=SKY, kernel_sigma=None, error=0.0):
    """Ratios of a subtraction with a Gaussian kernel: the right one unless another width is given."""
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    width = kernel_sigma or np.sqrt(sky.sigma_science**2 - sky.sigma_template**2)
    kernel = SpatialKernel.constant(GaussianPsf(width, 25).kernel_image(x=0, y=0), science.box)
    flat = ChebyshevField.constant(0.0, science.box)
    difference = subtract(science, template, kernel, flat, convolved="template", relative_error=error)
    n = len(stars)
    kept = np.arange(n) % 5 > 0
    candidates = ToyCandidates(stars.x, stars.y, stars.flux, np.ones(n), kept, tuple("" for _ in range(n)))
    match = ToyMatch(kernel, flat, candidates, relative_error=error)
    return difference, science, match


def test_a_good_template_leaves_noise_only(rng):
    """Below 0.02 in the mean, and zero within four errors of it: the noise is taken out."""
    found = footprint_ratios(*made(rng))
    assert len(found.ratio) == 38
    assert abs(found.mean) < 0.02
    assert abs(found.mean) < 4 * found.std / np.sqrt(38) + 1e-3


def test_a_wrong_kernel_leaves_light(rng):
    """A kernel of 9.5 px in place of 1.43: above 0.12; by the profiles, most of the light."""
    assert footprint_ratios(*made(rng, kernel_sigma=9.5)).mean > 0.12


def test_the_ratio_is_that_of_the_residual(rng):
    """Template stars 10% too bright: a tenth of the light is left, in every star, whatever error the match admits."""
    sky = replace(SKY, template_scale=1.1, noise_science=1.0, noise_template=0.5)
    for error in (0.0, 0.03):
        found = footprint_ratios(*made(rng, sky=sky, error=error))
        assert found.mean == pytest.approx(0.1, abs=0.01)
        assert found.std < 0.02


def test_without_stars_there_is_no_ratio(rng):
    """NaN, and no limit is exceeded by it."""
    difference, science, match = made(rng)
    none = replace(match, candidates=replace(match.candidates, kept=np.zeros(48, bool)))
    found = footprint_ratios(difference, science, none)
    assert np.isnan(found.mean)
    refuse_bad_subtraction(found, limits=SubtractionCheck(), name="image")


@pytest.mark.parametrize(
    ("ratio", "limits", "refused"),
    [
        ([0.1, 0.2], {}, None),
        ([0.25, 0.25], {}, "the mean must be below 20%"),
        ([0.25, 0.25], {"max_ratio": 0.3}, None),
        ([-0.6, 0.6], {}, "the scatter must be below 40%"),
        ([-0.6, 0.6], {"max_scatter": 0.7}, None),
    ],
)
def test_limits(ratio, limits, refused):
    """Mean and scatter each have one, and the error names both."""
    found = FootprintRatios(np.array(ratio))
    if refused is None:
        refuse_bad_subtraction(found, limits=SubtractionCheck(**limits), name="night1.fits")
        return
    with pytest.raises(BadSubtractionError, match=f"night1.fits leaves .* 2 kernel stars.*{refused}") as caught:
        refuse_bad_subtraction(found, limits=SubtractionCheck(**limits), name="night1.fits")
    assert caught.value.context["ratio_mean"] == pytest.approx(np.mean(ratio))


def test_the_flow_refuses_where_it_is_asked_to(rng):
    """A limit that nothing meets stops the pair before anything is detected; by default the summary only tells."""
    sky = replace(SKY, shape=(256, 256), n_stars=30)
    science, template = sky.exposures(rng, sky.stars(rng))
    result = difference_pair(science, template)
    assert result.summary["residuals"]["footprint_ratio_mean"] < 0.02
    assert result.summary["residuals"]["n_stars"] > 10
    stages: list[str] = []
    with pytest.raises(BadSubtractionError, match="kernel stars"):
        difference_pair(
            science, template, recipe=Recipe(check=SubtractionCheck(max_scatter=1e-9)), progress=stages.append
        )
    assert stages[-1] == "subtract"


def test_a_failed_subtraction_is_a_concern(rng):
    """Above a fifth the summary says so first."""
    summary = summarize(**toy_parts(rng))
    assert not any("subtraction has failed" in sentence for sentence in concerns(summary))
    summary["residuals"]["footprint_ratio_mean"] = 0.34
    assert any("34% of the light of the kernel's stars is left" in sentence for sentence in concerns(summary))


def test_limiting_magnitudes_are_those_of_the_formula(rng):
    """-2.5 log10(5 √(4π) σ √V nJy / zero point) to 1e-6; fluxes of the two images add in quadrature, to 1%."""
    difference, science, _ = made(rng)
    science = replace(science, photo_calib=PhotoCalib(2.5))
    _, template = SKY.exposures(rng, SKY.stars(rng))
    widths = {"science": 2.0 * SIGMA_TO_FWHM, "template": 1.4 * SIGMA_TO_FWHM, "difference": 2.0 * SIGMA_TO_FWHM}
    found = limiting_magnitudes(science, template, difference, widths=widths)
    for name, noise, sigma in (("science", 10.0, 2.0), ("template", 5.0, 1.4)):
        flux = 5.0 * np.sqrt(4.0 * np.pi) * sigma * noise * 2.5
        assert found[name] == pytest.approx(-2.5 * np.log10(flux / ZERO_POINT_NJY), abs=1e-6)
    assert found["magnitude"] == "AB magnitude"
    # K ⊗ template noise: V_T Σ K² on pixels
    kernel = difference.kernel.image_at(x=0, y=0)
    variance = 100.0 + 25.0 * (kernel**2).sum()
    flux = limiting_flux(difference.exposure.masked_image, psf_fwhm_px=widths["difference"])
    assert flux == pytest.approx(5.0 * np.sqrt(4.0 * np.pi * variance) * 2.0, rel=0.01)


def test_a_template_of_another_scale_is_told_on_that_of_science(rng):
    """The same template in counts of half the size is as deep."""
    difference, science, _ = made(rng)
    _, template = SKY.exposures(rng, SKY.stars(rng))
    half = replace(template, masked_image=replace(template.masked_image, variance=template.masked_image.variance / 4))
    doubled = replace(
        difference, kernel=SpatialKernel(replace(difference.kernel.field, images=2 * difference.kernel.field.images))
    )
    widths = dict.fromkeys(("science", "template", "difference"), 4.0)
    one = limiting_magnitudes(science, template, difference, widths=widths)
    two = limiting_magnitudes(science, half, doubled, widths=widths)
    assert two["template"] == pytest.approx(one["template"], abs=1e-9)
    assert limiting_magnitudes(science, half, doubled, widths=widths | {"template": None})["template"] is None
