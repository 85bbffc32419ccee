"""Callers of the older task: a reference to a detector, datasets by older names, runDataRef."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from astropy.table import Table
from tests.tasks.border_survey import (
    ACROSS,
    AGAIN,
    BOX,
    INSTRUMENT,
    NEW_AT,
    NEW_FLUX,
    OTHER_BAND,
    SCALE_NJY,
    SKYMAP,
    stars,
    wcs_of,
)
from tests.tasks.small_repository import register

from diapipe.errors import InputError, NoOverlapError, UsageError
from diapipe.images import Difference, Exposure, MaskedImage
from diapipe.images.sky import sky_of
from diapipe.tasks import ImageDifferenceDriverConfig, ImageDifferenceTask
from diapipe.tasks.data_refs import DataRef, newer_names
from diapipe.tasks.get_template import GetCalexpAsTemplateTask, GetCoaddAsMultiTractTemplateTask
from diapipe.tasks.repository import open_repository


@contextmanager
def reference(survey, key, *, run, inputs=("inputs",), **more):
    """A reference to a detector, with a run of its own to write into."""
    with open_repository(survey.root, writeable=True) as butler:
        butler.collections.register(run)
        with butler.clone(collections=[run, *inputs], run=run) as opened:
            yield DataRef(opened, {"instrument": INSTRUMENT, "visit": key[0], "ccd": key[1], **more})


def driven(*, target=GetCoaddAsMultiTractTemplateTask, **fields):
    """The task as the older driver has it."""
    config = ImageDifferenceDriverConfig().imageDifference
    config.getTemplate.retarget(target)
    for name, value in fields.items():
        setattr(config.value, name, value)
    return ImageDifferenceTask(config=config.value)


def at(table, place):
    """The one source there."""
    (row,) = table[np.hypot(table["x"].value - place[0], table["y"].value - place[1]) < 2.0]
    return row


def test_older_names_mean_the_newer_ones():
    """Of whatever kind of coadd they are."""
    assert newer_names("calexp") == ["visit_image"]
    assert newer_names("goodSeeingDiff_diaSrc") == newer_names("deepDiff_diaSrc") == ["dia_source"]
    assert newer_names("deepCoadd_calexp") == ["template_coadd"]
    assert newer_names("raw") == []


def test_a_reference_reads_by_either_name(border_survey):
    """What is there, and a sentence about what is not."""
    with reference(border_survey, ACROSS, run="read_by_name") as sensorRef:
        assert sensorRef.dataId == {"instrument": INSTRUMENT, "visit": 1, "detector": 0}
        assert sensorRef.get("calexp").info.visit == 1
        assert sensorRef.get("visit_image", visit=2).info.visit == 2
        assert sensorRef.datasetExists("src")
        assert not sensorRef.datasetExists("deepDiff_differenceExp")
        assert sensorRef.get("skyMap")["name"] == SKYMAP
        handles = sensorRef.handles("deepCoadd_calexp")
        assert {(h.dataId["tract"], h.dataId["patch"]) for h in handles} == {(t, p) for t in (0, 1) for p in range(4)}
        with pytest.raises(InputError, match="no calexpBackground of instrument BorderCam, visit 1, detector 0"):
            sensorRef.get("calexpBackground")
        with pytest.raises(UsageError, match="no place for a int"):
            sensorRef.put(3, "deepDiff_number")


def test_runDataRef_reads_and_writes_by_older_names(border_survey):
    """The difference and its sources are there under the names that dia_pipe gave them, and are what run returns."""
    with reference(border_survey, ACROSS, run="older_names") as sensorRef:
        result = driven().runDataRef(sensorRef)
        assert isinstance(sensorRef.get("deepDiff_differenceExp"), Difference)
        table = sensorRef.get("deepDiff_diaSrc")
    np.testing.assert_array_equal(table["diaSourceId"], result.diaSources["diaSourceId"])
    row = at(table, NEW_AT[ACROSS])
    assert abs(row["psfFlux"] - NEW_FLUX * SCALE_NJY) < 4 * row["psfFluxErr"]


def test_no_work_is_an_error_for_a_caller(border_survey):
    """Who calls the task himself gets the core's own error."""
    with (
        reference(border_survey, OTHER_BAND, run="no_work") as sensorRef,
        pytest.raises(NoOverlapError, match="visit 3, detector 0: no coadd overlaps it"),
    ):
        driven().runDataRef(sensorRef)


def test_templateIdList_names_another_visit(border_survey):
    """What is new in the one is positive, what is new in the other negative; the visit itself is passed over."""
    with reference(border_survey, ACROSS, run="of_another_visit") as sensorRef:
        task = driven(target=GetCalexpAsTemplateTask)
        table = task.runDataRef(sensorRef, templateIdList=[{"visit": 1}, {"visit": 2}]).diaSources
    row = at(table, NEW_AT[ACROSS])
    assert abs(row["psfFlux"] - NEW_FLUX * SCALE_NJY) < 4 * row["psfFluxErr"]
    ra, dec = sky_of(wcs_of(*AGAIN), *(np.array([value]) for value in NEW_AT[AGAIN]))
    (x,), (y,) = wcs_of(*ACROSS).all_world2pix(ra, dec, 0)
    gone = at(table, (x, y))
    assert abs(gone["psfFlux"] + NEW_FLUX * SCALE_NJY) < 4 * gone["psfFluxErr"]


@pytest.mark.parametrize(("key", "is_there"), [(ACROSS, True), (AGAIN, False)])
def test_the_sky_is_given_back_where_there_is_one(border_survey, key, is_there, caplog):
    """With a background it is added and found anew; without one nothing is, which is told and no failure."""
    with reference(border_survey, key, run=f"sky_{key[0]}") as sensorRef:
        if is_there:
            y, x = np.indices(BOX.shape)
            level = MaskedImage.from_planes(300.0 + 0.1 * x + 0.05 * y, box=BOX)
            register(sensorRef.butler, "visit_image_background", ("instrument", "visit", "detector"), "DiaExposure")
            sensorRef.put(Exposure(name="sky", masked_image=level), "visit_image_background")
        with caplog.at_level("INFO"):
            table = driven(doAddCalexpBackground=True).runDataRef(sensorRef).diaSources
    assert ("no sky was taken out" in caplog.text) is not is_there
    row = at(table, NEW_AT[key])
    assert abs(row["psfFlux"] - NEW_FLUX * SCALE_NJY) < 4 * row["psfFluxErr"]


def test_stars_of_a_reference_catalogue(border_survey):
    """From the repository; the sources that it has make the kernel, and they alone are in the table of them."""
    ra, dec, flux = stars()
    catalogue = Table({"id": np.arange(len(ra)) + 1, "ra": ra, "dec": dec, "r_flux": flux})
    with reference(border_survey, ACROSS, run="references") as sensorRef:
        register(sensorRef.butler, "reference_catalog", (), "ArrowAstropy")
        sensorRef.butler.put(catalogue, "reference_catalog")
        task = driven(doSelectSources=True, kernelSourcesFromRef=True, doAddMetrics=True)
        task.runDataRef(sensorRef)
        table = sensorRef.get("deepDiff_kernelSrc")
    roles = np.asarray(table["kernelRole"])
    assert (roles == "kernel").sum() > 20
    assert (roles == "control").sum() == pytest.approx((roles == "kernel").sum() / 4, abs=1)
    distance = np.hypot(table["x"].value - NEW_AT[ACROSS][0], table["y"].value - NEW_AT[ACROSS][1])
    assert distance.min() > 5
