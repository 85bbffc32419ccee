"""MakeWarpTask and AssembleCoaddTask in a repository: what they read, what they write, what is no work."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from tests.tasks.small_repository import (
    BAND,
    DEC_DEG,
    INSTRUMENT,
    PIXEL_ARCSEC,
    RA_DEG,
    VISITS,
    data_id,
    make_small_repository,
    register,
    visit_exposure,
)

from diapipe.errors import NoWorkError
from diapipe.images import DiscreteSkyMap, TractGrid, TractPlace
from diapipe.images.psf import StackedPsf
from diapipe.steps.coadd import ClippedCoadder, CoaddInput, MeanCoadder, VisitDetector, coadd, warp_visit
from diapipe.tasks.assemble_coadd import AssembleCoaddConfig, CompareWarpAssembleCoaddTask
from diapipe.tasks.make_warp import MakeWarpConfig, MakeWarpTask
from diapipe.tasks.repository.sky_map_records import register_sky_map
from diapipe.tasks.scaled import scaled

SKY = DiscreteSkyMap(
    name="coadds",
    grid=TractGrid(pixel_scale_arcsec=PIXEL_ARCSEC, patch_size_px=320, patch_border_px=20),
    tracts=(TractPlace(ra_deg=RA_DEG, dec_deg=DEC_DEG, width_deg=0.08, height_deg=0.04),),
)
NJY = {11: 2.0, 12: 3.0}
"""nJy of a count, as the visit summaries say; the files say 2."""
UNSCALED = (12, 1)
"""A detector that could not be put on the scale."""
PATCH = {"skymap": SKY.name, "tract": 0, "patch": 0}


def summary(visit):
    rows = [(k, visit, np.nan if (visit, k) == UNSCALED else NJY[visit], 0.01) for k in (0, 1)]
    return Table(rows=rows, names=("id", "visit", "nJyPerCount", "nJyPerCountErr"))


def visits(selected):
    rows = [
        (INSTRUMENT, v, k, v in selected, "" if v in selected else "seeing of 9 px") for v in VISITS for k in (0, 1)
    ]
    return Table(rows=rows, names=("instrument", "visit", "detector", "selected", "reason"))


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Two visits of two detectors on a tract of two patches; of the second patch only one visit is selected."""
    made = make_small_repository(tmp_path_factory.mktemp("coadds") / "repository")
    with made.opened(writeable=True) as butler:
        register_sky_map(butler, SKY)
        for name, dimensions in (
            ("visit_summary", ("instrument", "visit")),
            ("template_visits", ("skymap", "tract", "patch", "band")),
        ):
            register(butler, name, dimensions, "ArrowAstropy")
        for visit in VISITS:
            butler.put(summary(visit), "visit_summary", instrument=INSTRUMENT, visit=visit, run="visits")
        for patch, chosen in ((0, VISITS), (1, VISITS[:1])):
            key = PATCH | {"patch": patch, "band": BAND}
            butler.put(visits(chosen), "template_visits", key, run="visits")
    return made


@pytest.fixture(scope="module")
def done(survey):
    """The quanta of both tasks, run on the whole survey."""
    pipeline = Pipeline("coadds")
    pipeline.addTask("diapipe.tasks.make_warp.MakeWarpTask", "makeWarp")
    pipeline.addTask("diapipe.tasks.assemble_coadd.AssembleCoaddTask", "assembleCoadd")
    pipeline.addConfigOverride("assembleCoadd", "doNImage", True)
    butler = SimplePipelineExecutor.prep_butler(str(survey.root), inputs=["visits", "skymaps"], output="coadds")
    with butler:
        where = f"instrument='{INSTRUMENT}' AND skymap='{SKY.name}'"
        executor = SimplePipelineExecutor.from_pipeline(pipeline, where=where, butler=butler)
        return list(executor.run(register_dataset_types=True, save_versions=False))


def test_warps_and_coadds_are_what_the_core_makes(survey, done):
    """Bit for bit: the same detectors on the same scale; the one that is not on the scale is left out."""
    assert len(done) == 6
    tract = SKY.tract(0)
    grid = {"box": tract.patch(0).outer, "wcs": tract.wcs}
    with survey.opened() as butler:
        found = butler.get("template_coadd", PATCH | {"band": BAND}, collections="coadds")
        key = PATCH | {"instrument": INSTRUMENT}
        warps = {v: butler.get("template_warp", key, visit=v, collections="coadds") for v in VISITS}
        numbers = butler.get("template_coadd_n_image", PATCH | {"band": BAND}, collections="coadds")
        exposures = {
            visit: [
                butler.get("visit_image", data_id(visit, k), collections="visits")
                for k in (0, 1)
                if (visit, k) != UNSCALED
            ]
            for visit in VISITS
        }
    inputs = []
    for visit, images in exposures.items():
        detectors = [VisitDetector.whole(scaled(image, summary(visit))) for image in images]
        warp = warp_visit(detectors, **grid)
        np.testing.assert_array_equal(warps[visit].masked_image.image, warp.masked_image.image)
        np.testing.assert_array_equal(warps[visit].masked_image.mask, warp.masked_image.mask)
        assert (warps[visit].inputs, warps[visit].unit, warps[visit].info.band) == ((visit,), "nJy", BAND)
        inputs.append(CoaddInput.whole(warp))
    wanted = coadd(inputs, **grid)
    np.testing.assert_allclose(found.masked_image.image, wanted.exposure.masked_image.image, rtol=2e-6, atol=2e-5)
    np.testing.assert_array_equal(numbers.masked_image.image, wanted.n_images)
    assert found.inputs == VISITS
    assert isinstance(found.psf, StackedPsf)
    assert found.info.exposure_time_s == 60.0


def test_a_visit_that_is_not_selected_is_no_work(survey, done):
    """The patch is made of the other one alone."""
    with survey.opened() as butler:
        refs = butler.query_datasets("template_warp", "coadds", patch=1, skymap=SKY.name)
        there = {ref.dataId["visit"] for ref in refs}
        found = butler.get("template_coadd", PATCH | {"patch": 1, "band": BAND}, collections="coadds")
    assert there == {VISITS[0]}
    assert found.inputs == VISITS[:1]


def test_the_reason_is_told():
    """Of the selection, and of the photometric scale."""
    task = MakeWarpTask(config=MakeWarpConfig())
    with pytest.raises(NoWorkError, match=r"visit 12 is not selected .* patch: seeing of 9 px"):
        task.detectors(visits({11}), summary(12), visit=12, instrument=INSTRUMENT)
    nowhere = summary(12)
    nowhere["nJyPerCount"] = np.nan
    with pytest.raises(NoWorkError, match="no selected detector of visit 12 is on the photometric scale"):
        task.detectors(visits({12}), nowhere, visit=12, instrument=INSTRUMENT)
    assert task.detectors(visits({11, 12}), summary(12), visit=12, instrument=INSTRUMENT) == {0}
    with pytest.raises(NoWorkError, match="visit 12 is not selected"):
        task.detectors(visits({11, 12}), summary(12), visit=12, instrument="another")


def test_the_fields_are_the_options_of_the_core():
    """By LSST's names; one that can mean nothing is refused by its own name."""
    config = AssembleCoaddConfig()
    assert config.algorithm() == ClippedCoadder()
    config.sigmaClip, config.maxNumEpochs, config.spatialThreshold = 4.0, 3, 0.7
    assert config.algorithm() == ClippedCoadder(n_sigma=4.0, max_epochs=3, least_region_share=0.7)
    config.statistic, config.featherSize = "MEAN", 30.0
    assert config.algorithm() == MeanCoadder(feather_px=30.0)
    config.sigmaClip = -1.0
    with pytest.raises(FieldValidationError, match="sigmaClip"):
        config.validate()
    assert CompareWarpAssembleCoaddTask.ConfigClass().algorithm() == ClippedCoadder()


def test_old_names():
    """``coaddName = 'deep'`` reads and writes what it did."""
    config = AssembleCoaddConfig()
    config.coaddName = "deep"
    found = config.connections.ConnectionsClass(config=config)
    assert (found.inputWarps.name, found.coaddExposure.name) == ("deepCoadd_directWarp", "deepCoadd_calexp")
    assert visit_exposure(11, 0).photo_calib.mean == NJY[11]
