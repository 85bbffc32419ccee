"""CharacterizeTask and VisitSummaryTask: what they write is what the steps would have measured, and is read back so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from lsst.pipe.base import NoWorkFound
from tests.tasks.small_repository import DETECTORS, INSTRUMENT, VISITS, make_small_repository, register, visit_exposure

import diapipe
from diapipe.errors import InputError, NoWorkError
from diapipe.images import MaskPlane, PhotoCalib
from diapipe.io import write_parquet
from diapipe.steps.characterize import characterize
from diapipe.tasks.characterize import CharacterizeTask
from diapipe.tasks.known import is_known, known
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.scaled import scaled, scaled_sources
from diapipe.tasks.visit_summary import VisitSummaryTask


@pytest.fixture(scope="module")
def raw():
    """An image without variance, mask and PSF, as a telescope gives it."""
    spec = diapipe.PairSpec.small(256, n_stars=150, n_transients=0, n_cosmic_rays=0)
    pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(5))
    return replace(pair.science, info=replace(pair.science.info, visit=31, detector=4, band="r")), pair.template


def test_a_written_visit_image_is_known_again(raw, tmp_path):
    """Image, stars, PSF, noise: from the files exactly as they were in memory, without a measurement."""
    result = CharacterizeTask().run(raw[0])
    diapipe.write_exposure(result.visitImage, tmp_path / "visit_image.fits")
    write_parquet(result.stars, tmp_path / "stars.parquet")
    image, stars = (
        diapipe.read_exposure(tmp_path / "visit_image.fits"),
        diapipe.read_parquet(tmp_path / "stars.parquet"),
    )
    again, first = known(image, stars), characterize(raw[0])
    for plane in ("image", "mask", "variance"):
        found, wanted = (getattr(one.exposure.masked_image, plane) for one in (again, first))
        np.testing.assert_array_equal(found, wanted)
    for name in ("x", "y", "flux", "flux_err", "peak", "is_star", "is_saturated", "is_isolated"):
        np.testing.assert_array_equal(getattr(again.stars, name), getattr(first.stars, name))
    np.testing.assert_array_equal(
        again.exposure.psf.kernel_image(x=99.0, y=40.0), first.exposure.psf.kernel_image(x=99.0, y=40.0)
    )
    np.testing.assert_array_equal(again.is_psf_star, first.is_psf_star)
    assert again.summary == first.summary
    assert again.background.over(image.box).mean() == pytest.approx(first.summary["sky_level"])


def test_a_table_from_elsewhere_is_not_taken_for_ours(raw):
    """Sources of another program, images without a PSF and tables in another unit are refused by name."""
    result = CharacterizeTask().run(raw[0])
    foreign = result.stars["x", "y", "psfFlux", "psfFluxErr"]
    assert is_known(result.visitImage, result.stars)
    assert not is_known(result.visitImage, foreign)
    assert not is_known(result.visitImage, None)
    for image, stars in ((result.visitImage, foreign), (raw[0], result.stars)):
        with pytest.raises(InputError, match="are not what CharacterizeTask writes: a PSF"):
            known(image, stars)
    with pytest.raises(InputError, match="adu, its pixels in nJy"):
        known(replace(result.visitImage, unit="nJy"), result.stars)


def test_an_image_without_stars_is_no_work():
    """No PSF can be made: the middleware hears of no work, with the sentence of the core."""
    nothing = visit_exposure(*VISITS)
    noise = np.random.default_rng(1).normal(100.0, 5.0, nothing.box.shape).astype(np.float32)
    empty = replace(nothing, masked_image=replace(nothing.masked_image, image=noise), psf=None, has_variance=False)
    with pytest.raises(NoWorkFound, match="are needed for its PSF"), no_work_found():
        CharacterizeTask().run(empty)


def test_the_sky_is_written_on_request(raw):
    """Visit image plus sky is the image as it was."""
    config = CharacterizeTask.ConfigClass()
    config.doWriteBackground = True
    result = CharacterizeTask(config=config).run(raw[0])
    back = result.visitImage.masked_image.image + result.background.masked_image.image
    np.testing.assert_allclose(back, raw[0].masked_image.image, atol=1e-5)
    assert CharacterizeTask().run(raw[0]).background is None


def test_a_satellite_is_masked_before_anything_is_matched():
    """All of a trail, 1.5 FWHM to either side; nothing where there is none; nothing if it is not asked for."""
    spec = diapipe.simulate.SurveySpec(n_satellite_trails=3)
    survey = diapipe.simulate.simulate_survey(spec, rng=np.random.default_rng(1))
    frame, clear = survey.frame(9, 1), survey.frame(1, 1)
    streak = int(MaskPlane.STREAK)
    found = CharacterizeTask().run(frame.exposure).visitImage.masked_image.mask & streak
    true = frame.truth.mask & streak
    assert true.sum() > 0
    np.testing.assert_array_equal(found[true != 0], streak)
    assert (found != 0).mean() < 0.08
    assert not (CharacterizeTask().run(clear.exposure).visitImage.masked_image.mask & streak).any()
    config = CharacterizeTask.ConfigClass()
    config.doMaskStreaks = False
    assert not (CharacterizeTask(config=config).run(frame.exposure).visitImage.masked_image.mask & streak).any()


def test_the_older_names():
    """Another coaddName asks for the names of the older pipelines."""
    config = CharacterizeTask.ConfigClass()
    connections = CharacterizeTask.ConfigClass.ConnectionsClass(config=config)
    assert (connections.exposures.name, connections.visitImage.name) == ("post_isr_image", "visit_image")
    config.coaddName = "deep"
    connections = CharacterizeTask.ConfigClass.ConnectionsClass(config=config)
    names = [getattr(connections, name).name for name in ("exposures", "visitImage", "stars")]
    assert names == ["post_isr_image", "calexp", "src"]


def test_from_a_repository_to_a_visit_summary(tmp_path):
    """The two tasks in a Butler repository: a row for each detector, the file's own scale without another."""
    from lsst.pipe.base import Pipeline
    from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor

    made = make_small_repository(tmp_path / "repo", with_images=False)
    with made.opened(writeable=True) as butler:
        register(butler, "post_isr_image", ("instrument", "exposure", "detector"), "DiaExposure")
        butler.collections.register("raw")
        for visit in VISITS:
            for detector in DETECTORS:
                data_id = {"instrument": INSTRUMENT, "exposure": visit, "detector": detector}
                unnamed = replace(visit_exposure(visit, detector).info, visit=0, detector=0, band="")
                butler.put(replace(visit_exposure(visit, detector), info=unnamed), "post_isr_image", data_id, run="raw")
    pipeline = Pipeline("characterize and summarize")
    pipeline.addTask(CharacterizeTask, "characterize")
    pipeline.addTask(VisitSummaryTask, "visitSummary")
    with made.opened(writeable=True) as butler:
        executor = SeparablePipelineExecutor(butler.clone(collections=["raw"], run="out"))
        executor.pre_execute_qgraph(graph := executor.make_quantum_graph(pipeline), register_dataset_types=True)
        executor.run_pipeline(graph)
        data_id = {"instrument": INSTRUMENT, "visit": VISITS[1]}
        table = butler.get("visit_summary", data_id, collections="out")
        image, stars = (
            butler.get(name, data_id, detector=1, collections="out") for name in ("visit_image", "single_visit_star")
        )
    assert list(table["id"]) == list(DETECTORS)
    assert set(table["visit"]) == {VISITS[1]}
    assert set(table["band"]) == {"r"}
    assert set(table["physical_filter"]) == {"r_test"}
    assert set(table["instrument"]) == {INSTRUMENT}
    assert set(table["component"]) == {-1}
    np.testing.assert_array_equal(table["nJyPerCount"], 2.0)
    assert table["raCorners"].shape == (2, 4)
    np.testing.assert_allclose(table["psfFwhm"], 2.3548 * 1.8, rtol=0.01)
    assert table["psfFwhm"].unit == "pix"
    assert known(image, stars).exposure is image


def test_the_final_scale_is_put_on():
    """The row of visit and detector gives nJy per count; what varies over the image stays."""
    exposure = visit_exposure(VISITS[0], 1)
    rows = {"visit": [VISITS[0]] * 2, "id": [0, 1], "nJyPerCount": [1.0, 7.0], "nJyPerCountErr": [0.1, 0.2]}
    found = scaled(exposure, Table(rows))
    assert (found.photo_calib.mean, found.photo_calib.error) == (7.0, 0.2)
    assert found.masked_image is exposure.masked_image
    with pytest.raises(InputError, match=f"0 rows for visit {VISITS[1]}"):
        scaled(visit_exposure(VISITS[1], 1), Table(rows))
    with pytest.raises(NoWorkError, match="not on the photometric scale"):
        scaled(exposure, Table({**rows, "nJyPerCount": [1.0, np.nan]}))
    assert isinstance(found.photo_calib, PhotoCalib)


def test_nanojansky_that_are_none_are_mended():
    """An image in nJy that the scale finds 3% too faint: pixels, variance, and the fluxes of its sources are put right,
    its noise in electrons is as it was. One that the scale finds right is not touched.
    """
    exposure = replace(visit_exposure(VISITS[0], 1), unit="nJy", photo_calib=None)
    exposure = replace(exposure, info=replace(exposure.info, gain=2.0, saturation=5e4))
    rows = Table({"visit": [VISITS[0]], "id": [1], "nJyPerCount": [1.03], "nJyPerCountErr": [0.01]})
    found = scaled(exposure, rows)
    assert (found.unit, found.photo_calib.mean) == ("nJy", 1.0)
    assert found.photo_calib.error == pytest.approx(0.01 / 1.03)
    for name, power in (("image", 1), ("variance", 2)):
        was, now = (getattr(image.masked_image, name) for image in (exposure, found))
        np.testing.assert_allclose(now, was * 1.03**power, rtol=1e-6)
    assert (found.info.gain, found.info.saturation) == pytest.approx((2.0 / 1.03, 5e4 * 1.03))
    sources = Table({"psfFlux": [10.0] * units.nJy, "gaussianFlux": [10.0], "x": [3.0] * units.pix})
    mended = scaled_sources(sources, exposure, rows)
    assert (mended["psfFlux"][0], mended["gaussianFlux"][0], mended["x"][0]) == (pytest.approx(10.3), 10.0, 3.0)
    assert sources["psfFlux"][0] == 10.0
    right = Table({**rows, "nJyPerCount": [1.0]})
    assert scaled(exposure, right) is exposure
    assert scaled_sources(sources, exposure, right) is sources
    assert scaled_sources(sources, replace(exposure, unit="adu"), rows) is sources
