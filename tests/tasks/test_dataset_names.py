"""Datasets have the names of Data Preview 1, or the older ones where coaddName is an older kind."""

from __future__ import annotations

import pytest
from lsst.pipe.base import Pipeline
from tests.tasks.conftest import configured

from diapipe.cli.run import survey_pipeline
from diapipe.tasks.connections import ImageDifferenceConnections, dataset_names
from diapipe.tasks.dataset_names import DP1, OLD_NAMES, dataset_name, dp1_name
from diapipe.tasks.drive import DRIVERS
from diapipe.tasks.driver import OLD as OLD_KIND

OLD = {
    "exposure": "calexp", "selectSources": "src", "visitSummary": "visitSummary", "skyMap": "skyMap",
    "coaddExposures": "deepCoadd_calexp", "subtractedExposure": "deepDiff_differenceExp",
    "diaSources": "deepDiff_diaSrc", "kernelSrc": "deepDiff_kernelSrc", "scoreExposure": "deepDiff_scoreExp",
    "warpedExposure": "deepDiff_warpedExp", "matchedExposure": "deepDiff_matchedExp",
}  # fmt: skip
NEW = {
    "exposure": "visit_image", "selectSources": "single_visit_star", "visitSummary": "visit_summary",
    "skyMap": "skyMap", "coaddExposures": "template_coadd", "subtractedExposure": "difference_image",
    "diaSources": "dia_source", "kernelSrc": "difference_kernel_source",
}  # fmt: skip

SURVEY = Pipeline.from_uri(survey_pipeline()).to_graph()
OLD_ONLY = [old for new, old in OLD_NAMES.items() if old != new]


def test_the_names():
    """By default those of Data Preview 1; those of dia_pipe for deep, as its users know them."""
    assert NEW.items() <= dataset_names(configured()).items()
    assert OLD.items() <= dataset_names(configured(coaddName="deep")).items()


@pytest.mark.parametrize("coaddName", [DP1, "deep", "goodSeeing"])
def test_every_name_has_its_way_back(coaddName):
    """No two are one."""
    assert {dp1_name(dataset_name(name, coaddName), coaddName): name for name in OLD_NAMES} == {n: n for n in OLD_NAMES}
    assert dp1_name(dataset_name("skyMap", coaddName), coaddName) == "skyMap"


def test_what_the_user_names_stays():
    """A name that a connection is given is taken as it is, also if it is one of ours; templates are filled in."""
    config = configured(coaddName="deep", connections__exposure="visit_image", connections__fakesType="fakes_")
    names = {name: c.name for name, c in ImageDifferenceConnections(config=config).allConnections.items()}
    assert names["exposure"] == "visit_image"
    assert names["coaddExposures"] == "fakes_deepCoadd_calexp"


@pytest.mark.parametrize("label", sorted(SURVEY.tasks))
def test_tasks_of_the_survey_agree_on_the_kind_of_coadd(label):
    """Each has DP1's names by default, as declared, and so what one writes is what the next reads.

    Of the originals forcedPhotCcdDia.py alone had another default, and so found nothing of what the others wrote (A.3).
    """
    task = SURVEY.tasks[label]
    config = task.task_class.ConfigClass()
    connections = config.connections.ConnectionsClass(config=config).allConnections
    assert config.coaddName == DP1
    assert not {c.name for c in connections.values()} & {name.format(coaddName="deep") for name in OLD_ONLY}


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_drivers_agree_on_the_kind_of_coadd(name):
    """They have the older names by default, all of one kind (A.3)."""
    assert DRIVERS[name].config().coaddName == OLD_KIND
