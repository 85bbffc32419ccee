"""Sky sources: as many as there is room for, on nothing, apart from each other, the same for the same generator."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import UsageError
from diapipe.images import Box, Detections, Footprints, MaskedImage, MaskPlane, Peaks
from diapipe.steps.detect import SkySources, sky_sources

BOX = Box(500, 900, -100, 350)


def detections_of(rng, mask=None, box=BOX) -> Detections:
    score = MaskedImage.from_planes(rng.normal(size=box.shape).astype(np.float32), mask=mask, variance=1.0, box=box)
    none = np.empty(0)
    peaks = Peaks(none, none, none, np.empty(0, np.int64), none, none, none)
    empty = Footprints(np.empty((0, 3), np.int64), np.zeros(1, np.int64), peaks, box)
    return Detections(footprints=empty, score=score, threshold_sigma=5.0)


def placed(rng, mask=None, *, seed=1, **options) -> Footprints:
    return sky_sources(detections_of(rng, mask), options=SkySources(**options), rng=np.random.default_rng(seed))


def test_they_are_where_nothing_is(rng):
    """100 circles on a field of blobs: no pixel of an avoided plane in any, none over the border, none overlapping."""
    mask = np.zeros(BOX.shape, np.int32)
    planes = [MaskPlane.DETECTED, MaskPlane.DETECTED_NEGATIVE, MaskPlane.BAD, MaskPlane.NO_DATA, MaskPlane.EDGE]
    for k in range(60):
        y, x = rng.integers(0, 380), rng.integers(0, 430)
        mask[y : y + 15, x : x + 15] |= int(planes[k % 5])
    mask[200, 200] |= int(MaskPlane.CR)
    found = placed(rng, mask, trials_per_source=50)
    assert len(found) == len(found.peaks) == 100
    inside = found.to_mask()
    assert not (inside & ((mask & ~int(MaskPlane.CR)) != 0)).any()
    assert inside.sum() == found.area.sum()
    assert set(found.area) == {found.area[0]}
    x, y = found.peaks.x, found.peaks.y
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(100)
    assert apart.min() > 3 * 8
    assert x.min() >= BOX.x0 + 8
    assert y.max() <= BOX.y1 - 9


def test_peaks_are_the_middles_with_the_score_there(rng):
    """Each peak in its own circle, with the score of the pixel that holds it, whatever its sign; no partner."""
    detections = detections_of(rng)
    found = sky_sources(detections, options=SkySources(n_sources=40), rng=np.random.default_rng(3))
    for k in range(40):
        x, y = found.peaks.x[k], found.peaks.y[k]
        box = found.box_of(int(found.peaks.footprint[k]))
        assert (box.x_center, box.y_center) == (np.floor(x + 0.5), np.floor(y + 0.5))
        at = int(y + 0.5) - BOX.y0, int(np.floor(x + 0.5)) - BOX.x0
        assert found.peaks.significance[k] == detections.score.image[at]
    assert {-1.0, 1.0} == set(np.sign(found.peaks.significance))
    assert np.isnan(found.peaks.partner_significance).all()


def test_places_depend_on_the_generator_only(rng):
    """Equal generators give equal places, others do not."""
    one, two, other = (placed(rng, seed=s).peaks.x for s in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_they_cover_the_image_evenly(rng):
    """Of 64 in 400 x 450 pixels every quarter has 16 +- 4: a Poisson process would miss that one time in four."""
    x, y = (getattr(placed(rng, n_sources=64).peaks, name) for name in ("x", "y"))
    counts, *_ = np.histogram2d(x, y, bins=2, range=[[BOX.x0, BOX.x1], [BOX.y0, BOX.y1]])
    assert counts.min() >= 12


@pytest.mark.parametrize(
    ("options", "n"), [({}, 0), ({"avoided_planes": ("BAD",)}, 100), ({"avoided_planes": (), "n_sources": 7}, 7)]
)
def test_planes_and_numbers_are_options(options, n, rng):
    """All of the image detected: no room, unless that plane is no reason."""
    mask = np.full(BOX.shape, int(MaskPlane.DETECTED), np.int32)
    assert len(placed(rng, mask, trials_per_source=50, **options)) == n


def test_radius_and_growth_keep_away(rng):
    """A larger circle has more pixels; a grown plane is farther from every middle; few trials find few places."""
    mask = np.zeros(BOX.shape, np.int32)
    mask[:, 200:203] = MaskPlane.BAD
    near, far = (placed(rng, mask, grow_px=g, n_sources=60) for g in (0, 25))
    for found, least in ((near, 8), (far, 33)):
        assert np.abs(found.peaks.x - (BOX.x0 + 201)).min() > least
    assert placed(rng, radius_px=12).area[0] > 2 * placed(rng, radius_px=8).area[0]
    assert len(placed(rng, mask=np.tile(mask[:1], (400, 1)), n_sources=300, trials_per_source=1)) < 300


def test_tiny_images_and_unknown_planes(rng):
    """No room at all is no error; a plane that does not exist is one."""
    tiny = detections_of(rng, box=Box.from_shape((15, 300)))
    assert len(sky_sources(tiny, options=SkySources(), rng=rng)) == 0
    with pytest.raises(UsageError, match="no mask plane is called 'SKY'"):
        SkySources(avoided_planes=("SKY",))
