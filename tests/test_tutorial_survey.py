"""The tutorial of a survey, block by block as a reader would type it, on exposures that it simulates."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.tutorials import Read, read_through

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return read_through("survey.md", tmp_path_factory.mktemp("survey"))


def test_all_was_differenced_and_nothing_failed(read):
    """Forty detectors; the status tells no failure."""
    assert re.search(r"imageDifference +40 +0 +0", read.said)
    assert not re.search(r"^\S+ +\d+ +\d+ +[1-9]\d*$", read.said, re.MULTILINE)


def test_the_pages_and_files_are_there(read):
    for name in ("pages/index.html", "brightest.png", "tables/dia_object.csv", "validation/validation.json"):
        assert (read.folder / name).stat().st_size > 0, name


def test_the_brightest_object_is_true(read):
    """It lies within a third of a pixel of a change, and its fluxes after the pause are the true ones: to four errors,
    or the 3% that few stars of a small survey leave of the scale.
    """
    brightest, true = read.names["brightest"], read.names["fluxes"]
    assert 3600 * float(np.min(read.names["step"])) < 0.07
    flux_of = {int(row["visit"]): float(row["flux"]) for row in true}
    later = [k for k in np.flatnonzero(brightest.is_measured) if int(brightest.visit[k]) in flux_of]
    assert len(later) > 0
    for k in later:
        expected = flux_of[int(brightest.visit[k])]
        off = abs(brightest.flux[k] - expected)
        assert off < 4 * brightest.flux_err[k] + 0.03 * abs(expected)


def test_injected_sources_were_judged(read):
    assert re.search(r"\d+ sources of known truth on usable pixels", read.said)
