"""Light in the spokes of a wheel around places of an image: by distance and direction, over the noise of each pixel."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import jit


def wheel(edges: FloatArray, n_sectors: int) -> IntArray:
    """Number of the cell that each pixel around the middle one lies in, -1 for none; shape (side, side).

    Parameters
    ----------
    edges
        Radii of the rings in pixels, ascending, shape (n_rings + 1,).
    n_sectors
        Of a turn, the first from the direction of x towards y. The cell of a ring and a sector is
        ``ring * n_sectors + sector``.
    """
    half = int(np.floor(edges[-1]))
    offset = np.arange(-half, half + 1)
    ring = np.searchsorted(edges, np.hypot(offset[:, None], offset[None, :]), side="right") - 1
    turn = np.arctan2(offset[:, None], offset[None, :]) / (2.0 * np.pi) + 1.0
    sector = (turn * n_sectors).astype(np.int64) % n_sectors
    return np.where((ring >= 0) & (ring < len(edges) - 1), ring * n_sectors + sector, -1)


@jit
def fill_spokes(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    rows: IntArray,
    columns: IntArray,
    cells: IntArray,
    out: FloatArray,
) -> None:
    """Sum of pixels over their noise, and number of usable pixels, of every cell around places.

    Parameters
    ----------
    image, mask, variance, bits
        Pixels with one of the bits, without a number or a noise are left out, as are those off the image.
    rows, columns
        Middle pixels, shape (n,).
    cells
        Of `wheel`.
    out
        Filled; shape (n, 2, number of cells).
    """
    half, (height, width) = len(cells) // 2, image.shape
    for k in range(len(rows)):
        out[k] = 0.0
        for i in range(max(0, half - rows[k]), min(len(cells), half + height - rows[k])):
            row = rows[k] + i - half
            for j in range(max(0, half - columns[k]), min(len(cells), half + width - columns[k])):
                column = columns[k] + j - half
                cell, noise = cells[i, j], variance[row, column]
                if cell >= 0 and (mask[row, column] & bits) == 0 and 0.0 < noise < np.inf:
                    pull = image[row, column] / np.sqrt(noise)
                    if np.isfinite(pull):
                        out[k, 0, cell] += pull
                        out[k, 1, cell] += 1.0
