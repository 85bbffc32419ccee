"""Pixel flags: which mask planes touch a source's part of its footprint, and which its centre."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.center_flags import center_flags
from diapipe.catalogs.flag_names import PIXEL_FLAGS
from diapipe.images import Footprints, MaskPlane
from diapipe.images.planes import Planes
from diapipe.numerics import surroundings
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.steps.measure.sources import Sources


def pixel_flags(planes: Planes, sources: Sources, footprints: Footprints) -> dict[str, BoolArray]:
    """Columns ``pixelFlags_*`` and ``dp_badPixel``.

    Sources that share a footprint have each its own part of it, the pixels that are nearer to it than to the others:
    along a row or around a bright star one ray would else be on all of them.
    """
    columns = center_flags(planes, x=sources.x, y=sources.y)
    bad = columns.pop("dp_badPixel")
    anywhere = _in_parts(planes, sources, footprints)
    for name, plane in PIXEL_FLAGS.items():
        columns[f"pixelFlags_{name}"] = ((anywhere & int(plane)) != 0) | columns[f"pixelFlags_{name}Center"]
    every = surroundings.mask_around(planes.mask, x=sources.x, y=sources.y, half=1, in_all=True)
    columns["pixelFlags_interpolatedCenterAll"] = (every & int(MaskPlane.INTRP)) != 0
    columns["pixelFlags"] = np.logical_or.reduce(list(columns.values()))
    columns["dp_badPixel"] = bad
    return columns


def _in_parts(planes: Planes, sources: Sources, footprints: Footprints) -> IntArray:
    """Union of the mask bits in each source's part of its footprint."""
    box = planes.box
    found = np.zeros(len(sources), np.int64)
    spans = footprints.spans - np.array([box.y0, box.x0, box.x0])
    order = np.argsort(sources.footprint, kind="stable")
    first = np.searchsorted(sources.footprint[order], np.arange(len(footprints) + 1))
    bits = int(np.bitwise_or.reduce([int(plane) for plane in PIXEL_FLAGS.values()]))
    surroundings.mask_in_parts(planes.mask, bits, spans, footprints.offsets, sources.x, sources.y, order, first, found)
    return found


def footprint_columns(footprints: Footprints, *, x: FloatArray, y: FloatArray) -> dict[str, IntArray | BoolArray]:
    """What the box of the footprint that each source lies in says: its longer side, and whether it holds the centroid.

    Parameters
    ----------
    footprints
        With a peak for each source.
    x, y
        Centroids in parent coordinates.
    """
    boxes = [footprints.box_of(i) for i in range(len(footprints))]
    edges = np.array([(box.y0, box.y1, box.x0, box.x1) for box in boxes], dtype=np.int64).reshape(-1, 4)
    y0, y1, x0, x1 = edges[footprints.peaks.footprint].T
    is_inside = (y >= y0 - 0.5) & (y < y1 - 0.5) & (x >= x0 - 0.5) & (x < x1 - 0.5)
    return {"bboxSize": np.maximum(y1 - y0, x1 - x0), "shape_flag_not_contained": ~is_inside}
