"""Fields about what is written: the dataset is there, under its name, and reads back; or it is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.tasks.conftest import configured

import diapipe
from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask

FIELD_OF = {
    "doWriteSubtractedExp": "difference_image.fits",
    "doWriteWarpedExp": "template_aligned.fits",
    "doWriteMatchedExp": "template_matched.fits",
    "doWriteSources": "dia_source.parquet",
    "saveMetadata": "imageDifference_metadata.json",
    "saveLogOutput": "imageDifference_log.log",
}


def files_of(run, tmp_path, **settings):
    done = run(**settings)
    done.task.write(done.result, tmp_path)
    return {path.name for path in tmp_path.iterdir()}


def written(run, tmp_path, field):
    """Whether the file of a field is written when the field is set, and when it is not."""
    return [FIELD_OF[field] in files_of(run, tmp_path / str(value), **{field: value}) for value in (True, False)]


def test_doWriteSubtractedExp(run, tmp_path):
    """The difference reads back as one, kernel included."""
    assert written(run, tmp_path, "doWriteSubtractedExp") == [True, False]
    again = diapipe.read_difference(tmp_path / "True" / FIELD_OF["doWriteSubtractedExp"])
    kernel = run().result.subtractRes.match.kernel
    assert again.kernel.sum == pytest.approx(kernel.sum)


def test_doWriteWarpedExp(run, tmp_path):
    """The template on the science grid reads back."""
    assert written(run, tmp_path, "doWriteWarpedExp") == [True, False]
    again = diapipe.read_exposure(tmp_path / "True" / FIELD_OF["doWriteWarpedExp"])
    assert again.box == run().result.subtractedExposure.box


def test_doWriteMatchedExp(run, tmp_path):
    """Difference plus matched template is the science image: without whitening, to the level that was taken out."""
    assert written(run, tmp_path, "doWriteMatchedExp") == [True, False]
    again = diapipe.read_exposure(tmp_path / "True" / FIELD_OF["doWriteMatchedExp"])
    plain = run(doDecorrelation=False).result
    left = plain.subtractRes.science.exposure.masked_image.image - again.masked_image.image
    residual = left - plain.subtractedExposure.masked_image.image
    noise = np.sqrt(np.median(plain.subtractedExposure.masked_image.variance))
    assert abs(np.nanmedian(residual)) < 0.1 * noise


def test_doWriteSources(run, tmp_path):
    """The table reads back with its identifiers."""
    assert written(run, tmp_path, "doWriteSources") == [True, False]
    again = diapipe.read_parquet(tmp_path / "True" / FIELD_OF["doWriteSources"])
    np.testing.assert_array_equal(again["diaSourceId"], run().result.diaSources["diaSourceId"])


def test_saveMetadata(run, tmp_path):
    """The metadata of task and subtasks are there, as JSON."""
    assert written(run, tmp_path, "saveMetadata") == [True, False]
    found = json.loads((tmp_path / "True" / FIELD_OF["saveMetadata"]).read_text())
    assert found["metadata"]["imageDifference"]["scalars"]["psfMatchingAlgorithm"] == "AL"
    assert found["metadata"]["imageDifference:subtract"]["scalars"]["numCandidates"] > 10


def test_saveLogOutput(scene, tmp_path, caplog):
    """The lines of the run are written, those of the subtasks too."""
    for value in (True, False):
        task = ImageDifferenceTask(config=configured(saveLogOutput=value, doSelectSources=True))
        with caplog.at_level("INFO", logger="diapipe.imageDifference"):
            task.write(task.run(scene.science, None, scene.template), tmp_path / str(value))
    assert "sources make the kernel" in (tmp_path / "True" / FIELD_OF["saveLogOutput"]).read_text()
    assert not (tmp_path / "False" / FIELD_OF["saveLogOutput"]).exists()


def test_coaddName(run, tmp_path):
    """It begins the older names of all datasets; left alone they have those of Data Preview 1."""
    names = files_of(run, tmp_path / "older", coaddName="goodSeeing", getTemplate__coaddName="goodSeeing")
    assert {name.partition("_")[0] for name in names} == {"goodSeeingDiff"}
    assert "goodSeeingDiff_differenceExp.fits" in names
    assert {"difference_image.fits", "dia_source.parquet"} <= files_of(run, tmp_path / "dp1")


def test_connections(run, tmp_path):
    """The name of a dataset can be another; its templates are filled in."""
    names = files_of(run, tmp_path, connections__diaSources="{fakesType}changes", connections__fakesType="fakes_")
    assert "fakes_changes.parquet" in names
    assert "fakes_difference_image.fits" in names


def test_the_configuration_that_is_written_makes_the_same_task(run, tmp_path):
    files_of(run, tmp_path, growFootprint=6)
    config = ImageDifferenceConfig()
    config.load(str(tmp_path / "imageDifference_config.py"))
    assert config.compare(configured(growFootprint=6))


def test_doPreConvolve(scene):
    """It is deprecated, says so, and changes nothing."""
    with pytest.warns(FutureWarning, match="superseded by useScoreImageDetection"):
        config = configured(doPreConvolve=True)
    result = ImageDifferenceTask(config=config).run(scene.science, None, scene.template)
    assert result.scoreExposure is None
