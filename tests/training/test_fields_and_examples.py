"""Fields are the same for the same seed, and what the program finds on them is labelled by what is true."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from diapipe.images import Exposure, MaskedImage
from diapipe.images.triplets import OFF_IMAGE, SPOKE_EDGES_FWHM
from diapipe.recipe import Recipe
from diapipe.steps.inject import Injection
from diapipe.training import samples_of, samples_of_fields
from diapipe.training.crops import as_given_elsewhere, cropped
from diapipe.training.examples import FALSE, REAL, UNSURE, _matched, examples_of
from diapipe.training.fields import Field, _of_trails, random_field

SEED, SURVEY_FIELD = 7, 5


@pytest.fixture(scope="module")
def examples():
    return examples_of(SEED, 0)


def test_a_field_is_that_of_its_seed():
    """Bit for bit; the next one is another."""
    one, two, other = (random_field(np.random.default_rng([SEED, k])) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.science.masked_image.image, two.science.masked_image.image)
    assert one.recipe == two.recipe
    assert one.science.masked_image.image.shape != other.science.masked_image.image.shape or np.any(
        one.science.masked_image.image != other.science.masked_image.image
    )


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


def test_smaller_cut_outs_come_beside_whole_ones(examples):
    """The same sources twice more; whole ones are as they are without."""
    whole = samples_of(examples, field=0)
    both = samples_of(examples, field=0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(both.table[: len(whole)], whole.table)
    assert 2 * len(whole) < len(both) <= 3 * len(whole)
    border = both.table[:, both.names.index("border_distance")]
    assert np.median(border[len(whole) :]) < 3.0 < np.median(border[: len(whole)])


def test_cropping_leaves_the_middle_and_nothing_beyond(examples):
    """All pixels as near as the nearest that is left out along an axis are as they were."""
    small, whole = cropped(examples.triplets, rng=np.random.default_rng(1)), examples.triplets
    off = np.abs(np.arange(whole.psf.shape[1]) - whole.psf.shape[1] // 2)
    distance = np.maximum(off[:, None], off[None, :])
    for k in range(len(whole)):
        beyond = small.mask[k] == int(OFF_IMAGE)
        reach = distance[beyond & (whole.mask[k] != int(OFF_IMAGE))].min(initial=99)
        assert reach > 7
        near = distance < reach
        np.testing.assert_array_equal(small.difference[k][near], whole.difference[k][near])
        assert np.isnan(small.variance[k][distance >= reach]).all()


def test_of_a_cropped_cut_out_nothing_is_known_beyond_it(examples):
    """Corners reach to 3.2 x 1.42 = 4.5 FWHM of a PSF as wide as they say, to a tenth; whole ones are seen to 10."""
    small, beyond = cropped(examples.triplets, rng=np.random.default_rng(1)), SPOKE_EDGES_FWHM[:-1] >= 5.0
    assert not small.spokes[:, :, beyond].any()
    assert small.spokes[:, 1, 0].sum() > 0
    assert (examples.triplets.spokes[:, 1, -1].sum(axis=1) > 0).all()


def test_a_field_about_trails_has_satellites_and_sources_that_move():
    """On either image, on both or on none; most of what is added moves, no fainter than S/N 6 and not too sparse."""
    pixels = MaskedImage.from_planes(np.random.default_rng(3).normal(size=(200, 200)), variance=1.0)
    image = Exposure(name="noise", masked_image=pixels)
    field = Field(image, image, Recipe(inject=Injection(area_fwhm2=4000.0)), None, 4.0)
    crossed = np.zeros((2, 2), np.int64)
    for seed in range(40):
        made = _of_trails(field, np.random.default_rng(seed))
        added = made.recipe.inject
        assert (added.trailed, added.min_snr, added.area_fwhm2) == (0.6, 6.0, 1500.0)
        changed = (one.masked_image.image.max() > 6.0 for one in (made.science, made.template))
        crossed[tuple(int(hit) for hit in changed)] += 1
    assert (crossed > 0).all()


def test_elsewhere_psfs_are_a_little_wrong_and_templates_may_be_what_was_left(examples):
    """The difference is as it was cropped; PSFs keep their light within a hundredth and their widths within half;
    of two templates about one is science less difference.
    """
    whole, small = examples.triplets, cropped(examples.triplets, rng=np.random.default_rng(1))
    strange = as_given_elsewhere(whole, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(strange.difference, small.difference)
    np.testing.assert_allclose(strange.psf.sum(axis=(1, 2)), whole.psf.sum(axis=(1, 2)), atol=0.01)
    width = (strange.psf**2).sum(axis=(1, 2)) / (whole.psf**2).sum(axis=(1, 2))
    assert 0.05 < np.std(np.sqrt(width)) < 0.5
    left = [
        np.array_equal(t, s - d, equal_nan=True)
        for t, s, d in zip(strange.template, small.science, small.difference, strict=True)
    ]
    kept = [np.array_equal(t, s, equal_nan=True) for t, s in zip(strange.template, small.template, strict=True)]
    assert all(a or b for a, b in zip(left, kept, strict=True))
    assert abs(np.mean(left) - 0.5) < 4 * 0.5 / np.sqrt(len(whole))


def test_a_survey_field_has_a_coadd_for_its_template():
    """With a PSF that leaps; sources are added to it, and every kind of label is found."""
    examples = examples_of(SEED, SURVEY_FIELD)
    assert random_field(np.random.default_rng([SEED, SURVEY_FIELD])).template.psf.is_smooth is False
    assert examples is not None
    assert set(examples.label.tolist()) >= {REAL, FALSE}


def test_fields_are_joined_in_their_order(examples):
    """The number of the field stands with each sample, and each field is told of when it is done."""
    told = []
    joined = samples_of_fields(SEED, 1, progress=told.append)
    alone = samples_of(examples, field=0)
    assert told == [1]
    np.testing.assert_allclose(joined.table, alone.table)
    np.testing.assert_array_equal(joined.is_real, alone.is_real)
