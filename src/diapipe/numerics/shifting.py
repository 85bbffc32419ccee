"""Sub-pixel shifts of small, well-sampled images."""

from __future__ import annotations

import math

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit

LOBES = 5
"""Half-width of the interpolant in samples: a star of sigma 1.5 px or more is right to 4e-4 of its peak."""

WINDOW = 6.5
"""Shape β of the Kaiser window, best for stars of sigma 1.2 to 2.5 px; a Lanczos window is eight times worse."""

_SERIES = tuple((0.5 * WINDOW) ** (2 * k) / math.factorial(k) ** 2 for k in range(21))
"""The modified Bessel function I0(β sqrt(s)) as a power series in s; to 1e-16 for s up to 1."""


@inlined
def fill_weights(fraction: float, weights: FloatArray) -> None:
    """Weights of the 2 `LOBES` samples around a point ``fraction`` (0 to 1) behind the `LOBES`-th one; unit sum.

    A sinc under a Kaiser window (Kaiser & Schafer 1980).
    """
    total, sine = 0.0, np.sin(np.pi * fraction) / np.pi
    for k in range(2 * LOBES):
        t = fraction - (k + 1 - LOBES)
        inside = 1.0 - (t / LOBES) ** 2
        window = 0.0
        for power in range(len(_SERIES)):
            window = window * inside + _SERIES[len(_SERIES) - 1 - power]
        sign = 1.0 - 2.0 * ((k + 1 - LOBES) & 1)
        weights[k] = window * (sign * sine / t if abs(t) > 1e-9 else 1.0)
        total += weights[k]
    for k in range(2 * LOBES):
        weights[k] /= total


@inlined
def shift_stack(
    images: FloatArray, dx: float, dy: float, weights: FloatArray, scratch: FloatArray, out: FloatArray
) -> None:
    """Move a stack of images by any amount on to smaller stamps with the same middle; zero where they do not reach.

    ``scratch`` has the rows of an image and the columns of a stamp, ``weights`` the 2 `LOBES` taps of x and of y.
    """
    n, m, taps = images.shape[1], out.shape[1], 2 * LOBES
    middle = n // 2 - m // 2 + 1 - LOBES
    whole_x, whole_y = int(np.floor(-dx)), int(np.floor(-dy))
    first, first_row = middle + whole_x, middle + whole_y
    fill_weights(-dx - whole_x, weights[0])
    fill_weights(-dy - whole_y, weights[1])
    for i in range(out.shape[0]):
        for r in range(max(first_row, 0), min(first_row + m + taps - 1, n)):
            for c in range(m):
                scratch[r, c] = 0.0
            for k in range(taps):
                weight, start = weights[0, k], first + k
                low, high = max(0, -start), min(m, n - start)
                if high <= low:
                    continue
                source, target = images[i, r, low + start : high + start], scratch[r, low:high]
                for c in range(high - low):
                    target[c] += weight * source[c]
        for r in range(m):
            for c in range(m):
                out[i, r, c] = 0.0
            for k in range(taps):
                row = first_row + r + k
                if 0 <= row < n:
                    weight = weights[1, k]
                    for c in range(m):
                        out[i, r, c] += weight * scratch[row, c]


@jit
def shift_stacks(images: FloatArray, owner: IntArray, dx: FloatArray, dy: FloatArray, out: FloatArray) -> None:
    """Fill ``out[k]`` with the stack ``images[owner[k]]``, moved by (dx, dy)."""
    weights = np.empty((2, 2 * LOBES))
    scratch = np.empty((images.shape[2], out.shape[3]))
    for k in range(len(owner)):
        shift_stack(images[owner[k]], dx[k], dy[k], weights, scratch, out[k])


def sinc_weights(fraction: float) -> FloatArray:
    """The weights of `fill_weights`; shape (2 `LOBES`,)."""
    weights = np.empty(2 * LOBES)
    fill_weights(fraction, weights)
    return weights


def shift_matrix(size: int, shift: float) -> FloatArray:
    """Matrix that moves a row of ``size`` samples by ``shift`` pixels (towards higher index); zero outside."""
    whole = int(np.floor(-shift))
    weights = sinc_weights(-shift - whole)
    matrix = np.zeros((size, size))
    for k, weight in enumerate(weights):
        offset = whole + k + 1 - LOBES
        rows = np.arange(max(0, -offset), min(size, size - offset))
        matrix[rows, rows + offset] = weight
    return matrix


def shift_stamp(stamp: FloatArray, *, dx: float, dy: float) -> FloatArray:
    """Move images by a sub-pixel amount with a windowed sinc; what lies outside the stamp is zero.

    Parameters
    ----------
    stamp
        One or several, shape (..., height, width).
    dx, dy
        Shift in pixels: a peak at column c moves to c + dx.
    """
    if dx == 0.0 and dy == 0.0:
        return stamp.copy()
    return shift_matrix(stamp.shape[-2], dy) @ stamp @ shift_matrix(stamp.shape[-1], dx).T
