"""The tutorial of two images, block by block as a reader would type it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.tutorials import Read, read_through

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return read_through("two-images.md", tmp_path_factory.mktemp("two-images"))


def test_the_result_has_the_page_and_no_warning(read):
    """What the text tells the reader to open is there, and says nothing that the text is silent about."""
    assert read.names["summary"]["warnings"] == []
    assert (read.folder / "result" / "report.html").stat().st_size > 100_000


def test_the_numbers_are_those_that_the_text_calls_good(read):
    """Score of empty sky within five of its errors of 1: a 1024 px image has 10^6 / (4 pi 2²) independent places,
    which tell a width to 0.3%; stars have a chi2 near 1.
    """
    assert abs(read.names["summary"]["noise"]["score_sigma"] - 1.0) < 0.02
    assert read.names["summary"]["stars"]["median_reduced_chi2_faint"] < 1.3


def test_sources_are_listed_brightest_first_with_a_stamp(read):
    snr = np.asarray(read.names["trusted"]["snr"])
    assert len(snr) > 0
    assert (np.diff(snr) <= 0).all()
    assert read.names["stamp"].shape == (31, 31)


def test_what_is_true_is_found(read):
    """All that is well above the threshold and on usable pixels; the validation says the same on the terminal."""
    numbers = json.loads((read.folder / "result" / "validation.json").read_text())
    share = numbers["completeness"]["all"]
    assert share["n_of"] >= share["n"] - 1 > 0
    assert f"{share['n_of']} were found" in read.said
    assert numbers["purity"]["all"]["n"] == len(read.names["trusted"])


def test_the_trial_has_its_grade(read):
    """Injected sources, judged, and told of on the page."""
    summary = json.loads((read.folder / "trial" / "summary.json").read_text())
    assert summary["validation"]["n_true"] > 5
    assert "What became of injected sources" in (read.folder / "trial" / "report.html").read_text()
