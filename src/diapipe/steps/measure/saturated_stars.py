"""How far a source is from the nearest saturated star, and how well the surroundings of that star subtract."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.images import SATURATED_DIFFERENCE, UNUSABLE_DIFFERENCE
from diapipe.images.planes import Planes
from diapipe.numerics import components, surroundings
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.steps.measure.sources import Sources

_REACH = 10.0
"""Half-widths beyond which no distance is told."""
_SHARE, _SIGMAS = 90.0, 1.645
"""The scatter is this percentile of the score's size over what it is in sigma of a Gaussian: not the median, for what a
star leaves fills a part of its surroundings only; not the largest, for another source may be among them.
"""
_FEWEST_PX = 30


def saturated_columns(
    planes: Planes, sources: Sources, score: Float32Array, *, reach: float, own_radius: float
) -> dict[str, FloatArray]:
    """dp_saturatedDistance and dp_saturatedScatter.

    Distances are in units of half the widest row of a saturated region of either image: a bleed trail runs along
    columns, so the widest row measures the star and not its trail; at least one pixel.

    Parameters
    ----------
    planes, sources
        The difference, and what was found on it.
    score
        Significance of a point source at every pixel.
    reach
        In half-widths: what lies within is the surroundings of a region, and is looked at for the sources in it.
    own_radius
        Pixels so near to a source do not count for its surroundings.
    """
    runs = components.runs_of_bits(planes.mask, int(SATURATED_DIFFERENCE))
    labels, n = components.label_runs(runs)
    half_width = np.ones(n)
    np.maximum.at(half_width, labels, 0.5 * (runs[:, 2] - runs[:, 1]))
    distance, nearest = np.empty(len(sources)), np.empty(len(sources), np.int64)
    surroundings.scaled_distance(runs, labels, half_width, sources.x, sources.y, _REACH, distance, nearest)
    scatter, is_near = np.full(len(sources), np.nan), distance < reach
    for region in np.unique(nearest[is_near]):
        x, y, size = _around(runs[labels == region], planes, score, reach=reach * half_width[region])
        for k in np.flatnonzero(is_near & (nearest == region)):
            others = size[np.hypot(x - sources.x[k], y - sources.y[k]) > own_radius]
            if len(others) >= _FEWEST_PX:
                scatter[k] = np.percentile(others, _SHARE) / _SIGMAS
    return {"dp_saturatedDistance": distance, "dp_saturatedScatter": scatter}


def _around(
    runs: IntArray, planes: Planes, score: Float32Array, *, reach: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Columns and rows of the usable pixels within ``reach`` of a region, and the size of the score there."""
    margin = int(np.ceil(reach)) + 1
    top, left = max(int(runs[:, 0].min()) - margin, 0), max(int(runs[:, 1].min()) - margin, 0)
    cut = slice(top, runs[:, 0].max() + margin + 1), slice(left, runs[:, 2].max() + margin)
    outside = np.ones(score[cut].shape, np.bool_)
    row, column, _ = components.pixels_of(runs)
    outside[row - top, column - left] = False
    usable = (planes.mask[cut] & np.int32(int(UNUSABLE_DIFFERENCE))) == 0
    usable &= np.isfinite(score[cut]) & (ndimage.distance_transform_edt(outside) < reach)
    rows, columns = np.nonzero(usable)
    return columns + left, rows + top, np.abs(score[cut][usable]).astype(np.float64)
