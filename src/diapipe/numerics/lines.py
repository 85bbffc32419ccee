"""Bad columns: lines of pixels, one or two wide, that stand out from the columns beside them for hundreds of rows."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.stats import robust_sigma

BLOCK_ROWS = 64
"""Rows of which a column's median is taken; on small images an eighth of them, but not fewer than 16."""

MIN_BLOCKS = 3
"""Blocks in a row that must stand out with one sign: no star or galaxy is as long and as narrow."""

N_SIGMA = 5.0
"""Excess of a block, in units of the scatter of all."""

BESIDE = (-4, -3, -2, 2, 3, 4)
"""Columns that tell what a column should hold: a neighbour may be as bad."""


def bad_columns(image: Float32Array) -> BoolArray | None:
    """Pixels of columns that are bad over a part of their length, a block more at either end; None if there are none.

    Parameters
    ----------
    image
        Shape (rows, columns); pixels without a finite value tell nothing.
    """
    block = int(np.clip(image.shape[0] // 8, 16, BLOCK_ROWS))
    n_blocks = image.shape[0] // block
    if n_blocks < MIN_BLOCKS or image.shape[1] < 4 * len(BESIDE):
        return None
    excess = _excess(_levels(image, block, n_blocks))
    scatter = robust_sigma(excess)
    if not scatter > 0:
        return None
    found = np.zeros(excess.shape, np.bool_)
    along = np.ones((MIN_BLOCKS, 1), np.bool_)
    for stands_out in (excess > N_SIGMA * scatter, excess < -N_SIGMA * scatter):
        found |= ndimage.binary_opening(stands_out, structure=along)
    if not found.any():
        return None
    longer = ndimage.binary_dilation(found, structure=along)
    return np.asarray(longer.repeat(_rows_of(block, n_blocks, image.shape[0]), axis=0), dtype=np.bool_)


def _levels(image: Float32Array, block: int, n_blocks: int) -> Float32Array:
    """Median of every second row of each block, column by column; shape (n_blocks, n_columns)."""
    rows = image[: n_blocks * block].reshape(n_blocks, block, -1)[:, ::2]
    known = np.isfinite(rows)
    if not known.all():
        rows = np.where(known, rows, np.median(rows[known]) if known.any() else np.float32(0.0))
    return np.asarray(np.median(rows, axis=1), dtype=np.float32)


def _excess(levels: Float32Array) -> FloatArray:
    """Levels above the median of those beside them."""
    reach = max(BESIDE)
    padded = np.pad(levels, ((0, 0), (reach, reach)), mode="reflect")
    width = levels.shape[1]
    beside = np.stack([padded[:, reach + step : reach + step + width] for step in BESIDE])
    return np.asarray(levels - np.median(beside, axis=0), dtype=np.float64)


def _rows_of(block: int, n_blocks: int, height: int) -> list[int]:
    """Rows of each block; the last takes what is left."""
    return [block] * (n_blocks - 1) + [height - block * (n_blocks - 1)]
