"""Footprints: flat arrays that behave as a list of regions."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import BoundsError, InputError
from diapipe.images import Box, Footprints, Peaks

BOX = Box(10, 30, 100, 140)


def peaks(*entries):
    """Peaks of (x, y, significance, footprint, partner's significance)."""
    x, y, s, f, p = (np.array(v, float) for v in zip(*entries, strict=True)) if entries else [np.empty(0)] * 5
    return Peaks(x, y, s, f.astype(np.int64), x + p, y + p, p)


def two_footprints() -> Footprints:
    spans = np.array([[12, 105, 108], [13, 104, 109], [20, 120, 121]])
    found = peaks((106, 12, 9.0, 0, np.nan), (107, 13, -6.0, 0, np.nan), (120, 20, -7.0, 1, np.nan))
    return Footprints(spans, np.array([0, 2, 3]), found, BOX)


def test_area_box_and_mask_agree():
    """The mask of all footprints has as many pixels as their areas, inside their boxes."""
    footprints = two_footprints()
    mask = footprints.to_mask()
    assert footprints.area.tolist() == [8, 1]
    assert mask.sum() == 9
    assert footprints.box_of(0) == Box(12, 14, 104, 109)
    assert mask[footprints.box_of(0).slices_in(BOX)].sum() == 8
    assert footprints.to_mask(np.array([False, True])).sum() == 1


def test_negative_means_no_positive_part():
    """A footprint with both signs is neither; a peak with a partner makes its footprint mixed."""
    assert two_footprints().is_negative.tolist() == [False, True]
    assert two_footprints().is_positive.tolist() == [False, False]
    dipole = Footprints(np.array([[12, 105, 108]]), np.array([0, 1]), peaks((106, 12, -9.0, 0, 8.0)), BOX)
    assert dipole.is_negative.tolist() == [False]


def test_selection_renumbers_peaks():
    """Of two footprints the second alone is the first, and so its peak says."""
    chosen = two_footprints().select(np.array([False, True]))
    assert len(chosen) == 1
    assert chosen.peaks.footprint.tolist() == [0]
    assert chosen.peaks.significance.tolist() == [-7.0]


def test_cut_keeps_whole_footprints():
    """Cutting by a box keeps what lies wholly inside and refuses a box that sticks out."""
    cut = two_footprints()[Box(10, 20, 100, 140)]
    assert len(cut) == 1
    assert cut.box == Box(10, 20, 100, 140)
    assert len(two_footprints()[Box(10, 20, 106, 140)]) == 0
    with pytest.raises(BoundsError, match="reaches outside"):
        two_footprints()[Box(0, 20, 100, 140)]


def test_empty():
    """No footprints at all."""
    none = Footprints(np.empty((0, 3), np.int64), np.array([0]), peaks(), BOX)
    assert len(none) == 0
    assert len(none.area) == 0
    assert not none.to_mask().any()
    assert len(none[BOX]) == 0


def test_inconsistent_arrays_are_refused():
    """Offsets must cover the spans, and a peak must lie in a footprint that exists."""
    spans = np.array([[12, 105, 108]])
    with pytest.raises(InputError, match="offsets of footprints end at 2, but there are 1 spans"):
        Footprints(spans, np.array([0, 2]), peaks(), BOX)
    with pytest.raises(InputError, match="names footprint 3 of 1"):
        Footprints(spans, np.array([0, 1]), peaks((1, 1, 5.0, 3, np.nan)), BOX)
