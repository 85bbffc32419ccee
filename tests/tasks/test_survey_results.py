"""What the results of a survey tell of its detectors, out of a repository."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest
from astropy.table import Table
from lsst.pipe.base import TaskMetadata
from tests.tasks.small_repository import register, visit_exposure

from diapipe.catalogs.survey_units import Unit
from diapipe.catalogs.visit_summaries import visit_summary
from diapipe.errors import InputError, UsageError
from diapipe.images import ChebyshevField, Difference, SpatialKernel
from diapipe.tasks.running import Ended, Outcome
from diapipe.tasks.survey_results import opened_survey
from diapipe.tasks.unit_numbers import numbers_of_metadata, seconds_of, without_result

OF_UNIT, OF_VISIT = ("instrument", "visit", "detector"), ("instrument", "visit")
RUN = "diapipe/default/1"


def difference_of(visit: int, detector: int) -> Difference:
    """A difference whose template is half of the science image."""
    exposure = visit_exposure(visit, detector)
    return Difference(
        exposure=exposure,
        kernel=SpatialKernel.constant(np.ones((1, 1)), exposure.box),
        background=ChebyshevField.constant(0.0, exposure.box),
        convolved="template",
    )


@pytest.fixture
def survey(small_repository):
    """Visit 12 was seen by both detectors; detector 0 has a difference."""
    name = "TestCam"
    with small_repository.opened(writeable=True) as butler:
        butler.collections.register(RUN)
        for kind, dimensions, storage in (
            ("difference_image", OF_UNIT, "DiaDifference"),
            ("dia_source", OF_UNIT, "ArrowAstropy"),
            ("visit_summary", OF_VISIT, "ArrowAstropy"),
            ("imageDifference_metadata", OF_UNIT, "TaskMetadata"),
        ):
            register(butler, kind, dimensions, storage)
        place = {"instrument": name, "visit": 12, "detector": 0}
        butler.put(difference_of(12, 0), "difference_image", place, run=RUN)
        butler.put(Table({"diaSourceId": [1, 2], "x": [3.0, 4.0]}), "dia_source", place, run=RUN)
        metadata = TaskMetadata()
        metadata["quantum"] = TaskMetadata.from_dict({"caveats": 0, "startCpuTime": [3.0], "endCpuTime": [5.5]})
        metadata["imageDifference"] = TaskMetadata.from_dict({"noiseRatio": 1.25})
        metadata["imageDifference:subtract"] = TaskMetadata.from_dict(
            {"nJyPerCountByKernel": 1.98, "nJyPerCountByStars": 2.0, "templateFwhm": 4.0}
        )
        butler.put(metadata, "imageDifference_metadata", place, run=RUN)
        rows = [
            {"id": d, "visit": 12, "band": "r", "mjd": 61050.0, "psfFwhm": 4.0, "pixelScale": 0.5, "nJyPerCount": 1.0}
            for d in (0, 1)
        ]
        butler.put(visit_summary(rows), "visit_summary", {"instrument": name, "visit": 12}, run=RUN)
    with opened_survey(str(small_repository.root), output=RUN) as found:
        yield found


def test_a_unit_with_a_difference_tells_its_numbers_and_others_say_why_not(survey):
    """Widths are in arc seconds; what was not told is NaN."""
    units = survey.units
    assert units["detector"].tolist() == [0, 1]
    assert units["outcome"].tolist() == ["done", "missing"]
    first = units[0]
    assert first["noiseRatio"] == 1.25
    assert first["kernelScale"] == pytest.approx(0.99)
    assert first["seconds"] == 2.5
    assert first["psfFwhm"] == first["templateFwhm"] == 2.0
    assert np.isnan(first["starReducedChi2"])
    assert str(units["psfFwhm"].unit) == "arcsec"


def test_datasets_are_found_by_unit(survey):
    """Pixels and rows as they were put; one that is not there is told by its name."""
    unit = Unit("TestCam", 12, 0)
    expected = visit_exposure(12, 0).masked_image.image
    np.testing.assert_array_equal(survey.difference(unit).exposure.masked_image.image, expected)
    assert len(survey.dia_sources(unit)) == 2
    some = survey.dia_sources(unit, {"x", "ghost"})
    assert some.colnames == ["x"]
    assert len(some) == 2
    assert len(survey.dia_sources(unit._replace(detector=1))) == 0
    with pytest.raises(InputError, match="holds no difference_image of visit 12, detector 1"):
        survey.difference(unit._replace(detector=1))
    with pytest.raises(InputError, match="holds no visit_image of visit 12, detector 0"):
        survey.science(unit)
    with pytest.raises(InputError, match="holds no visit_summary of visit 99, detector 0"):
        survey.science(unit._replace(visit=99))
    with pytest.raises(InputError, match="holds no objects with forced fluxes"):
        survey.objects_and_fluxes()


def test_there_is_no_survey_without_an_output(small_repository):
    with (
        pytest.raises(UsageError, match="has no output nothing"),
        opened_survey(str(small_repository.root), output="nothing"),
    ):
        pass


def test_the_first_task_that_did_not_end_well_says_why():
    """Characterization comes before the difference that waits for it; a done one says nothing."""

    def outcome(task: str, ended: Ended, reason: str) -> Outcome:
        return Outcome(quantum_id=uuid4(), task=task, data_id="visit=3 detector=7", ended=ended, reason=reason)

    outcomes = [
        outcome("imageDifference", Ended.NO_WORK, "no image"),
        outcome("characterize", Ended.FAILED, "too few stars"),
        outcome("makeWarp", Ended.FAILED, "other"),
    ]
    assert without_result(outcomes) == {(3, 7): ("failed", "characterize: too few stars")}
    assert without_result([outcome("characterize", Ended.DONE, "")]) == {}


def test_metadata_that_tell_nothing_are_nan():
    empty = TaskMetadata()
    assert all(np.isnan(value) for value in numbers_of_metadata(empty, pixel_scale_arcsec=0.2).values())
    assert np.isnan(seconds_of(empty))
