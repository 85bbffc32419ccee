"""What the tests of LSST's difference imaging ask of detection and measurement, through the whole chain.

Each docstring names the row of the list of acceptance bars. Those on dipoles, streaks, cosmic rays, glints and the
options of the detector stand with the tests of these.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detection_scene import FLUX_ERROR, SIDE, SIGMA, Scene, changes_on_a_grid
from diapipe.catalogs.dia_sources import without_flagged
from diapipe.errors import NoWorkError
from diapipe.flow import DifferenceResult, difference_pair
from diapipe.images import Box, CoaddComponent, CoaddPsf, GaussianPsf, MaskPlane
from diapipe.images.fields import ChebyshevField
from diapipe.numerics.arrays import FloatArray
from diapipe.recipe import Recipe
from diapipe.steps.clean import Clean
from diapipe.steps.detect import MatchedFilter, ScoreThreshold, SkySources, detect
from diapipe.steps.measure import measure
from diapipe.steps.subtract import PsfFilter
from gaussian_sky import drawn, with_planes

BOX = Box(8000, 8000 + SIDE, -200, SIDE - 200)
SKY = Recipe(sky_sources=SkySources(n_sources=100, trials_per_source=60))


@pytest.fixture(scope="module")
def changes() -> FloatArray:
    return changes_on_a_grid(np.random.default_rng(5), 10, low=1000.0, high=2000.0)


@pytest.fixture(scope="module")
def found(changes: FloatArray) -> DifferenceResult:
    """Ten transients of both signs, away from the origin, with sky sources."""
    return difference_pair(*Scene(changes=changes, box=BOX).images(np.random.default_rng(6)), recipe=SKY)


def matched(result: DifferenceResult, changes: FloatArray) -> list[int]:
    """Row of the detection nearest to each change."""
    x, y = np.asarray(result.dia_sources["x"]) - result.difference.box.x0, np.asarray(result.dia_sources["y"])
    y = y - result.difference.box.y0
    x = np.where(result.dia_sources["sky_source"], np.inf, x)
    return [int(np.hypot(x - c[0], y - c[1]).argmin()) for c in changes]


def assert_recovered(result: DifferenceResult, changes: FloatArray) -> None:
    """Each within a pixel, with its sign, its PSF flux within 2.5% (3.4 sigma of the faintest)."""
    rows = result.dia_sources[matched(result, changes)]
    box = result.difference.box
    assert np.hypot(rows["x"] - box.x0 - changes[:, 0], rows["y"] - box.y0 - changes[:, 1]).max() < 1.0
    np.testing.assert_array_equal(rows["isNegative"], changes[:, 2] < 0)
    np.testing.assert_allclose(rows["psfFlux"], changes[:, 2], rtol=0.025)
    assert not rows["dp_bad"].any()


def test_all_are_found_and_nothing_else(found, changes):
    """detection_xy0: as many detections as changes, though the images begin at (-200, 8000); large identifiers."""
    sources = found.dia_sources[~found.dia_sources["sky_source"]]
    assert len(sources) == 10
    assert sorted(matched(found, changes)) == list(range(10))
    assert np.asarray(found.dia_sources["diaSourceId"]).min() > 1e9
    assert len(set(found.dia_sources["diaSourceId"])) == 110


def test_transients_of_both_signs_are_recovered(found, changes):
    """transients: 1 px, 2.5%."""
    assert_recovered(found, changes)


def test_errors_are_those_of_the_noise(found, changes):
    """PsfFluxErr is the noise of the matched filter, to 5%."""
    rows = found.dia_sources[matched(found, changes)]
    np.testing.assert_allclose(rows["psfFluxErr"], FLUX_ERROR, rtol=0.05)


def test_a_background_is_taken_out(changes):
    """With a Chebyshev background of second order on the science image: the same sources, and a flat difference.

    The median of 10,000 pixels has an error of 1.25 x 1.03 / 100 = 0.013; the background varied by more than 30.
    """
    field = ChebyshevField(np.array([30.0, 12.0, -8.0, 5.0, -4.0, 6.0]), Box.from_shape((SIDE, SIDE)))
    extra = field.over(field.box).astype(np.float64)
    result = difference_pair(*Scene(changes=changes, extra=extra).images(np.random.default_rng(6)))
    assert_recovered(result, changes)
    pixels = result.difference.exposure.masked_image.image
    for corner in (np.s_[20:120, 20:120], np.s_[20:120, -120:-20], np.s_[-120:-20, 20:120], np.s_[-120:-20, -120:-20]):
        assert abs(np.median(pixels[corner])) < 0.1
    assert np.ptp(extra) > 30.0


def test_detection_changes_no_pixel(found):
    """detection_xy0: neither detecting nor measuring writes into the difference."""
    image = found.difference.exposure
    before = [np.array(p) for p in (image.masked_image.image, image.masked_image.mask, image.masked_image.variance)]
    measure(found.difference, detect(image), science=found.science.exposure)
    planes = image.masked_image
    for plane, was in zip((planes.image, planes.mask, planes.variance), before, strict=True):
        np.testing.assert_array_equal(plane, was)


def test_a_satellite_leaves_no_sources(changes):
    """mask_streaks: a trail of 5 sigma makes dozens of detections; masked, none, and those at its border are flagged.

    Transients away from it are as before.
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    across = (x - 200) * np.sin(0.5) - (y - 215) * np.cos(0.5)
    extra = 5.0 * np.exp(-0.5 * (across / 2.0) ** 2)
    images = Scene(changes=changes, extra=extra).images(np.random.default_rng(6))
    nothing = Recipe(clean=Clean(streaks=None, among_stars=None))
    bare, clean = (difference_pair(*images, recipe=recipe) for recipe in (nothing, Recipe()))
    assert len(bare.dia_sources) > 20
    assert len(clean.cleaned.streaks) == len(clean.summary["masked_on_difference"]["streaks"]) == 1
    masked = (clean.difference.exposure.masked_image.mask & int(MaskPlane.STREAK)) != 0
    assert masked[extra > 2.0].all()
    on_trail = np.abs((changes[:, 0] - 200) * np.sin(0.5) - (changes[:, 1] - 215) * np.cos(0.5))
    rows = clean.dia_sources
    others = rows[~rows["dp_bad"]]
    assert len(others) == (on_trail > 15).sum()
    assert_recovered(clean, changes[on_trail > 15])
    near = np.abs((rows["x"] - 200) * np.sin(0.5) - (rows["y"] - 215) * np.cos(0.5)) < 20
    assert rows["pixelFlags_streak"][near].all()


@pytest.mark.parametrize("preconvolution", [PsfFilter(), None])
def test_a_score_image_does_not_see_what_was_masked(preconvolution, changes):
    """Searched on a score image, the same trail and a cosmic ray leave no good source, and the transients are there."""
    y, x = np.mgrid[:SIDE, :SIDE]
    across = (x - 200) * np.sin(0.5) - (y - 215) * np.cos(0.5)
    extra = 5.0 * np.exp(-0.5 * (across / 2.0) ** 2)
    extra[37, 111] += 500.0
    recipe = Recipe(detector=ScoreThreshold(), preconvolution=preconvolution)
    result = difference_pair(*Scene(changes=changes, extra=extra).images(np.random.default_rng(6)), recipe=recipe)
    assert result.score is not None
    assert result.cleaned.n_cosmic_ray_pixels >= 1
    away = np.abs((changes[:, 0] - 200) * np.sin(0.5) - (changes[:, 1] - 215) * np.cos(0.5)) > 20
    good = result.dia_sources[~result.dia_sources["dp_bad"]]
    assert np.hypot(good["x"] - 111, good["y"] - 37).min() > 10
    assert len(good) <= len(changes)
    assert_recovered(result, changes[away])


def test_sky_sources(found, changes):
    """Sky sources: as many as asked for, none near a change (half a kernel), fluxes consistent with noise."""
    rows = found.dia_sources[found.dia_sources["sky_source"]]
    assert len(rows) == 100
    half = found.match.kernel.half
    for x, y, _ in changes:
        assert np.hypot(rows["x"] - BOX.x0 - x, rows["y"] - BOX.y0 - y).min() > half
    pulls = np.asarray(rows["psfFlux"] / rows["psfFluxErr"], np.float64)
    # the scatter of the width of 100 pulls is 0.07, that of their mean 0.1
    assert abs(np.std(pulls) - 1.0) < 0.28
    assert abs(np.mean(pulls)) < 0.4


def test_sources_on_excluded_planes_are_rejected(changes):
    """exclude_mask_detections: of ten, those whose centre has the plane are gone, the others are there."""
    science, template = Scene(changes=changes).images(np.random.default_rng(6))
    mask = science.masked_image.mask.copy()
    for (x, y, _), plane in zip(changes[::3], ("EDGE", "BAD", "SAT", "EDGE"), strict=True):
        mask[int(y) - 12 : int(y) + 14, int(x) - 12 : int(x) + 14] |= int(MaskPlane[plane])
    spoilt = replace(science, masked_image=replace(science.masked_image, mask=mask))
    result = difference_pair(
        spoilt, template, recipe=Recipe(detector=MatchedFilter(excluded_planes=("EDGE", "BAD", "SAT")))
    )
    x, y = (np.asarray(result.dia_sources[name]) for name in ("x", "y"))
    nearest = np.array([np.hypot(x - c[0], y - c[1]).min() for c in changes])
    assert (nearest[::3] > 5).all()
    assert (np.delete(nearest, np.arange(0, 10, 3)) < 1).all()


def test_measurements_are_finite(found, changes):
    """measurements_finite: every number that a plain source has, and in its range."""
    rows = found.dia_sources[matched(found, changes)]
    for name in ("x", "y", "xErr", "yErr", "psfFlux", "psfFluxErr", "apFlux", "apFluxErr", "scienceFlux", "snr"):
        assert np.isfinite(rows[name]).all(), name
    for name in ("scienceFluxErr", "templateFlux", "templateFluxErr", "psfChi2", "ixx", "iyy", "ixy", "extendedness"):
        assert np.isfinite(rows[name]).all(), name
    assert ((rows["psfNdata"] > 50) & (rows["psfChi2"] < 3.0 * rows["psfNdata"])).all()
    np.testing.assert_allclose(rows["ixx"], SIGMA**2, rtol=0.15)
    np.testing.assert_allclose(rows["iyy"], SIGMA**2, rtol=0.15)
    assert ((rows["extendedness"] >= 0) & (rows["extendedness"] < 0.3)).all()
    assert (np.hypot(rows["xErr"], rows["yErr"]) < 0.1).all()


def test_forced_fluxes_add_up(found, changes):
    """Flux on science less flux on the template is the flux of the change, within five errors of either."""
    rows = found.dia_sources[matched(found, changes)]
    left = rows["scienceFlux"] - rows["templateFlux"] - rows["psfFlux"]
    assert (np.abs(left) < 5.0 * np.hypot(rows["scienceFluxErr"], rows["templateFluxErr"])).all()


def test_a_negative_source_is_the_mirror_of_a_positive(changes):
    """Deblend negatives: measured on the difference of the opposite sign everything is the same, the flux reversed."""
    science, template = Scene(changes=changes).images(np.random.default_rng(6))
    result = difference_pair(science, template)
    image = result.difference.exposure
    flipped = replace(image, masked_image=replace(image.masked_image, image=-image.masked_image.image))
    one, other = (measure(replace(result.difference, exposure=e), detect(e), science=science) for e in (image, flipped))
    np.testing.assert_allclose(other["psfFlux"], -one["psfFlux"], rtol=1e-4)
    np.testing.assert_allclose(other["x"], one["x"], atol=1e-4)
    np.testing.assert_allclose(other["ixx"], one["ixx"], rtol=1e-4)
    np.testing.assert_array_equal(other["isNegative"], ~one["isNegative"] & ~one["isDipole"])


def test_sources_off_the_image_are_dropped(found):
    """remove_unphysical: of four sources on the border the three whose centroid, right to 0.1 px, is beyond it are
    flagged, and go on request; the fourth, and all changes, stay.
    """
    image, box = found.difference.exposure, found.difference.box
    places = [(-0.8, 110.2), (160.3, -0.8), (SIDE - 0.2, 210.4), (-0.2, 260.1)]
    light = drawn((SIDE, SIDE), *np.array(places).T, np.full(4, 3000.0), sigma=SIGMA)
    image = with_planes(image, image=(image.masked_image.image + light).astype(np.float32))
    table = measure(replace(found.difference, exposure=image), detect(image), science=found.science.exposure)
    apart = np.array([np.hypot(table["x"] - box.x0 - x, table["y"] - box.y0 - y) for x, y in places])
    near = apart.argmin(axis=1)
    assert apart.min(axis=1).max() < 0.1
    assert table["pixelFlags_offimage"][near].tolist() == [True, True, True, False]
    assert np.count_nonzero(table["pixelFlags_offimage"]) == 3
    inside = without_flagged(table, ["pixelFlags_offimage"])
    assert len(inside) == len(table) - 3
    assert ((inside["x"] >= box.x0 - 0.5) & (inside["y"] >= box.y0 - 0.5) & (inside["x"] < box.x1 - 0.5)).all()


@pytest.mark.parametrize("which", ["nowhere", "missing"])
def test_without_a_psf_there_is_no_work(which, found):
    """bad_psf: a difference without a PSF, or with one that is defined nowhere on it, is no crash but no work."""
    elsewhere = CoaddPsf((CoaddComponent(GaussianPsf(SIGMA), 1.0, Box(0, 10, 0, 10), np.eye(2), np.zeros(2)),))
    image = replace(found.difference.exposure, psf=None if which == "missing" else elsewhere)
    with pytest.raises(NoWorkError, match="PSF"):
        detect(image)
