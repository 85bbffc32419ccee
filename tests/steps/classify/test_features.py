"""Features are of what is seen, whatever unit, sign or neighbour in the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.steps.classify.scenes import difference_of, science_of, star

from diapipe.images import MaskPlane
from diapipe.images.triplets import N_SECTORS, SPOKE_EDGES_FWHM, Triplets, cut_triplets
from diapipe.steps.classify import feature_columns, feature_table

SHAPE = (61, 61)


@pytest.fixture
def triplets(rng):
    """A new star beside a constant one, a change of that, and a place where hardly a pixel is usable."""
    new, old = star(SHAPE, x=20.3, y=30.2, flux=400.0), star(SHAPE, x=40.0, y=30.0, flux=3000.0)
    mask = np.zeros(SHAPE, np.int32)
    mask[5:25, 5:25] = int(MaskPlane.BAD)
    difference = difference_of(new + 0.1 * old + rng.normal(0, 1, SHAPE), template=old, mask=mask)
    science = science_of(1.1 * old + new)
    return cut_triplets(difference, science, x=np.array([20.3, 40.0, 15.0]), y=np.array([30.2, 30.0, 15.0]), half=11)


def test_the_unit_of_the_pixels_does_not_matter(triplets):
    """Counts times a thousand have a million times the variance; equal to the rounding of float32."""
    scaled = [np.float32(1000.0) * getattr(triplets, name) for name in ("science", "template", "difference")]
    other = replace(
        triplets, science=scaled[0], template=scaled[1], difference=scaled[2], variance=triplets.variance * 10**6
    )
    one, two = feature_columns(triplets), feature_columns(other)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_what_faded_is_judged_as_what_appeared(triplets):
    """Science and template swapped, the difference turned round."""
    turned = replace(
        triplets,
        science=triplets.template,
        template=triplets.science,
        difference=-triplets.difference,
        spokes=triplets.spokes * np.array([-1.0, 1.0])[:, None, None],
    )
    one, two = feature_columns(triplets), feature_columns(turned)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_every_feature_is_a_number_where_anything_is_seen(triplets):
    """And none where hardly a pixel of the source is usable."""
    table = feature_table(triplets, tuple(feature_columns(triplets)))
    assert np.isfinite(table[:2]).all()
    assert np.isnan(table[2]).all()


def test_a_source_is_judged_by_itself(triplets):
    """Alone as among others."""
    names = tuple(feature_columns(triplets))
    np.testing.assert_allclose(feature_table(triplets[1:2], names), feature_table(triplets, names)[1:2], rtol=1e-9)


def test_what_they_say(triplets):
    """The S/N is that of a fit; the new star has no light under it, the other a tenth of its change's template."""
    told = feature_columns(triplets)
    norm = np.sqrt((triplets.psf[0] ** 2).sum())
    assert told["log_snr"][0] == pytest.approx(np.log10(400.0 * norm), abs=np.log10(1.1))
    assert told["static_ratio"][0] > 1.0
    assert told["static_ratio"][1] == pytest.approx(-1.0, abs=0.05)
    assert np.abs(told["chi2_core"][:2]).max() < 0.3
    assert told["coverage"][0] == pytest.approx(1.0)


def features_of(image, *, mask=None):
    """Of what is in the middle, without light that does not change."""
    difference, middle = difference_of(image, template=0 * image, mask=mask), np.array([30.0])
    return feature_columns(cut_triplets(difference, science_of(image), x=middle, y=middle, half=11))


def faint_line(*, height=1.0):
    """Three rows, as high as the noise."""
    line = np.zeros(SHAPE)
    line[29:32] = height
    return line


def test_a_line_through_the_source_is_seen(rng):
    """One that no pixel tells: 6 px of it on either side, times three rows, are 4 sigma; twelve sectors of noise 2."""
    noise, new = rng.normal(0, 1, SHAPE), star(SHAPE, x=30, y=30, flux=100.0)
    point, line = (features_of(image + noise) for image in (new, new + faint_line()))
    assert line["line_snr"][0] > 3.5 > 2.5 > point["line_snr"][0]
    assert line["line_end"][0] > 2.0 * point["line_end"][0]


def test_a_line_is_seen_beside_a_border(rng):
    """Where one half of it has no pixels the other tells."""
    mask = np.zeros(SHAPE, np.int32)
    mask[:, :29] = int(MaskPlane.NO_DATA)
    image = star(SHAPE, x=30, y=30, flux=100.0) + faint_line(height=2.0) + rng.normal(0, 1, SHAPE)
    assert features_of(image, mask=mask)["line_snr"][0] > 3.5


def test_a_trail_that_ends_is_no_line(rng):
    """What moved by two FWHM has light on both sides, and none at the ends of the cut-out."""
    trail = np.mean([star(SHAPE, x=30 + dx, y=30, flux=300.0) for dx in np.linspace(-3.5, 3.5, 15)], axis=0)
    told = features_of(trail + rng.normal(0, 1, SHAPE))
    assert told["line_end"][0] < 2.5


def long_line(*, first=0, last=121, height=2.0):
    """Features in the middle of three rows of light between two columns of a wide image of noise; FWHM 3.5 px."""
    shape, middle = (121, 121), np.array([60.0])
    image = np.random.default_rng(5).normal(0, 1, shape)
    image[59:62, first:last] += height
    difference = difference_of(image, template=0 * image)
    return feature_columns(cut_triplets(difference, science_of(image), x=middle, y=middle, half=11))


def test_a_line_has_no_ends_and_a_trail_longer_than_the_cut_out_has_two():
    """Of 10 FWHM, 4 of them beyond the cut-out: its light stops in the rings from 4 to 6.5 FWHM; the line fills all.

    Near the source, 25 px of it are 150 over the noise of 130 pixels, 13. By half a sector, .4 FWHM there, a strip
    misses a part of what is far.
    """
    line, trail = long_line(), long_line(first=43, last=78)
    for told in (line, trail):
        assert told["line_end"][0] > 5.0
        assert told["strip_snr"][0] > 10.0
    assert line["reach_less"][0] == line["reach_more"][0] == 10.0
    assert line["far_less"][0] > 0.3
    assert line["dark_more"][0] < 2.5
    assert 4.0 <= trail["reach_less"][0] <= trail["reach_more"][0] <= 6.5
    assert trail["reach_both"][0] == trail["reach_less"][0] + trail["reach_more"][0]
    assert trail["far_more"][0] < 0.2
    assert trail["dark_less"][0] > 2.5


def test_a_trail_that_begins_at_the_source_ends_on_one_side():
    """Dark at once on one side, light for 8 FWHM on the other."""
    told = long_line(first=59, last=88)
    assert told["reach_less"][0] < 2.5
    assert told["reach_more"][0] >= 6.5
    assert told["far_snr_less"][0] < 3.0 < 5.0 < told["far_snr_more"][0]


def test_what_lies_beyond_the_image_is_not_seen_to_be_dark():
    """Of a line on a cut-out of three FWHM no end is seen, and of what is far nothing; as of a trail there."""
    image = long_line_image()
    difference, middle = difference_of(image, template=0 * image), np.array([10.0])
    told = feature_columns(cut_triplets(difference, science_of(image), x=middle, y=middle, half=7))
    assert told["far_less"][0] == told["far_more"][0] == -2.0
    assert told["dark_more"][0] < 2.5
    assert told["reach_more"][0] <= 4.0


def long_line_image():
    """21 pixels of a line."""
    image = np.random.default_rng(6).normal(0, 1, (21, 21))
    image[9:12] += 3.0
    return image


def test_odd_numbers_under_the_mask_reach_no_feature(triplets):
    """Infinities and huge values of pixels that are flagged."""
    mask = triplets.mask.copy()
    mask[:, 3, 4:8] = int(MaskPlane.BAD)
    held = replace(triplets, mask=mask)
    odd = {}
    for name in ("science", "template", "difference"):
        plane = getattr(triplets, name).copy()
        plane[:, 3, 4:8] = [np.nan, np.inf, 1e30, -1e30]
        odd[name] = plane
    one, two = feature_columns(held), feature_columns(replace(held, **odd))
    for name in one:
        np.testing.assert_allclose(one[name], two[name], err_msg=name)


def test_no_sources_no_features():
    none = Triplets(
        *(np.empty((0, 9, 9), np.float32) for _ in range(4)),
        np.empty((0, 9, 9), np.int32),
        np.empty((0, 9, 9), np.float32),
        np.empty(0),
        np.empty(0),
        np.empty(0),
        np.empty((0, 2, len(SPOKE_EDGES_FWHM) - 1, N_SECTORS)),
    )
    assert all(values.shape == (0,) for values in feature_columns(none).values())
