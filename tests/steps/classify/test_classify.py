"""The model that comes with the program: what it says of plain cases, and that it is small and reads back."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from tests.steps.classify.scenes import difference_of, science_of, star

from diapipe.errors import ReadError
from diapipe.images import MaskPlane
from diapipe.steps.classify import PACKAGED, BoostedTrees, classify, read_model

SHAPE = (61, 61)
CENTRE = {"x": 30.2, "y": 29.7}


def score(difference, template, **at):
    """The score of what is at one place of noise plus ``difference``."""
    place = CENTRE | at
    noise = np.random.default_rng(3).normal(0, 1, SHAPE)
    table = Table({axis: [place[axis]] for axis in "xy"})
    image = difference + noise
    found = classify(difference_of(image, template=template), table, science=science_of(template + image))
    return float(found["reliability"][0])


def test_new_stars_and_fading_ones_are_believed():
    """Of S/N 19 (200 counts over 5.3 x 2 of noise): on the sky, and a star that loses a fifth of its light."""
    nothing, there = np.zeros(SHAPE), star(SHAPE, **CENTRE, flux=1000.0)
    assert score(star(SHAPE, **CENTRE, flux=200.0), nothing) > 0.9
    assert score(-0.2 * there, there) > 0.9


def test_artefacts_are_not():
    """A hot pixel, the dipole of a displaced star, the wrong width of one."""
    nothing, there = np.zeros(SHAPE), star(SHAPE, **CENTRE, flux=20_000.0)
    hot = nothing.copy()
    hot[30, 30] = 60.0
    assert score(hot, nothing, x=30.0, y=30.0) < 0.1
    moved = star(SHAPE, x=CENTRE["x"] + 0.1, y=CENTRE["y"], flux=20_000.0) - there
    assert score(moved, there, x=CENTRE["x"] + 1.5) < 0.2
    wide = star(SHAPE, **CENTRE, flux=20_000.0, sigma=1.55) - there
    assert score(wide, there) < 0.2


def test_no_bit_of_a_faint_line_is():
    """A row that was read badly, a trail too faint to be masked: as high as 1.5 times the noise, three pixels wide."""
    nothing, line = np.zeros(SHAPE), np.zeros(SHAPE)
    line[29:32] = 1.5
    assert max(score(line, nothing, x=float(x), y=30.0) for x in range(12, 49)) < 0.5


def test_what_cannot_be_told_has_no_score():
    """All pixels masked, or a place that is none; the other rows have theirs."""
    mask = np.zeros(SHAPE, np.int32)
    mask[:, :30] = int(MaskPlane.BAD)
    image = star(SHAPE, x=48.0, y=30.0, flux=200.0)
    table = Table({"x": [10.0, np.nan, 48.0], "y": [30.0, 30.0, 30.0]})
    found = classify(difference_of(image, template=0 * image, mask=mask), table, science=science_of(image))
    np.testing.assert_array_equal(np.isnan(found["reliability"]), [True, True, False])
    assert found["reliability"].dtype == np.float32


def test_the_table_is_kept_and_says_the_model(rng):
    """Other columns as they were, in a new table; no rows are no matter."""
    difference, science = difference_of(rng.normal(0, 1, SHAPE)), science_of(np.zeros(SHAPE))
    table = Table({"x": [30.0], "y": [30.0], "dp_bad": [True]})
    found = classify(difference, table, science=science)
    assert table.colnames == ["x", "y", "dp_bad"]
    assert found.colnames == ["x", "y", "dp_bad", "reliability", "reliabilityVersion"]
    assert found.meta["reliabilityVersion"] == found["reliabilityVersion"][0] == BoostedTrees().version
    assert len(classify(difference, table[:0], science=science)["reliability"]) == 0


def test_the_model_is_small_and_reads_back(tmp_path):
    """Less than a megabyte; written again it gives the same scores."""
    assert PACKAGED.stat().st_size < 2**20
    model = read_model(PACKAGED)
    model.write(tmp_path / "again.npz")
    again = read_model(tmp_path / "again.npz")
    table = np.random.default_rng(2).normal(size=(50, len(model.features)))
    np.testing.assert_array_equal(model.probability(table), again.probability(table))
    assert (again.version, again.features) == (model.version, model.features)


def test_a_file_that_is_no_model_is_told_of(tmp_path):
    path = tmp_path / "none.npz"
    with pytest.raises(ReadError, match=r"none.npz as a model"):
        read_model(path)
    path.write_bytes(b"no")
    with pytest.raises(ReadError, match=r"none.npz as a model"):
        read_model(path)
