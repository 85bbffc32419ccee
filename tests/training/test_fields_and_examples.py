"""Fields are the same for the same seed, and what the program finds on them is labelled by what is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from diapipe.training import samples_of, samples_of_fields
from diapipe.training.examples import FALSE, REAL, UNSURE, _matched, examples_of
from diapipe.training.fields import _smoothed, random_field

SEED = 7


@pytest.fixture(scope="module")
def examples():
    return examples_of(SEED, 0)


def test_a_field_is_that_of_its_seed():
    """Bit for bit; the next one is another."""
    one, two, other = (random_field(np.random.default_rng([SEED, k])) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.science.masked_image.image, two.science.masked_image.image)
    assert one.recipe == two.recipe
    assert one.pair.spec != other.pair.spec


def test_labels_are_the_truth():
    """Something of its sign and brightness is real, something else at the place is unsure, nothing there is false."""
    truth = Table(
        {"x": [10.0, 30.0, 50.0, 70.0, 90.0], "y": np.full(5, 10.0), "kind": ["hosted"] * 4 + ["trailed"],
         "snr_true": [20.0, -20.0, 4.0, 0.5, 30.0], "trail_length": [0.0, 0, 0, 0, 20.0]}
    )  # fmt: skip
    sources = Table(
        {"x": [11.0, 30.0, 50.5, 70.0, 98.0, 130.0], "y": np.full(6, 10.0), "snr": [18.0, 19.0, 40.0, 8.0, 12.0, 9.0]}
    )
    label, kind = _matched(sources, truth, fwhm=4.0)
    assert label.tolist() == [REAL, UNSURE, UNSURE, FALSE, REAL, FALSE]
    assert kind.tolist() == ["hosted", "", "", "", "trailed", ""]


def test_a_field_has_sources_of_both_labels(examples):
    """The field was drawn to have many of each; real ones were detected with about their true S/N, false ones stay."""
    assert np.count_nonzero(examples.label == REAL) > 10
    assert np.count_nonzero(examples.label == FALSE) > 3
    assert set(examples.kind[examples.label != REAL]) == {""}
    assert {"hostless", "variable"} <= set(examples.kind.tolist())


def test_samples_are_those_with_a_label(examples):
    """And with features; in order."""
    samples = samples_of(examples, field=3)
    clear = examples.label != UNSURE
    assert len(samples) <= clear.sum()
    assert np.isfinite(samples.table).all()
    assert set(samples.field) == {3}
    assert samples.is_real.sum() <= (examples.label == REAL).sum()


def test_fields_are_joined_in_their_order(examples):
    """The number of the field stands with each sample, and each field is told of when it is done."""
    told = []
    joined = samples_of_fields(SEED, 1, progress=told.append)
    alone = samples_of(examples, field=0)
    assert told == [1]
    np.testing.assert_allclose(joined.table, alone.table)
    np.testing.assert_array_equal(joined.is_real, alone.is_real)


def test_smoothing_claims_the_noise_that_it_leaves(rng):
    """White noise of unit variance: the scatter is what the variance plane says.

    To four errors of a variance of 480,000 pixels, twice that for their correlation.
    """
    field = random_field(np.random.default_rng([SEED, 2]))
    planes = field.pair.science.masked_image
    noise = rng.normal(size=planes.shape).astype(np.float32)
    white = replace(field.pair.science, masked_image=replace(planes, image=noise, variance=np.ones_like(noise)))
    after = _smoothed(white, 0.3).masked_image
    inner = np.s_[2:-2, 2:-2]
    assert after.image[inner].var() == pytest.approx(
        float(after.variance[inner].mean()), rel=4 * np.sqrt(2 / 250_000) * 2
    )
