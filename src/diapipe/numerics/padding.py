"""Regions that were filled with a number where there are no data: one exact value over many pixels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.numerics.arrays import BoolArray, Float32Array

BLOCK_PX = 8
"""A square block of this side, aligned to multiples of it, all of one value shows padding.

Noise of σ = 0.5 in whole counts gives 64 equal pixels with a probability of 1e-11.
"""

_PROBES = ((0, 0), (3, 5), (7, 2), (5, 7))
"""Pixels of a block that are compared first: few images have any block in which these agree."""


def constant_regions(image: Float32Array, *, below: float = np.inf) -> BoolArray | None:
    """Pixels in and around blocks of one exact value, that have this value; None if there is no such block.

    Parameters
    ----------
    image
        Shape (rows, columns); NaN is no value.
    below
        Only values below this count: flat tops of saturated sources lie above.
    """
    n_y, n_x = image.shape[0] // BLOCK_PX, image.shape[1] // BLOCK_PX
    blocks = image[: n_y * BLOCK_PX, : n_x * BLOCK_PX].reshape(n_y, BLOCK_PX, n_x, BLOCK_PX)
    value = blocks[:, 0, :, 0]
    flat = value < below
    for row, column in _PROBES[1:]:
        flat &= blocks[:, row, :, column] == value
    j, i = np.nonzero(flat)
    flat[j, i] = (blocks[j, :, i] == value[j, i, None, None]).all(axis=(1, 2))
    if not flat.any():
        return None
    found = np.zeros(image.shape, np.bool_)
    for level in np.unique(value[flat]):
        near = ndimage.maximum_filter(flat & (value == level), size=3)
        wide = np.pad(near, ((0, 1), (0, 1)), mode="edge").repeat(BLOCK_PX, axis=0).repeat(BLOCK_PX, axis=1)
        found |= wide[: image.shape[0], : image.shape[1]] & (image == level)
    return found
