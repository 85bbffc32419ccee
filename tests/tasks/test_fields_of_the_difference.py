"""Fields about the difference itself: what each changes, against what is known of the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.tasks.conftest import NEW, configured

from diapipe.errors import BadSubtractionError, NoOverlapError, UsageError
from diapipe.images import Box, ChebyshevField, MaskedImage, MaskPlane, PhotoCalib
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.tasks import ImageDifferenceTask

QUIET = {"doDetection": False, "doMeasurement": False, "doMerge": False}


def sky_of(exposure):
    """Pixels in units of their noise, NaN where sources or defects are."""
    planes = exposure.masked_image
    bad = int(UNUSABLE_DIFFERENCE | MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    good = ((planes.mask & bad) == 0) & np.isfinite(planes.image)
    return np.where(good, planes.image / np.sqrt(planes.variance), np.nan)


def lag_one(exposure):
    """Correlation of neighbours along a row; its error is 1 / √90,000 = 0.003."""
    sky = sky_of(exposure)
    return np.nanmean(sky[:, 1:] * sky[:, :-1]) / np.nanmean(sky**2)


def test_convolveTemplate(run):
    """The kernel applies to the image that is named; the difference has the PSF of the other."""
    of_template, of_science = run().result.subtractRes, run(convolveTemplate=False).result.subtractRes
    assert (of_template.match.convolved, of_science.match.convolved) == ("template", "science")
    assert np.isfinite(of_science.difference.exposure.masked_image.image).any()


def test_mode_of_al_overrides_convolveTemplate(scene):
    """With mode auto the sharper image is convolved, whatever convolveTemplate says: here the template."""
    config = configured(convolveTemplate=False, **QUIET)
    config.subtract["al"].mode = "auto"
    result = ImageDifferenceTask(config=config).run(scene.science, None, scene.template)
    assert result.subtractRes.match.convolved == "template"


def test_doDecorrelation(run):
    """Without, neighbours are correlated by the kernel; with, they are white: 0.02 is six errors of the estimate."""
    plain = run(doDecorrelation=False).result.subtractRes.difference
    white = run().result.subtractRes.difference
    assert plain.whitening is None
    assert lag_one(plain.exposure) > 0.04
    assert abs(lag_one(white.exposure)) < 0.02
    assert white.exposure.psf.sigma_at(x=160, y=160) < plain.exposure.psf.sigma_at(x=160, y=160)


def test_doSpatiallyVarying(run):
    """One filter for all is that of the middle; on a grid it follows the kernel and the noise."""
    one, many = (run(doSpatiallyVarying=value).result.subtractRes.difference.whitening for value in (False, True))
    assert one.field.order == 0
    assert many.field.order > 0
    np.testing.assert_allclose(one.image_at(x=10, y=10), one.image_at(x=300, y=300))


def test_doSubtract(run, scene):
    """A difference that is given is searched and measured as it is: the same sources, the same pixels."""
    made = run()
    config = configured(doSubtract=False, doScaleDiffimVariance=False)
    given = made.result.subtractRes.difference
    result = ImageDifferenceTask(config=config).run(scene.science, subtractedExposure=given)
    np.testing.assert_array_equal(result.subtractedExposure.masked_image.image, given.exposure.masked_image.image)
    np.testing.assert_allclose(result.diaSources["psfFlux"], made.result.diaSources["psfFlux"], rtol=1e-3)
    assert result.subtractRes is None
    with pytest.raises(UsageError, match="doSubtract = False needs a finished difference: give subtractedExposure"):
        ImageDifferenceTask(config=config).run(scene.science)


def test_a_difference_given_as_an_exposure_is_measured_too(run, scene):
    """Of an Exposure neither kernel nor template is known: no flux on the template, the rest as ever."""
    config = configured(doSubtract=False, doScaleDiffimVariance=False)
    given = run().result.subtractedExposure
    table = ImageDifferenceTask(config=config).run(scene.science, subtractedExposure=given).diaSources
    assert len(table) > 0
    assert np.isfinite(table["scienceFlux"]).any()
    assert np.isnan(table["templateFlux"]).all()


def test_doScaleTemplateVariance(scene):
    """A template of whose variance a quarter is claimed: the factor is found, 4 to 5%, and the pixels get it."""
    planes = scene.template.masked_image
    claimed = replace(planes, variance=planes.variance * np.float32(0.25))
    template = replace(scene.template, masked_image=claimed)
    config = configured(doScaleTemplateVariance=True, doScaleDiffimVariance=False, **QUIET)
    task = ImageDifferenceTask(config=config)
    result = task.run(scene.science, None, template)
    assert task.metadata["scaleTemplateVarianceFactor"] == pytest.approx(4.0, rel=0.05)
    warped = np.median(result.warpedExposure.masked_image.variance)
    assert warped == pytest.approx(np.median(planes.variance), rel=0.1)
    assert template.masked_image.variance is claimed.variance


def test_doScaleDiffimVariance(run):
    """The variance of the difference is that without, times the factor in the metadata; the pixels are the same."""
    scaled, plain = run(), run(doScaleDiffimVariance=False)
    factor = scaled.metadata["scaleDiffimVarianceFactor"]
    assert "scaleDiffimVarianceFactor" not in plain.metadata
    planes = [r.result.subtractedExposure.masked_image for r in (scaled, plain)]
    np.testing.assert_allclose(planes[0].variance, factor * planes[1].variance, rtol=1e-5)
    np.testing.assert_array_equal(planes[0].image, planes[1].image)
    assert scaled.result.subtractRes.difference.variance_factor == pytest.approx(
        factor * plain.result.subtractRes.difference.variance_factor
    )


def test_doAddCalexpBackground(run, scene):
    """A sky that was taken out too eagerly is given back, found anew, and does no harm; the caller's image stays."""
    box = scene.science.box
    bowl = ChebyshevField(np.array([50.0, 30.0, -20.0]), box)
    planes = scene.science.masked_image
    spoiled = replace(scene.science, masked_image=replace(planes, image=planes.image - bowl.over(box)))
    sky = replace(scene.science, masked_image=MaskedImage.from_planes(bowl.over(box), box=box))
    before = spoiled.masked_image.image.copy()
    task = ImageDifferenceTask(config=configured(doAddCalexpBackground=True))
    result = task.run(spoiled, None, scene.template, calexpBackgroundExposure=sky)
    np.testing.assert_array_equal(spoiled.masked_image.image, before)
    untouched = run().result.subtractRes.science.background.level
    given_back = result.subtractRes.science.background.level
    assert given_back == pytest.approx(untouched, abs=0.5)
    with pytest.raises(UsageError, match="doAddCalexpBackground = True needs the sky to add"):
        task.run(spoiled, None, scene.template)


def test_requiredTemplateFraction(scene):
    """A template that covers 30% is enough for 0.1 and 0, and no work for 0.5."""
    third = scene.template[Box(0, 96, 0, 320)]
    assert "psfFlux" in run_on(scene, third, requiredTemplateFraction=0.1).diaSources.colnames
    with pytest.raises(NoOverlapError, match="at least 50% are needed"):
        run_on(scene, third, requiredTemplateFraction=0.5)


def run_on(scene, template, **settings):
    return ImageDifferenceTask(config=configured(**settings)).run(scene.science, None, template)


def test_zogy_finds_what_al_finds(run):
    """Both algorithms see the new star, of 6000 counts, within five of its errors."""
    for algorithm in ("al", "zogy"):
        row = run(subtract=algorithm).row_at(NEW)
        assert row["psfFlux"] == pytest.approx(6000.0, abs=5 * float(row["psfFluxErr"]))
    zogy = run(subtract="zogy")
    assert zogy.metadata["psfMatchingAlgorithm"] == "ZOGY"
    assert run().metadata["psfMatchingAlgorithm"] == "AL"
    assert zogy.result.matchedExposure is None
    assert abs(lag_one(zogy.result.subtractedExposure)) < 0.02


def test_nothing_of_the_caller_is_changed(run, scene):
    """After all runs of this module the exposures are what they were: every plane still gives the same sums."""
    before = [plane.sum(dtype=np.float64) for plane in planes_of(scene)]
    run()
    assert [plane.sum(dtype=np.float64) for plane in planes_of(scene)] == before


def planes_of(scene):
    for exposure in (scene.science, scene.template):
        planes = exposure.masked_image
        yield from (planes.image, planes.mask, planes.variance)


def test_zogy_in_nanojansky(scene):
    """With scaleByCalibration the difference is in nJy: here 1.05 times as many as counts."""
    calib = PhotoCalib(1.05)
    science, template = (replace(e, photo_calib=calib, unit="adu") for e in (scene.science, scene.template))
    found = {}
    for value in (True, False):
        config = configured(subtract="zogy", **QUIET)
        config.subtract["zogy"].zogyConfig.scaleByCalibration = value
        found[value] = ImageDifferenceTask(config=config).run(science, None, template).subtractedExposure
    assert (found[True].unit, found[False].unit) == ("nJy", "adu")
    levels = [np.nanmedian(found[value].masked_image.variance) for value in (True, False)]
    assert levels[0] / levels[1] == pytest.approx(1.05**2, rel=0.01)


def test_what_is_left_of_the_stars_is_told_and_can_be_an_error(run, scene):
    """A tenth of a percent or so is left; with a limit far below that, the difference is refused."""
    told = run().task.subtract.metadata
    assert abs(told["differenceFootprintRatioMean"]) < 0.02
    depths = [told[f"{name}LimitingMagnitude"] for name in ("science", "template", "diffim")]
    assert depths[2] < min(depths[0], depths[1])
    config = configured(**QUIET)
    config.subtract["al"].raiseOnBadSubtractionRatio = True
    config.subtract["al"].badSubtractionVariationThreshold = 1e-6
    with pytest.raises(BadSubtractionError, match="scatter"):
        ImageDifferenceTask(config=config).run(scene.science, None, scene.template)


def test_a_difference_tells_how_good_it_is(run):
    """Its noise is what the variance claims, and so is what is left of stars, within the scatter of some dozen stars of
    100 pixels each; its PSFs have the widths that the scene was made with.
    """
    made = run()
    told = made.metadata
    assert told["noiseRatio"] == pytest.approx(1.0, abs=0.03)
    assert told["starReducedChi2"] == pytest.approx(1.0, abs=0.3)
    assert told["registrationRms"] < 0.1
    assert 2 < made.task.subtract.metadata["scienceFwhm"] < 8


def test_doScaleByKernel(scene):
    """A science image whose calibration is 5% off, by an error of 2%: the difference gets that of the template, 1 nJy a
    count, to three errors of the kernel's scale and 0.2% for what the stars' still weighs. Otherwise it keeps its own.
    """
    science = replace(scene.science, photo_calib=PhotoCalib(1.05, 0.02))
    config = configured(**QUIET)
    plain = ImageDifferenceTask(config=config).run(science, None, scene.template).subtractedExposure
    assert plain.photo_calib.mean == 1.05
    config = configured(**QUIET)
    config.subtract["al"].doScaleByKernel = True
    task = ImageDifferenceTask(config=config)
    found, told = task.run(science, None, scene.template).subtractedExposure.photo_calib, task.subtract.metadata
    assert abs(found.mean - 1.0) < 3 * told["nJyPerCountByKernelErr"] + 0.002
    assert told["nJyPerCountByKernelErr"] < 0.004
    assert (told["nJyPerCountByStars"], told["nJyPerCount"]) == (1.05, found.mean)
    config.subtract["al"].scaleByKernel.leastKernelError = 2.0
    trusted = ImageDifferenceTask(config=config).run(science, None, scene.template).subtractedExposure
    assert trusted.photo_calib.mean == pytest.approx(1.05, rel=1e-4)


def test_a_kernel_between_psf_models_needs_no_chosen_stars(scene, run):
    """It finds the new star as the one fitted to stars does, within its error."""
    config = configured()
    config.subtract["al"].kernel.name = "PSF"
    table = ImageDifferenceTask(config=config).run(scene.science, None, scene.template).diaSources
    row = run().row_at(NEW)
    at = np.argmin(np.hypot(table["x"] - row["x"], table["y"] - row["y"]))
    assert table["psfFlux"][at] == pytest.approx(row["psfFlux"], abs=float(row["psfFluxErr"]))


@pytest.mark.parametrize("is_own", [True, False])
def test_a_visit_in_its_own_template_is_told(scene, is_own, caplog):
    """The metadata and a warning say whether the science visit is one of those that the template is made of."""
    visit = scene.science.info.visit
    task = ImageDifferenceTask(config=configured())
    task.run(scene.science, None, replace(scene.template, inputs=(visit + 1, visit + 2 - 2 * is_own)))
    assert task.metadata["scienceInTemplate"] is is_own
    assert ("is one of the 2 of its template" in caplog.text) is is_own
