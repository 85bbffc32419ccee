"""What background is left on a difference, on the finest mesh on which there is any."""

from __future__ import annotations

import numpy as np

from diapipe.numerics import background as meshes
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.stats import clipped_mean

BLOCK_PX = 4
"""Pixels are averaged in blocks of this side first: fewer numbers, and single bad pixels do not count."""

CELLS_PX = (48, 96, 192)
"""Sides of the meshes tried, finest first. Finer ones would follow sources."""

SIGNIFICANT = 2.0
"""A mesh is used where the scatter of its cells is above this many times their variance: else it would only add noise."""


def residual_background(pull: Float32Array, mask: MaskArray, bad_bits: int) -> Float32Array | None:
    """Smooth level of a difference in units of its noise, or None where there is none to be seen.

    Parameters
    ----------
    pull
        Difference over its sigma; NaN pixels are ignored.
    mask
        Same shape.
    bad_bits
        Planes whose pixels do not count.

    Returns
    -------
    Float32Array or None
        The shape of ``pull``.
    """
    blocks = meshes.block_means(pull, mask, bad_bits, BLOCK_PX)
    for cell in CELLS_PX:
        rows, columns = (meshes.cell_edges(length, cell // BLOCK_PX) for length in blocks.shape)
        if len(rows) < 3 or len(columns) < 3:
            return None
        level, error = _levels(blocks, rows, columns)
        known = np.isfinite(level)
        if not known.any() or np.median((level[known] / error[known]) ** 2) < 0.455 * SIGNIFICANT:
            continue
        smooth = meshes.smooth_mesh(level, known, tolerance=np.where(known, 5.0 * error, 0.0))
        return _over(smooth, rows, columns, pull.shape)
    return None


def _levels(blocks: Float32Array, rows: IntArray, columns: IntArray) -> tuple[FloatArray, FloatArray]:
    """Clipped mean of the blocks of every cell and its error; NaN where fewer than a quarter of them are good."""
    shape = (len(rows) - 1, len(columns) - 1)
    level, error = np.full(shape, np.nan), np.full(shape, np.nan)
    for i in range(shape[0]):
        for j in range(shape[1]):
            cell = blocks[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            mean, sigma, n = clipped_mean(cell)
            if n >= max(9, cell.size // 4) and sigma > 0:
                level[i, j], error[i, j] = mean, sigma / np.sqrt(n)
    return level, error


def _over(level: FloatArray, rows: IntArray, columns: IntArray, shape: tuple[int, ...]) -> Float32Array:
    """Spline through the cell centres at every pixel."""
    y, x = (BLOCK_PX * 0.5 * (edges[1:] + edges[:-1]) - 0.5 for edges in (rows, columns))
    down = meshes.spline_matrix(y, np.arange(shape[0], dtype=np.float64)) @ level
    across = meshes.spline_matrix(x, np.arange(shape[1], dtype=np.float64)).T
    return np.asarray(down.astype(np.float32) @ across.astype(np.float32), dtype=np.float32)
