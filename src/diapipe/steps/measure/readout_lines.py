"""How bright the row or column of the detector is that a source lies on, where it leads through a saturated star."""

from __future__ import annotations

import numpy as np

from diapipe.images import SATURATED_DIFFERENCE
from diapipe.images.planes import Planes
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.steps.measure.sources import Sources

_LEAST_KNOWN = 0.3
"""Part of a half whose score must be known for it to have a say: beside a border or a core the other half has."""


def line_scores(planes: Planes, sources: Sources, score: Float32Array, *, near: float, far: float) -> FloatArray:
    """dp_lineScore: score of a point source on the line that each source lies on, beside the source; 0 for no line.

    A star that saturates leaves a level on the rows (or columns) that are read with it, over hundreds of pixels: charge
    that lags, a shifted bias. Noise upon it makes a row of sources.

    Parameters
    ----------
    planes, sources
        The difference, and what was found on it.
    score
        Significance of a point source at every pixel.
    near, far
        Pixels along the line between which its halves, to either side, are looked at.

    Returns
    -------
    FloatArray
        Shape (n,), with the sign of the source. Of row and column, if they touch saturated pixels, the brighter; of the
        medians of its halves the fainter, 0 if they differ in sign: a bright neighbour is no line.
    """
    saturated = (planes.mask & np.int32(int(SATURATED_DIFFERENCE))) != 0
    x, y = (np.floor(values + 0.5).astype(np.int64) for values in (sources.x, sources.y))
    best = np.zeros(len(sources))
    for image, of_line, row, column in (
        (score, saturated.any(axis=1), y, x),
        (score.T, saturated.any(axis=0), x, y),
    ):
        on = np.flatnonzero(of_line[np.clip(row, 0, len(of_line) - 1)])
        halves = [_half(image, row[on], column[on], steps) for steps in _steps(near, far)]
        best[on] = np.maximum(best[on], _of_both(*(sources.sign[on] * half for half in halves)))
    return np.asarray(best * sources.sign, dtype=np.float64)


def _steps(near: float, far: float) -> tuple[IntArray, IntArray]:
    after = np.arange(int(np.ceil(near)), int(np.ceil(far)) + 1)
    return after, -after


def _half(image: Float32Array, row: IntArray, column: IntArray, steps: IntArray) -> FloatArray:
    """Median of the known pixels so many steps along the rows; NaN where too few are known."""
    at = column[:, None] + steps
    inside = (at >= 0) & (at < image.shape[1])
    row = np.clip(row, 0, image.shape[0] - 1)
    values = image[row[:, None], np.clip(at, 0, image.shape[1] - 1)].astype(np.float64)
    values[~inside] = np.nan
    told: BoolArray = np.isfinite(values).mean(axis=1) >= _LEAST_KNOWN
    found = np.full(len(row), np.nan)
    found[told] = np.nanmedian(values[told], axis=1)
    return found


def _of_both(first: FloatArray, second: FloatArray) -> FloatArray:
    """The fainter of two halves, or the one that is known; not below 0."""
    return np.maximum(np.nan_to_num(np.fmin(first, second)), 0.0)
