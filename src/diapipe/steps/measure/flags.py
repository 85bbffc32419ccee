"""Pixel flags: which mask planes touch a source's footprint, and which its centre."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.center_flags import center_flags
from diapipe.catalogs.flag_names import PIXEL_FLAGS
from diapipe.images import Footprints, MaskPlane
from diapipe.images.planes import Planes
from diapipe.numerics import surroundings
from diapipe.numerics.arrays import BoolArray, IntArray
from diapipe.steps.measure.sources import Sources


def pixel_flags(planes: Planes, sources: Sources, footprints: Footprints) -> dict[str, BoolArray]:
    """Columns ``pixelFlags_*`` and ``dp_badPixel``."""
    columns = center_flags(planes, x=sources.x, y=sources.y)
    bad = columns.pop("dp_badPixel")
    anywhere = _in_footprints(planes, footprints)[sources.footprint]
    for name, plane in PIXEL_FLAGS.items():
        columns[f"pixelFlags_{name}"] = ((anywhere & int(plane)) != 0) | columns[f"pixelFlags_{name}Center"]
    every = surroundings.mask_around(planes.mask, x=sources.x, y=sources.y, half=1, in_all=True)
    columns["pixelFlags_interpolatedCenterAll"] = (every & int(MaskPlane.INTRP)) != 0
    columns["pixelFlags"] = np.logical_or.reduce(list(columns.values()))
    columns["dp_badPixel"] = bad
    return columns


def _in_footprints(planes: Planes, footprints: Footprints) -> IntArray:
    """Union of the mask bits in every footprint."""
    box = planes.box
    found = np.zeros(len(footprints), np.int64)
    spans = footprints.spans - np.array([box.y0, box.x0, box.x0])
    surroundings.mask_in_spans(planes.mask, spans, footprints.offsets, found)
    return found


def footprint_sizes(footprints: Footprints) -> IntArray:
    """Longer side of every footprint's box; shape (n,)."""
    boxes = [footprints.box_of(i) for i in range(len(footprints))]
    return np.array([max(box.height, box.width) for box in boxes], dtype=np.int64)
