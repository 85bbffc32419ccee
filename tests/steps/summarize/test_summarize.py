"""The summary: strict JSON, and its numbers against what is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane, PhotoCalib
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.steps.summarize import check_noise, concerns, plain, star_residuals, summarize
from diapipe.steps.summarize.psf_widths import half_maximum_width
from diapipe.steps.summarize.tally import depth, limiting_flux
from toy_difference import NOISE, SCIENCE_SIGMA, SHAPE, TEMPLATE_SIGMA, toy_parts


def white_noise(rng, *, scale=1.0, shape=(256, 256)):
    return MaskedImage.from_planes(rng.normal(0, scale, shape), variance=1.0)


def test_a_summary_is_strict_json(rng):
    """No NaN, no infinity, no object: written and read back it is the same."""
    summary = summarize(**toy_parts(rng))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_summary_without_sources_or_stars_is_strict_json(rng):
    parts = toy_parts(rng)
    parts["dia_sources"] = Table({"snr": np.empty(0)})
    empty = parts["science"].stars.select(np.zeros(len(parts["science"].stars), bool))
    parts["science"] = type(parts["science"])(parts["science"].exposure, empty)
    summary = summarize(**parts)
    json.dumps(summary, allow_nan=False)
    assert summary["stars"]["n"] == 0
    assert summary["counts"]["good"] == 0


def test_plain_values_of_everything():
    value = {
        "nan": np.float32("nan"), "array": np.array([1.0, np.inf]), "flag": MaskPlane.SAT, "path": Path("a"),
        3: (True, None), "scalar": np.array(2), "object": GaussianPsf(2.0), "mjd": 60000.12345678,
    }  # fmt: skip
    assert plain(value) == {
        "nan": None, "array": [1.0, None], "flag": "SAT", "path": "a", "3": [True, None],
        "scalar": 2, "object": {"sigma": 2.0, "width": 25}, "mjd": 60000.1234568,
    }  # fmt: skip


def test_the_facts_of_a_known_difference(rng):
    """Widths are those drawn; σ of pixels and score 1 within four errors (174,000 and ~4,000 independent)."""
    summary = summarize(**toy_parts(rng))
    assert summary["psf"]["science"]["fwhm_px"] == pytest.approx(SIGMA_TO_FWHM * SCIENCE_SIGMA, rel=0.01)
    assert summary["psf"]["seeing_ratio"] == pytest.approx(SCIENCE_SIGMA / TEMPLATE_SIGMA, rel=0.01)
    assert summary["kernel"]["sum"] == pytest.approx(1.0)
    assert summary["background"]["mean"] == pytest.approx(0.5)
    assert summary["candidates"]["used"] == 32
    assert summary["candidates"]["rejected"] == {"residual too large": 8}
    assert summary["pixels"]["masked_fraction"] == pytest.approx(2 / SHAPE[1])
    assert summary["noise"]["pixel_sigma"] == pytest.approx(1.0, abs=4 / np.sqrt(2 * 174_000))
    assert summary["noise"]["score_sigma"] == pytest.approx(1.0, abs=4 / np.sqrt(2 * 4_000))
    assert summary["counts"]["good"] == 3
    assert summary["counts"]["good_negative"] == 1
    assert summary["warnings"] == []


def test_the_depth_is_that_of_white_noise(rng):
    """Five sigma of a PSF flux in white noise: 5 σ √(4π) σ_psf."""
    summary = summarize(**toy_parts(rng))
    assert summary["depth"]["flux_5sigma"] == pytest.approx(5 * NOISE * np.sqrt(4 * np.pi) * SCIENCE_SIGMA, rel=1e-3)


@pytest.mark.parametrize(("calib", "unit", "scale"), [(None, "adu", 1.0), (PhotoCalib(2.5), "nJy", 2.5)])
def test_the_depth_is_in_the_unit_of_the_fluxes(rng, calib, unit, scale):
    """In nJy where a count has a worth, with the AB magnitude of that."""
    planes = white_noise(rng)
    exposure = Exposure(name="e", masked_image=planes, photo_calib=calib, unit="adu")
    found = depth(planes, psf_fwhm_px=4.0, exposure=exposure)
    assert found["unit"] == unit
    assert found["flux_5sigma"] == pytest.approx(scale * limiting_flux(planes, psf_fwhm_px=4.0))
    if calib is not None:
        assert found["magnitude_5sigma"] == pytest.approx(31.4 - 2.5 * np.log10(found["flux_5sigma"]), abs=1e-3)


def test_white_noise_is_found_white(rng):
    """Every lag of 65,536 white pixels is 0 within five of its errors, 1/256."""
    noise = white_noise(rng)
    found = check_noise(noise, noise, noise)
    lags = found.autocorrelation.copy()
    assert lags[4, 4] == 1.0
    lags[4, 4] = 0.0
    assert np.abs(lags).max() < 5 / 256
    np.testing.assert_array_equal(lags, lags[::-1, ::-1])


def test_correlation_along_one_axis_is_measured(rng):
    """The mean of two neighbours along x has correlation 1/2 at lag 1 along x and none along y."""
    white = rng.normal(size=(256, 257))
    image = MaskedImage.from_planes((white[:, 1:] + white[:, :-1]) / np.sqrt(2), variance=1.0)
    found = check_noise(image, image, image)
    assert found.lag1_x == pytest.approx(0.5, abs=5 / 256)
    assert found.lag1_y == pytest.approx(0.0, abs=5 / 256)


def test_lags_are_those_of_the_slow_definition(rng):
    """Pairs of good pixels only, against plain loops."""
    image, mask = (
        rng.normal(size=(20, 24)).astype(np.float32),
        (rng.random((20, 24)) < 0.2) * np.int32(int(MaskPlane.BAD)),
    )
    planes = MaskedImage.from_planes(image, mask=mask.astype(np.int32), variance=1.0)
    found = check_noise(planes, planes, planes).autocorrelation
    good = mask == 0
    variance = (image[good] ** 2).mean(dtype=np.float64)
    for dy, dx in ((0, 1), (1, 0), (2, -3)):
        pairs = [
            float(image[y, x]) * float(image[y + dy, x + dx])
            for y in range(20 - dy)
            for x in range(24)
            if 0 <= x + dx < 24 and good[y, x] and good[y + dy, x + dx]
        ]
        assert found[4 + dy, 4 + dx] == pytest.approx(np.mean(pairs) / variance, abs=1e-6)


def test_noise_of_a_wholly_masked_image_is_unknown():
    planes = MaskedImage.from_planes(np.ones((64, 64)), mask=np.full((64, 64), int(MaskPlane.BAD), np.int32))
    found = check_noise(planes, planes, planes)
    assert found.n_pixels == 0
    assert np.isnan(found.score_sigma)
    assert plain(found)["lag1_x"] is None


def test_residuals_at_perfectly_subtracted_stars_are_noise(rng):
    """The mean reduced χ² over 80 stars of ~100 pixels is 1 within four times √(2 / 8000)."""
    parts = toy_parts(rng, n_stars=80)
    planes = parts["difference"].exposure.masked_image
    quiet = MaskedImage.from_planes(rng.normal(0, NOISE, SHAPE), variance=NOISE**2, box=planes.box)
    found = star_residuals(quiet, parts["science"].stars, GaussianPsf(SCIENCE_SIGMA))
    weight = found.n_pixels / found.n_pixels.sum()
    assert (weight * found.reduced_chi2).sum() == pytest.approx(1.0, abs=4 * np.sqrt(2 / found.n_pixels.sum()))
    pulls = found.residual_fraction / found.residual_fraction_err
    assert np.std(pulls) == pytest.approx(1.0, abs=4 / np.sqrt(2 * len(found)))


def test_residuals_at_one_star_are_those_of_the_definition(rng):
    """χ², sum and pixels of the circle, against plain loops."""
    parts = toy_parts(rng)
    planes = parts["difference"].exposure.masked_image
    stars = parts["science"].stars
    found = star_residuals(planes, stars, GaussianPsf(SCIENCE_SIGMA))
    from diapipe.steps.summarize.star_residuals import footprint_radius

    k = len(found) // 2
    radius = float(footprint_radius(found.flux, noise=NOISE, sigma_px=SCIENCE_SIGMA)[k])
    values = [
        float(planes.image[y, x])
        for y in range(SHAPE[0])
        for x in range(SHAPE[1])
        if (x - found.x[k]) ** 2 + (y - found.y[k]) ** 2 <= radius**2 and not planes.mask[y, x] & int(MaskPlane.BAD)
    ]
    assert found.n_pixels[k] == len(values)
    assert found.reduced_chi2[k] == pytest.approx(np.mean(np.square(values)) / NOISE**2)
    assert found.residual_fraction[k] == pytest.approx(sum(values) / found.flux[k])


def test_a_star_without_its_centre_or_most_of_its_footprint_is_left_out(rng):
    """What is left of such a star is the edge of a hole: it grades the hole, not the subtraction."""
    parts = toy_parts(rng)
    planes, stars = parts["difference"].exposure.masked_image, parts["science"].stars
    before = star_residuals(planes, stars, GaussianPsf(SCIENCE_SIGMA))
    image, mask = planes.image.copy(), planes.mask.copy()
    (x, other_x), (y, other_y) = np.floor(before.x[:2] + 0.5).astype(int), np.floor(before.y[:2] + 0.5).astype(int)
    image[y, x] = np.nan
    mask[other_y - 12 : other_y + 13, other_x + 1 : other_x + 13] |= int(MaskPlane.NO_DATA_TEMPLATE)
    mask[other_y + 1 : other_y + 13, other_x - 12 : other_x + 13] |= int(MaskPlane.NO_DATA_TEMPLATE)
    holed = MaskedImage(image, mask, planes.variance, planes.box)
    after = star_residuals(holed, stars, GaussianPsf(SCIENCE_SIGMA))
    lost = set(before.x) - set(after.x)
    assert {before.x[0], before.x[1]} <= lost
    assert len(after) >= len(before) - 3


def test_inputs_are_left_unchanged(rng):
    parts = toy_parts(rng)
    planes = parts["difference"].exposure.masked_image
    before = planes.image.copy(), planes.mask.copy(), planes.variance.copy()
    summarize(**parts)
    for old, now in zip(before, (planes.image, planes.mask, planes.variance), strict=True):
        np.testing.assert_array_equal(old, now)


@pytest.mark.parametrize("sigma", [1.0, 1.7, 3.0, 6.0])
def test_the_width_at_half_maximum_of_a_gaussian(sigma):
    stamp = GaussianPsf(sigma, 61).kernel_image(x=0, y=0)
    assert half_maximum_width(stamp) == pytest.approx(SIGMA_TO_FWHM * sigma, rel=0.01)


def test_each_concern_names_value_and_limit(rng):
    summary = summarize(**toy_parts(rng))
    assert concerns(summary) == []
    summary["candidates"]["used"] = 4
    summary["kernel"]["relative_error"] = 0.104
    summary["stars"]["median_reduced_chi2_bright"] = 2.25
    summary["noise"].update(score_sigma=1.25, lag1_x=-0.08)
    summary["pixels"].update(masked_fraction=0.4, masked_fraction_beyond_inputs=0.3)
    summary["counts"]["good"] = 5000
    sentences = concerns(summary)
    found = " ".join(sentences)
    for words in (
        "Only 4 stars",
        "differ by 10% of a star's light in a pixel (up to 5% is usual)",
        "2.25 times",
        "stands at 4.0 true sigma",
        "0.080",
        "40%",
        "30.0%",
        "5000 good sources",
    ):
        assert words in found
    assert all(sentence.endswith(".") for sentence in sentences)


def test_parent_coordinates_are_respected(rng):
    """A summary of an image whose first pixel is at (1000, -500) equals that at the origin."""
    image = rng.normal(0, 1, (128, 140)).astype(np.float32)
    here = MaskedImage.from_planes(image)
    there = MaskedImage.from_planes(image, box=Box.from_shape(image.shape, x0=1000, y0=-500))
    np.testing.assert_array_equal(
        check_noise(here, here, here).autocorrelation, check_noise(there, there, there).autocorrelation
    )


def test_the_threshold_told_is_the_one_used(rng):
    summary = summarize(**toy_parts(rng))
    summary["noise"]["score_sigma"] = 1.25
    summary["counts"]["threshold_sigma"] = 6.5
    assert "a threshold of 6.5 stands at 5.2 true sigma" in " ".join(concerns(summary))


def test_one_image_twice_is_told_as_that(rng):
    """No scatter at all is no matter of thresholds."""
    summary = summarize(**toy_parts(rng))
    summary["noise"].update(score_sigma=0.0022, lag1_x=0.5)
    (sentence,) = concerns(summary)
    assert "one image twice" in sentence
    assert "true sigma" not in sentence
