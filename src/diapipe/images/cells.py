"""A frame cut into cells, for what is measured in each of them and then made a smooth field."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from diapipe.images.box import Box
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.stats import median, thinned

LEAST_PIXELS = 25
"""Pixels that tell a variance."""


def cells_of(box: Box, per_axis: int) -> list[Box]:
    """Boxes that tile ``box``, row by row."""
    rows = np.linspace(box.y0, box.y1, per_axis + 1).astype(int)
    columns = np.linspace(box.x0, box.x1, per_axis + 1).astype(int)
    return [
        Box(int(y0), int(y1), int(x0), int(x1))
        for y0, y1 in pairwise(rows)
        for x0, x1 in pairwise(columns)
        if y1 > y0 and x1 > x0
    ]


def sky_variance(image: MaskedImage, cell: Box) -> float:
    """Median variance of the usable pixels of a cell; NaN where there are too few to tell."""
    step = max(1, int(np.sqrt(cell.area / 10_000)))
    rows, columns = cell.slices_in(image.box)
    rows, columns = slice(rows.start, rows.stop, step), slice(columns.start, columns.stop, step)
    variance = image.variance[rows, columns]
    good = np.isfinite(variance) & (variance > 0) & np.isfinite(image.image[rows, columns])
    return median(thinned(variance[good], 10_000)) if np.count_nonzero(good) >= LEAST_PIXELS else float("nan")


def nearest_known(samples: list[FloatArray | None], x: FloatArray, y: FloatArray) -> FloatArray:
    """Samples, the nearest known one in place of each unknown: a field fitted to a part of the frame alone runs off.

    At least one must be known.
    """
    known = np.array([k for k, sample in enumerate(samples) if sample is not None])
    nearest = [known[np.argmin((x[known] - x[k]) ** 2 + (y[known] - y[k]) ** 2)] for k in range(len(samples))]
    return np.array([samples[k] for k in nearest], dtype=np.float64)
