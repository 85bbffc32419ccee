"""The task is the flow of the two-image program with replaceable parts: the same settings give the same sources."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from lsst.pipe.base.pipeline_graph import PipelineGraph
from tests.tasks.conftest import configured

import diapipe
from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask
from diapipe.tasks.recipes import recipe_of_config

SETTINGS = {
    "al": {},
    "zogy": {"subtract": "zogy"},
    "score": {"useScoreImageDetection": True, "doWriteSubtractedExp": False},
    "science convolved, not whitened": {"convolveTemplate": False, "doDecorrelation": False},
}
SAME = ["x", "y", "psfFlux", "psfFluxErr", "scienceFlux", "templateFlux", "dp_score", "isDipole", "diaSourceId"]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_task_is_the_flow(run, scene, name):
    """Pixels to rounding, sources to a thousandth of their errors; the variance is not scaled once more."""
    settings = {**SETTINGS[name], "doScaleDiffimVariance": False}
    task = run(**settings).result
    flow = diapipe.difference_pair(scene.science, scene.template, recipe=recipe_of_config(configured(**settings)))
    pixels = [e.masked_image for e in (task.subtractedExposure, flow.difference.exposure)]
    np.testing.assert_allclose(pixels[0].image, pixels[1].image, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(pixels[0].mask, pixels[1].mask)
    assert len(task.diaSources) == len(flow.dia_sources)
    for column in SAME:
        np.testing.assert_allclose(task.diaSources[column], flow.dia_sources[column], rtol=1e-4, atol=1e-3)


def test_two_runs_of_one_task_are_one(scene):
    """Nothing of a run stays behind: the second gives the same table."""
    task = ImageDifferenceTask(config=configured(doSkySources=True))
    tables = [task.run(scene.science, None, scene.template).diaSources for _ in range(2)]
    for name in tables[0].colnames:
        np.testing.assert_array_equal(np.asarray(tables[0][name]), np.asarray(tables[1][name]))


def test_a_configuration_survives_copies_and_pickles():
    """As processes that share the work need it; what was chosen and retargeted is the same."""
    config = configured(growFootprint=5, subtract="zogy")
    config.sourceSelector.name = "diacatalog"
    config.sourceSelector.grMin = 0.2
    for again in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert isinstance(again, ImageDifferenceConfig)
        assert again.compare(config)
        assert again.sourceSelector.grMin == 0.2
    frozen = configured()
    frozen.freeze()
    with pytest.raises(ValueError, match="Cannot modify a frozen Config"):
        frozen.growFootprint = 3
    assert ImageDifferenceTask(config=frozen).config.growFootprint == 2


def test_a_pipeline_takes_the_task():
    """As a node of LSST's pipeline graph: datasets are those that the fields ask for, by the names of their coadd."""
    config = configured(coaddName="goodSeeing", doWriteSources=False, saveLogOutput=False)
    node = PipelineGraph().add_task("imageDifference", ImageDifferenceTask, config)
    assert {edge.dataset_type_name for edge in node.outputs.values()} == {"goodSeeingDiff_differenceExp"}
    assert "goodSeeingCoadd_calexp" in {edge.dataset_type_name for edge in node.inputs.values()}
    assert node.log_output is None
