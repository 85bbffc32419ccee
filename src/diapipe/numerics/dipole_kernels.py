"""What of a dipole fit is compiled: the stars at their places, and the sums over pixels."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.jit import jit
from diapipe.numerics.shifting import LOBES, fill_weights

SLOPE_MARGIN = 2
"""Pixels around a stamp that the derivative needs."""

_VECTOR = 8
REACH = LOBES + SLOPE_MARGIN + _VECTOR
"""Pixels beyond a moved stamp that are read: taps, derivative, and rows filled up to whole vectors."""


@jit
def _moved(image: FloatArray, row: int, column: int, weights: FloatArray, rows: FloatArray, out: FloatArray) -> None:
    """Fill ``out`` with the weighted sums of 2 `LOBES` rows and columns of ``image``, the first at (row, column)."""
    for r in range(rows.shape[0]):
        for c in range(rows.shape[1]):
            total = 0.0
            for t in range(2 * LOBES):
                total += weights[0, t] * image[row + r, column + c + t]
            rows[r, c] = total
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = 0.0
            for t in range(2 * LOBES):
                total += weights[1, t] * rows[r + t, c]
            out[r, c] = total


@jit
def _write(drawn: FloatArray, sign: float, out: FloatArray, value: int, slope: int) -> None:
    """Write the middle of ``drawn`` as image ``value`` of ``out``, its slopes as ``slope`` and the next."""
    scale = sign / 12.0
    for r in range(out.shape[1]):
        for c in range(out.shape[2]):
            out[value, r, c] = sign * drawn[r + 2, c + 2]
            far, near = drawn[r + 2, c + 4] - drawn[r + 2, c], drawn[r + 2, c + 3] - drawn[r + 2, c + 1]
            out[slope, r, c] = scale * (far - 8.0 * near)
            far, near = drawn[r + 4, c + 2] - drawn[r, c + 2], drawn[r + 3, c + 2] - drawn[r + 1, c + 2]
            out[slope + 1, r, c] = scale * (far - 8.0 * near)


@jit
def draw_lobes(psfs: FloatArray, which: IntArray, place: FloatArray, images: FloatArray) -> None:
    """Fill the stars' part of ``images`` (n, 3, 6, m, m): each as it is for unit flux, and how it changes with x and y.

    ``psfs`` (any, 3, s, s) must reach `REACH` pixels beyond the stamps wherever they are moved to.
    """
    wide = images.shape[3] + 2 * SLOPE_MARGIN
    padded = (wide + _VECTOR - 1) // _VECTOR * _VECTOR
    weights = np.empty((2, 2 * LOBES))
    rows, drawn = np.empty((wide + 2 * LOBES - 1, padded)), np.empty((wide, padded))
    middle = psfs.shape[2] // 2 - wide // 2 + 1 - LOBES
    for k in range(len(which)):
        psf, out = psfs[which[k]], images[k]
        for lobe in range(2):
            x, y, sign = -place[k, 2 * lobe], -place[k, 2 * lobe + 1], 1.0 - 2.0 * lobe
            whole_x, whole_y = int(np.floor(x)), int(np.floor(y))
            fill_weights(x - whole_x, weights[0])
            fill_weights(y - whole_y, weights[1])
            for beneath in range(2):
                image = beneath * (1 + lobe)
                value, slope = (2, 0) if beneath else (4 + lobe, 2 * lobe)
                _moved(psf[image], middle + whole_y, middle + whole_x, weights, rows, drawn)
                _write(drawn, 1.0 if beneath else sign, out[image], value, slope)


@jit
def sum_products(
    images: FloatArray, values: FloatArray, weights: FloatArray, matrix: FloatArray, side: FloatArray
) -> None:
    """Fill ``matrix`` = Σ w a_i a_j and ``side`` = Σ w a_i d over the pixels of ``images`` a (k, n)."""
    weighed = np.empty(images.shape[1])
    for i in range(images.shape[0]):
        total = 0.0
        for p in range(images.shape[1]):
            weighed[p] = weights[p] * images[i, p]
            total += weighed[p] * values[p]
        side[i] = total
        for j in range(i, images.shape[0]):
            total = 0.0
            for p in range(images.shape[1]):
                total += weighed[p] * images[j, p]
            matrix[i, j] = total
            matrix[j, i] = total


@jit
def sum_over_pixels(
    images: FloatArray,
    which: IntArray,
    values: FloatArray,
    weights: FloatArray,
    matrices: FloatArray,
    sides: FloatArray,
) -> None:
    """`sum_products` of every image (n, 3, k, pixels); pixels and weights are those of the sources ``which``."""
    for k in range(len(which)):
        for i in range(images.shape[1]):
            sum_products(images[k, i], values[which[k], i], weights[which[k], i], matrices[k, i], sides[k, i])
