"""Connected groups of flagged pixels in a large mask, as lists: cost by the flagged pixels, not by the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.numerics.components import label_runs, pixels_of, runs_of_bits
from diapipe.numerics.jit import jit


class Blobs(NamedTuple):
    """Flagged pixels and the group of each; shape (n,), pixels in row order, groups numbered from 0."""

    y: IntArray
    x: IntArray
    group: IntArray
    n_groups: int


def pixels_above(image: Float32Array, level: float) -> IntArray:
    """Flat indices of the pixels above a level, in order; NaN is not."""
    return np.flatnonzero(image > np.float32(level))


@jit
def set_around(mask: MaskArray, pixels: IntArray, radius: int, bit: int) -> None:
    """Set ``bit`` within ``radius`` + 0.5 of every listed pixel, in place."""
    n_rows, n_columns = mask.shape
    limit = (radius + 0.5) ** 2
    for index in pixels:
        row, column = index // n_columns, index % n_columns
        for y in range(max(0, row - radius), min(n_rows, row + radius + 1)):
            for x in range(max(0, column - radius), min(n_columns, column + radius + 1)):
                if (y - row) ** 2 + (x - column) ** 2 <= limit:
                    mask[y, x] |= bit


def blobs_of(mask: MaskArray, bits: int) -> Blobs:
    """Groups of 8-connected pixels that have any of ``bits``; ``mask`` has shape (rows, columns)."""
    runs = runs_of_bits(mask, bits)
    labels, n_groups = label_runs(runs)
    y, x, run = pixels_of(runs)
    return Blobs(y, x, labels[run], int(n_groups))
