"""Fields about the score image: what is searched, with which filter, and whether it is written."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.conftest import FLUX, GONE, NEW, configured

import diapipe
from diapipe.tasks import ImageDifferenceTask

SCORE = {"useScoreImageDetection": True, "doWriteSubtractedExp": False}


def sigma_of(exposure):
    """Scatter of a score in its own noise, by quartiles, where sources do not reach."""
    planes = exposure.masked_image
    good = np.isfinite(planes.image) & (planes.variance > 0)
    pulls = (planes.image / np.sqrt(planes.variance))[good]
    return 0.7413 * np.subtract(*np.percentile(pulls, [75, 25]))


@pytest.mark.parametrize("algorithm", ["al", "zogy"])
def test_both_algorithms_have_a_score(run, algorithm):
    """Of unit scatter, to 5%: pixels of a score are as wide as the PSF, 100,000 count as 4000 (2% on quartiles)."""
    score = run(subtract=algorithm, **SCORE).result.scoreExposure
    assert sigma_of(score) == pytest.approx(1.0, abs=0.06)


def test_useScoreImageDetection(run):
    """The score is searched in place of the difference; what it finds is measured on the difference, as ever."""
    scored, plain = run(**SCORE), run()
    assert plain.result.scoreExposure is None
    assert scored.result.scoreExposure is not None
    for place in (NEW, GONE):
        row, same = scored.row_at(place), plain.row_at(place)
        assert row["psfFlux"] == pytest.approx(same["psfFlux"], rel=0.02)
        assert abs(row["psfFlux"]) == pytest.approx(FLUX[place], abs=5 * float(row["psfFluxErr"]))
        assert row["dp_score"] != same["dp_score"]


def test_useGaussianForPreConvolution(run):
    """Another filter than the PSF is no matched one: the new star is less significant by it, if by little."""
    psf, gaussian = (run(**SCORE, useGaussianForPreConvolution=value) for value in (False, True))
    images = [r.result.scoreExposure.masked_image.image for r in (psf, gaussian)]
    assert not np.allclose(*images, equal_nan=True)
    assert 0.9 < gaussian.row_at(NEW)["dp_score"] / psf.row_at(NEW)["dp_score"] < 1.02


def test_doWriteScoreExp(run, tmp_path):
    """The score is written, under its name, and reads back; or it is not."""
    for value in (True, False):
        done = run(**SCORE, doWriteScoreExp=value)
        done.task.write(done.result, tmp_path / str(value))
    written = tmp_path / "True" / "difference_score.fits"
    again = diapipe.read_exposure(written).masked_image.image
    np.testing.assert_array_equal(again, run(**SCORE, doWriteScoreExp=True).result.scoreExposure.masked_image.image)
    assert not (tmp_path / "False" / "difference_score.fits").exists()


def test_zogy_makes_score_and_difference_in_one_run(scene, tmp_path):
    """Its rules allow both to be written."""
    task = ImageDifferenceTask(config=configured(subtract="zogy", useScoreImageDetection=True, doWriteScoreExp=True))
    files = task.write(task.run(scene.science, None, scene.template), tmp_path)
    assert {"scoreExposure", "subtractedExposure"} <= set(files)
