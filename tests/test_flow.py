"""The whole flow by its invariants: what must not change the result, and what must change it in a known way."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import InputError, ReadError, UsageError
from diapipe.flow import DifferenceResult, difference_pair
from diapipe.images import UNUSABLE_DIFFERENCE, Box, Exposure, MaskPlane, PhotoCalib
from diapipe.recipe import Recipe
from diapipe.report.words import sentences
from diapipe.simulate import PairSpec, simulate_pair
from diapipe.steps.classify import BoostedTrees
from diapipe.steps.match import AlardLupton
from diapipe.steps.subtract import Zogy
from gaussian_sky import masked, with_planes

SPEC = PairSpec.small(
    512, n_stars=120, n_transients=12, transient_min_snr=15.0, star_brightest_mag=15.5, misregistration_px=0.0
)
STAGES = [
    "characterize science", "characterize template", "align template", "match PSFs", "subtract", "clean", "detect",
    "measure"
]  # fmt: skip


@pytest.fixture(scope="module")
def pair():
    return simulate_pair(SPEC, rng=np.random.default_rng(11))


@pytest.fixture(scope="module")
def plain(pair):
    """The pair differenced with all defaults."""
    return difference_pair(pair.science, pair.template)


def with_pixels(exposure: Exposure, change) -> Exposure:
    """The exposure with its image passed through a function of float32 arrays."""
    return with_planes(exposure, image=change(exposure.masked_image.image).astype(np.float32))


def pulls(result: DifferenceResult) -> np.ndarray:
    planes = result.difference.exposure.masked_image
    return (planes.image / np.sqrt(planes.variance))[planes.usable(UNUSABLE_DIFFERENCE)]


def good(result: DifferenceResult) -> np.ndarray:
    """Positions and fluxes of the sources that are not bad, shape (n, 3), by position."""
    kept = result.dia_sources[~np.asarray(result.dia_sources["dp_bad"])]
    columns = np.stack([np.asarray(kept[name], dtype=float) for name in ("x", "y", "psfFlux")], axis=1)
    return columns[np.lexsort((columns[:, 1], columns[:, 0].round()))]


def assert_same(one: DifferenceResult, other: DifferenceResult) -> None:
    """Bit for bit: pixels, mask, variance, catalogue."""
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(
            getattr(one.difference.exposure.masked_image, plane), getattr(other.difference.exposure.masked_image, plane)
        )
    assert one.dia_sources.colnames == other.dia_sources.colnames
    for name in one.dia_sources.colnames:
        np.testing.assert_array_equal(np.asarray(one.dia_sources[name]), np.asarray(other.dia_sources[name]))


def test_the_changes_are_found_and_little_else(pair, plain):
    """Every change of S/N above 15 on good pixels is found within 1 px; a catalogue of noise has 0.01 sources here."""
    truth = pair.transients[np.abs(pair.transients["snr_true"]) > 15]
    truth = truth[(np.asarray(truth["mask"]) & int(UNUSABLE_DIFFERENCE)) == 0]
    found = good(plain)
    assert len(truth) >= 5
    for x, y in zip(truth["x"], truth["y"], strict=True):
        assert np.hypot(found[:, 0] - x, found[:, 1] - y).min() < 1.0
    assert len(found) <= len(pair.transients) + 3


def test_pixels_that_are_needed_no_more_are_given_back(pair):
    """When the kernel is fitted the raw images are gone, and the template is there on the science grid alone."""
    given = [with_pixels(exposure, np.copy) for exposure in (pair.science, pair.template)]
    raw = [weakref.ref(exposure.masked_image.image) for exposure in given]
    alive: dict[str, list[bool]] = {}
    result = difference_pair(
        given.pop(0),
        given.pop(),
        progress=lambda stage: alive.update({stage: [pixels() is not None for pixels in raw]}),
    )
    assert alive["characterize science"] == [True, True]
    assert alive["characterize template"] == [False, True]
    assert alive["match PSFs"] == [False, False]
    assert not result.template.exposure.masked_image.usable().any()
    assert result.aligned.exposure.masked_image.usable().mean() > 0.9


def test_each_stage_is_announced_once_and_timed(pair, plain):
    said: list[str] = []
    result = difference_pair(pair.science, pair.template, progress=said.append)
    assert said == list(result.seconds) == STAGES
    assert all(seconds > 0 for seconds in result.seconds.values())
    assert_same(result, plain)


def test_threads_change_no_bit(pair, plain):
    assert_same(difference_pair(pair.science, pair.template, recipe=Recipe(n_threads=2)), plain)


def test_inputs_are_left_as_they_were(pair):
    """After all steps the exposures that were handed in hold the same bits."""
    exposures = (pair.science, pair.template)
    planes = [getattr(e.masked_image, name) for e in exposures for name in ("image", "mask", "variance")]
    before = [plane.copy() for plane in planes]
    difference_pair(*exposures)
    for one, other in zip(before, planes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_image_less_itself_is_nothing(pair):
    """S - S: no sources, no pixel above 0.3 sigma of the noise that two such images would have."""
    result = difference_pair(pair.science, pair.science)
    assert len(result.dia_sources) == 0
    assert np.abs(pulls(result)).max() < 0.3
    assert result.match.kernel_sum == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("n", [2, 10])
def test_a_template_that_the_science_image_went_into(n):
    """Mean of n frames, the science image among them: the shared noise must not make the kernel amplify noise."""
    spec = replace(SPEC, template_depth=n - 1.0, template_fwhm_arcsec=SPEC.science_fwhm_arcsec)
    pair = simulate_pair(spec, rng=np.random.default_rng(12))
    science, others = pair.science.masked_image, pair.template.masked_image
    mean = with_planes(
        pair.template,
        image=(science.image + (n - 1) * others.image) / np.float32(n),
        mask=science.mask | others.mask,
        variance=(science.variance + (n - 1) ** 2 * others.variance) / np.float32(n**2),
    )
    result = difference_pair(pair.science, mean)
    kernel = result.match.kernel.image_at(x=256, y=256)
    assert (kernel**2).sum() < 1.5
    assert result.match.kernel_sum == pytest.approx(1.0, abs=0.01)
    assert len(good(result)) <= len(pair.transients) + 3


def test_swapping_the_images_turns_the_sign(pair, plain):
    """The sources of T - S are those of S - T: within 0.3 px and, in flux, within 4 errors of the opposite value."""
    swapped = difference_pair(pair.template, pair.science)
    assert swapped.match.convolved == "science"
    assert plain.match.convolved == "template"
    here, there = good(plain), good(swapped)
    truth = pair.transients[np.abs(pair.transients["snr_true"]) > 15]
    error = float(np.median(plain.dia_sources["psfFluxErr"]))
    for x, y in zip(truth["x"], truth["y"], strict=True):
        near = [np.hypot(found[:, 0] - x, found[:, 1] - y) for found in (here, there)]
        if min(distance.min() for distance in near) > 1.0:
            continue
        one, other = (found[np.argmin(distance)] for found, distance in zip((here, there), near, strict=True))
        assert np.hypot(*(one - other)[:2]) < 0.3
        assert abs(one[2] + other[2]) < 4 * error + 0.02 * abs(one[2])


@pytest.mark.parametrize(("science", "template"), [(300.0, 0.0), (0.0, -120.0), (1000.0, 500.0)])
def test_a_constant_changes_nothing_but_the_sky(science, template, pair, plain):
    """The level of either image is measured and taken away: kernel and difference stay, to the rounding of float32."""
    result = difference_pair(
        with_pixels(pair.science, lambda image: image + science),
        with_pixels(pair.template, lambda image: image + template),
    )
    assert result.match.kernel_sum == pytest.approx(plain.match.kernel_sum, abs=2e-4)
    assert result.science.summary["sky_level"] == pytest.approx(plain.science.summary["sky_level"] + science, abs=0.05)
    change = pulls(result) - pulls(plain) if pulls(result).shape == pulls(plain).shape else np.array([np.inf])
    assert np.percentile(np.abs(change), 99.9) < 0.1
    assert len(good(result)) == len(good(plain))


@pytest.mark.parametrize("factor", [0.01, 250.0])
def test_the_scale_of_the_template_is_absorbed_by_the_kernel(factor, pair, plain):
    """Template in another unit: kernel sum divided by it, difference and sources the same."""
    planes = pair.template.masked_image
    scaled = with_planes(
        pair.template, image=planes.image * np.float32(factor), variance=planes.variance * np.float32(factor) ** 2
    )
    info = replace(scaled.info, saturation=None, gain=pair.template.info.gain / factor)
    result = difference_pair(pair.science, replace(scaled, photo_calib=None, info=info))
    assert result.match.kernel_sum * factor == pytest.approx(plain.match.kernel_sum, rel=2e-3)
    np.testing.assert_allclose(good(result), good(plain), rtol=0.02, atol=0.1)


def test_the_place_in_a_larger_image_shifts_everything(pair, plain):
    """XY0 of both images moved, and their WCS with it: the same sources at moved positions, on the same sky."""
    x0, y0 = 3072, -1024
    moved = []
    for exposure in (pair.science, pair.template):
        wcs = exposure.wcs.deepcopy()
        wcs.wcs.crpix += [x0, y0]
        box = Box.from_shape(exposure.masked_image.shape, x0=x0, y0=y0)
        moved.append(replace(with_planes(exposure, box=box), wcs=wcs))
    result = difference_pair(*moved)
    assert result.difference.exposure.box == moved[0].box
    here, there = good(plain), good(result)
    assert len(here) == len(there)
    np.testing.assert_allclose(there - [x0, y0, 0], here, rtol=2e-3, atol=2e-3)
    sky = [np.sort(np.asarray(r.dia_sources["ra"])[~np.asarray(r.dia_sources["dp_bad"])]) for r in (plain, result)]
    np.testing.assert_allclose(*sky, atol=1e-7)


def test_a_cut_gives_the_sources_of_its_part(pair, plain):
    """Science cut to three quarters against the whole template: bright sources inside keep place, flux and sky."""
    cut = Box(0, 512, 100, 512)
    result = difference_pair(pair.science[cut], pair.template)
    assert result.difference.exposure.box == cut
    assert result.aligned.how in ("identity", "shift by whole pixels")
    error = float(np.median(plain.dia_sources["psfFluxErr"]))
    for source in good(plain):
        if abs(source[2]) > 12 * error and source[0] > 120:
            distance = np.hypot(*(good(result)[:, :2] - source[:2]).T)
            assert distance.min() < 0.3
            assert good(result)[np.argmin(distance), 2] == pytest.approx(source[2], abs=2 * error)


@pytest.mark.parametrize("convolve", ["template", "science"])
def test_either_image_can_be_convolved(convolve, pair):
    """The sharper one as asked, or the wider: then noise grows, but it is white and as claimed to 5% all the same."""
    result = difference_pair(pair.science, pair.template, recipe=Recipe(matcher=AlardLupton(convolve=convolve)))
    assert result.match.convolved == result.difference.convolved == convolve
    assert "asked for" in result.match.reason
    assert np.diff(np.percentile(pulls(result), [15.87, 84.13]))[0] / 2 == pytest.approx(1.0, abs=0.05)


def test_proper_subtraction_finds_the_same(pair, plain):
    """The same true sources within 12 sigma limits, fluxes within two errors, noise as claimed to 5%; it is told."""
    result = difference_pair(pair.science, pair.template, recipe=Recipe(subtractor=Zogy()))
    assert result.difference.template_filter is not None
    assert result.summary["kernel"]["proper"]
    assert not plain.summary["kernel"]["proper"]
    assert any("ZOGY" in sentence for sentence in sentences(result.summary))
    assert np.diff(np.percentile(pulls(result), [15.87, 84.13]))[0] / 2 == pytest.approx(1.0, abs=0.05)
    error = float(np.median(plain.dia_sources["psfFluxErr"]))
    bright = [source for source in good(plain) if abs(source[2]) > 12 * error]
    assert bright
    for source in bright:
        distance = np.hypot(*(good(result)[:, :2] - source[:2]).T)
        assert distance.min() < 0.3
        assert good(result)[np.argmin(distance), 2] == pytest.approx(source[2], abs=2 * error)


def test_without_decorrelation_the_noise_stays_correlated(pair, plain):
    """The choice of no decorrelator is kept: neighbours correlate as the kernel makes them, whitened they do not."""
    result = difference_pair(pair.science, pair.template, recipe=Recipe(decorrelator=None))
    assert result.difference.whitening is None
    assert plain.difference.whitening is not None

    def lag(found):
        planes = found.difference.exposure.masked_image
        pull = np.where(planes.usable(UNUSABLE_DIFFERENCE), planes.image / np.sqrt(planes.variance), 0.0)
        pull = np.where(np.abs(pull) < 4, pull, 0.0)
        return np.mean(pull[:, 1:] * pull[:, :-1]) / np.mean(pull**2)

    assert abs(lag(plain)) < 0.01
    assert lag(result) > lag(plain) + 0.005


def test_holes_and_masks_come_through(pair):
    """A NaN block in the template, bad columns in both: flagged by name on the difference, and no source on them."""
    science = masked(pair.science, slice(None), slice(200, 202), MaskPlane.BAD, 1e6)
    template = masked(pair.template, slice(300, 360), slice(100, 170), MaskPlane.NO_DATA)
    result = difference_pair(science, template)
    planes = result.difference.exposure.masked_image
    assert (planes.mask[:, 200:202] & MaskPlane.BAD).all()
    assert (planes.mask[300:360, 100:170] & MaskPlane.NO_DATA_TEMPLATE).all()
    found = good(result)
    on_column = np.abs(found[:, 0] - 200.5) < 1.5
    in_hole = (np.abs(found[:, 0] - 135) < 35) & (np.abs(found[:, 1] - 330) < 30)
    assert not (on_column | in_hole).any()
    score = result.detections.score
    marked = (score.mask & int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)) != 0
    assert 0 < marked.mean() < 0.05


def test_the_flux_unit_is_that_of_the_table_and_the_pixels_keep_theirs(pair, plain):
    """Simulated pixels are counts with a calibration: fluxes are nJy, the background stays in counts."""
    assert pair.science.unit != "nJy"
    assert plain.summary["flux_unit"] == str(plain.dia_sources["psfFlux"].unit) == "nJy"
    assert plain.summary["pixel_unit"] == plain.summary["background"]["unit"] == pair.science.unit


def test_detections_are_in_the_mask_of_the_difference(plain):
    """Every source's pixel has the plane of its sign; nothing else of the mask differs from what was searched."""
    planes, sources = plain.difference.exposure.masked_image, good(plain)
    assert len(sources) >= 5
    for x, y, flux in sources:
        plane = MaskPlane.DETECTED if flux > 0 else MaskPlane.DETECTED_NEGATIVE
        assert planes.mask[round(y) - planes.box.y0, round(x) - planes.box.x0] & int(plane)
    detected = np.int32(int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE))
    assert (planes.mask & detected != 0).mean() < 0.1
    np.testing.assert_array_equal(planes.mask, plain.detections.score.mask)


def test_columns_of_dipoles_and_trails_are_nan_as_the_docs_say(plain):
    """Numbers exactly where `dipoleNdata` and `trailNdata` are 0, and none of those is a dipole or a trail."""
    table = plain.dia_sources
    for kind, told in (("dipole", table["isDipole"]), ("trail", ~table["trail_flag"])):
        unfitted = np.asarray(table[f"{kind}Ndata"]) == 0
        assert unfitted.any()
        assert not (unfitted & np.asarray(told)).any()
        for name in table.colnames:
            values = np.asarray(table[name])
            if values.dtype.kind == "f" and name.startswith((kind, f"dp_{kind}")):
                np.testing.assert_array_equal(np.isnan(values), unfitted, err_msg=name)


@pytest.mark.parametrize("of_template", [False, True])
def test_a_trail_across_either_image_leaves_the_kernel_as_it_was(of_template, pair, plain):
    """Five sigma a pixel: the kernel's sum is the same to 1%, as it is from other stars; 10% off if the trail is left.

    The trail is masked, and no source is made of it.
    """
    image = pair.template if of_template else pair.science
    rows, columns = np.indices(image.masked_image.shape)
    across = (columns - 250) * np.sin(0.6) - (rows - 260) * np.cos(0.6)
    trail = 5.0 * np.sqrt(np.nanmedian(image.masked_image.variance)) * np.exp(-0.5 * (across / 2.0) ** 2)
    crossed = with_pixels(image, lambda pixels: pixels + trail)
    images = (pair.science, crossed) if of_template else (crossed, pair.template)
    result = difference_pair(*images)
    assert result.match.kernel.sum == pytest.approx(plain.match.kernel.sum, rel=0.01)
    plane = MaskPlane.STREAK_TEMPLATE if of_template else MaskPlane.STREAK
    assert ((result.difference.exposure.masked_image.mask & plane) != 0)[np.abs(across) < 4].mean() > 0.95
    assert len(good(result)) <= len(good(plain)) + 2


def test_pixels_in_njy_where_the_recipe_says_so(pair, plain):
    """The same pixels in units of the science image's calibration, to a twentieth of their noise; as many sources."""
    science = replace(pair.science, photo_calib=PhotoCalib(2.5), unit="adu")
    template = replace(pair.template, photo_calib=PhotoCalib(0.7), unit="adu")
    result = difference_pair(science, template, recipe=Recipe(pixel_unit="nJy"))
    assert result.difference.exposure.unit == "nJy"
    found, counts = (r.difference.exposure.masked_image for r in (result, plain))
    known = np.isfinite(counts.image)
    left = (found.image - 2.5 * counts.image)[known] / (2.5 * np.sqrt(counts.variance[known]))
    assert abs(left).max() < 0.05
    assert len(result.dia_sources) == len(plain.dia_sources)
    with pytest.raises(InputError, match="a photo_calib"):
        difference_pair(replace(science, photo_calib=None), template, recipe=Recipe(pixel_unit="nJy"))
    with pytest.raises(UsageError, match="pixel_unit must be science or nJy, not 'Jy'"):
        Recipe(pixel_unit="Jy")


def test_every_source_has_a_score_unless_nobody_asks(pair, plain):
    """The true changes of the pair, of S/N 15 and more, are believed; no flag depends on the score."""
    table = plain.dia_sources
    believed = table[np.asarray(table["reliability"]) >= 0.5]
    truth = pair.transients[np.asarray(pair.transients["mask"]) & int(UNUSABLE_DIFFERENCE) == 0]
    apart = np.hypot(*(np.asarray(believed[axis])[:, None] - np.asarray(truth[axis]) for axis in "xy"))
    assert np.mean(apart.min(axis=0)[np.abs(truth["snr_true"]) > 15] < 2.5) > 0.9
    counts = plain.summary["counts"]
    assert (counts["reliable"], counts["reliability_version"]) == (len(believed), table["reliabilityVersion"][0])
    without = difference_pair(pair.science, pair.template, recipe=Recipe(classifier=None))
    assert "reliability" not in without.dia_sources.colnames
    assert "reliable" not in without.summary["counts"]
    np.testing.assert_array_equal(without.dia_sources["dp_bad"], table["dp_bad"])


def test_a_model_that_is_missing_is_told_before_anything_is_measured(pair, tmp_path):
    """Not after minutes of work."""
    begun: list[str] = []
    recipe = Recipe(classifier=BoostedTrees(model_file=str(tmp_path / "none.npz")))
    with pytest.raises(ReadError, match=r"none\.npz"):
        difference_pair(pair.science, pair.template, recipe=recipe, progress=begun.append)
    assert begun == []
