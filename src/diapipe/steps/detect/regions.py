"""From runs of pixels above the threshold to footprints and to the planes of the mask."""

from __future__ import annotations

import numpy as np

from diapipe.images import Box, Footprints, MaskPlane, Peaks
from diapipe.numerics import components
from diapipe.numerics.arrays import FloatArray, IntArray, MaskArray


def grown_footprints(runs: IntArray, found: FloatArray, partner: IntArray, *, radius: float, box: Box) -> Footprints:
    """Grown footprints that hold a source, with the sources as peaks; an opposite lobe is told to its main peak."""
    grown = components.grow_runs(runs, radius, box.shape)
    labels, n = components.label_runs(grown)
    order = np.argsort(labels, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=n))]).astype(np.int64)
    spans = grown[order] + np.array([box.y0, box.x0, box.x0])
    main = partner >= -1
    mate = np.where(partner[main] >= 0, partner[main], 0)
    has_mate = partner[main] >= 0
    x, y, value = found[main].T
    index = np.empty(len(x), np.int64)
    rows, columns = np.floor(y + 0.5).astype(np.int64), np.floor(x + 0.5).astype(np.int64)
    components.component_at(grown, labels, rows, columns, index)
    opposite = np.where(has_mate[:, None], found[mate] if len(found) else np.empty((0, 3)), np.nan)
    peaks = Peaks(
        x + box.x0, y + box.y0, value, index, opposite[:, 0] + box.x0, opposite[:, 1] + box.y0, opposite[:, 2]
    )
    every = Footprints(spans, offsets, peaks, box)
    return every.select(np.bincount(index, minlength=n) > 0)


def flagged(mask: MaskArray, runs: IntArray, *, radius: float) -> MaskArray:
    """The mask with DETECTED and DETECTED_NEGATIVE as found here."""
    planes = int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    painted = mask & np.int32(~planes)
    for sign, plane in ((1, MaskPlane.DETECTED), (-1, MaskPlane.DETECTED_NEGATIVE)):
        grown = components.grow_runs(np.ascontiguousarray(runs[runs[:, 3] == sign]), radius, mask.shape)
        components.paint(painted, grown, int(plane))
    return painted
