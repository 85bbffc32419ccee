"""``--detect-on score``: the image that was searched is written as it is, sources are measured on the difference."""

from __future__ import annotations

import json

import numpy as np
import pytest

from diapipe.cli.main import main
from diapipe.cli.truth import simulated, write_truth
from diapipe.images import MaskPlane
from diapipe.io import read_difference, read_exposure, read_parquet
from diapipe.steps.detect import ScoreThreshold, detect


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    write_truth(simulated(size=400, seed=4), folder)
    return folder


@pytest.mark.parametrize("method", ["al", pytest.param("zogy", marks=pytest.mark.slow)])
def test_the_score_is_written_as_it_was_searched(pair, tmp_path, method):
    """What is read back gives the detections of the catalogue; the mask of the difference has them, too."""
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(tmp_path / "out")]
    words += ["--method", method, "--detect-on", "score", "--write", "score", "--no-report", "--quiet"]
    assert main(words) == 0
    score = read_exposure(tmp_path / "out" / "score.fits")
    sources = read_parquet(tmp_path / "out" / "dia_sources.parquet")
    peaks = detect(score, algorithm=ScoreThreshold()).footprints.peaks
    assert len(sources) > 0
    np.testing.assert_allclose(np.sort(peaks.significance), np.sort(sources["dp_score"]), rtol=1e-5)
    assert np.median(score.masked_image.variance) > 2.0  # in counts, not in sigma
    difference = read_difference(tmp_path / "out" / "difference.fits").exposure.masked_image
    rows, columns = (np.rint(np.asarray(sources[name])).astype(int) for name in ("y", "x"))
    found = int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    assert ((difference.mask[rows, columns] & found) != 0).all()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"]["searched"] == "score"
    assert summary["noise"]["score_sigma"] == pytest.approx(1.0, abs=0.05)


def test_the_score_of_a_proper_difference_is_written_without_being_searched(pair, tmp_path):
    """``--method zogy --write score``: S in counts, of unit scatter by its variance to 5%."""
    words = ["subtract", str(pair / "science.fits"), str(pair / "template.fits"), "--out", str(tmp_path / "out")]
    assert main([*words, "--method", "zogy", "--write", "score", "--no-report", "--quiet"]) == 0
    planes = read_exposure(tmp_path / "out" / "score.fits").masked_image
    pull = (planes.image / np.sqrt(planes.variance))[planes.usable()]
    assert np.median(planes.variance) > 2.0  # in counts, not in sigma
    assert 0.7413 * np.subtract(*np.percentile(pull, [75, 25])) == pytest.approx(1.0, abs=0.05)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["counts"]["searched"] == "difference"
    assert summary["convolved_reason"].startswith("both images were filtered")
