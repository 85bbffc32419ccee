"""From runs of pixels above the threshold to footprints and to the planes of the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import Box, Footprints, MaskPlane, Peaks
from diapipe.numerics import components
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How regions are grown to footprints.

    Attributes
    ----------
    radius_px
        Every region is grown by this much; its DETECTED plane too.
    isotropic
        By a disk; otherwise by a diamond, whose reach is counted along rows plus columns.
    merge
        Whether footprints of opposite sign that touch are one.
    merge_px
        All are grown by this much more before they are merged, by a diamond.
    """

    radius_px: float
    isotropic: bool = True
    merge: bool = True
    merge_px: int = 0

    def of(self, runs: IntArray, shape: tuple[int, int]) -> IntArray:
        """The runs grown by the radius."""
        return components.grow_runs(runs, self.radius_px, shape, isotropic=self.isotropic)


def significant(runs: IntArray, score: Float32Array, *, min_pixels: int, least_peak: float) -> IntArray:
    """Runs of the regions of one sign that have enough pixels and a high enough peak.

    Parameters
    ----------
    runs
        Signed runs (`components.runs_above`).
    score
        That they were found on.
    min_pixels
        Least number of pixels of a region, before it is grown.
    least_peak
        Least absolute score of its highest pixel.
    """
    keep = np.zeros(len(runs), np.bool_)
    for sign in (1, -1):
        index = np.flatnonzero(runs[:, 3] == sign)
        keep[index] = _counts(np.ascontiguousarray(runs[index]), score, min_pixels, least_peak)
    return np.ascontiguousarray(runs[keep])


def _counts(runs: IntArray, score: Float32Array, min_pixels: int, least_peak: float) -> BoolArray:
    """Which runs belong to a region that counts; all runs have one sign."""
    labels, n = components.label_runs(runs)
    area = np.bincount(labels, weights=runs[:, 2] - runs[:, 1], minlength=n)
    row, column, run = components.pixels_of(runs)
    height = np.zeros(n)
    np.maximum.at(height, labels[run], np.abs(score[row, column]))
    return np.asarray(((area >= min_pixels) & (height >= least_peak))[labels], dtype=np.bool_)


def rated(found: FloatArray, partner: IntArray, score: Float32Array) -> tuple[FloatArray, IntArray]:
    """Sources found on another image, with their score instead, the most significant first; and their partners."""
    column, row = (np.floor(found[:, k] + 0.5).astype(np.int64) for k in (0, 1))
    value = score[row, column].astype(np.float64)
    order = np.argsort(-np.abs(value), kind="stable")
    rank = np.empty(len(found), np.int64)
    rank[order] = np.arange(len(found))
    mate = np.where(partner >= 0, partner, -2 - partner)
    told = np.where(partner >= 0, rank[mate], np.where(partner == -1, -1, -2 - rank[mate]))
    return np.column_stack([found[:, :2], value])[order], told[order]


def grown_footprints(runs: IntArray, found: FloatArray, partner: IntArray, *, growth: Growth, box: Box) -> Footprints:
    """Grown footprints that hold a source, with the sources as peaks; an opposite lobe is told to its main peak.

    Parameters
    ----------
    runs
        Signed runs of the regions.
    found
        Sources as (x, y, score) in array coordinates, the most significant first; shape (n, 3).
    partner
        As `diapipe.numerics.peaks.opposite_partners` gives it.
    growth
        How regions are grown and joined.
    box
        The image in parent coordinates.
    """
    peaks = _peaks(found, partner)
    if growth.merge:
        grown = growth.of(runs, box.shape)
        if growth.merge_px:
            grown = components.grow_runs(grown, growth.merge_px, box.shape, isotropic=False)
        return _labelled(grown, peaks, box)
    sides = []
    for sign in (1, -1):
        own = growth.of(np.ascontiguousarray(runs[runs[:, 3] == sign]), box.shape)
        sides.append(_labelled(own, peaks.select(np.sign(peaks.significance) == sign), box))
    return _side_by_side(*sides)


def _peaks(found: FloatArray, partner: IntArray) -> Peaks:
    """Sources in array coordinates, each with its opposite lobe; no footprint yet."""
    main = partner >= -1
    mate, has_mate = np.where(partner[main] >= 0, partner[main], 0), partner[main] >= 0
    x, y, value = found[main].T
    opposite = np.where(has_mate[:, None], found[mate] if len(found) else np.empty((0, 3)), np.nan)
    return Peaks(x, y, value, np.zeros(len(x), np.int64), opposite[:, 0], opposite[:, 1], opposite[:, 2])


def _labelled(grown: IntArray, peaks: Peaks, box: Box) -> Footprints:
    """Connected footprints that hold a peak, in parent coordinates."""
    labels, n = components.label_runs(grown)
    order = np.argsort(labels, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=n))]).astype(np.int64)
    spans = grown[order] + np.array([box.y0, box.x0, box.x0])
    index = np.empty(len(peaks), np.int64)
    rows, columns = (np.floor(v + 0.5).astype(np.int64) for v in (peaks.y, peaks.x))
    components.component_at(grown, labels, rows, columns, index)
    placed = Peaks(
        peaks.x + box.x0,
        peaks.y + box.y0,
        peaks.significance,
        index,
        peaks.partner_x + box.x0,
        peaks.partner_y + box.y0,
        peaks.partner_significance,
    )
    return Footprints(spans, offsets, placed, box).select(np.bincount(index, minlength=n) > 0)


def _side_by_side(positive: Footprints, negative: Footprints) -> Footprints:
    """Footprints of both signs as one list, the most significant peak first; they may overlap."""
    p, q = positive.peaks, negative.peaks
    columns = [
        np.concatenate([getattr(p, name), getattr(q, name)])
        for name in ("x", "y", "significance", "footprint", "partner_x", "partner_y", "partner_significance")
    ]
    columns[3][len(p) :] += len(positive)
    peaks = Peaks(*columns).select(np.argsort(-np.abs(columns[2]), kind="stable"))
    offsets = np.concatenate([positive.offsets, positive.offsets[-1] + negative.offsets[1:]])
    return Footprints(np.concatenate([positive.spans, negative.spans]), offsets, peaks, positive.box)


def flagged(mask: MaskArray, runs: IntArray, *, growth: Growth) -> MaskArray:
    """The mask with DETECTED and DETECTED_NEGATIVE as found here."""
    planes = int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    painted = mask & np.int32(~planes)
    for sign, plane in ((1, MaskPlane.DETECTED), (-1, MaskPlane.DETECTED_NEGATIVE)):
        grown = growth.of(np.ascontiguousarray(runs[runs[:, 3] == sign]), mask.shape)
        components.paint(painted, grown, int(plane))
    return painted
