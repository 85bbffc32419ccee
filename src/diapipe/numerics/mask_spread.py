"""How far a defect of an image reaches once the image is convolved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.numerics.components import pixels_of, runs_of_bits
from diapipe.numerics.jit import jit

NEAR_PX = 4
"""Every bad pixel is followed this far; only one bright enough to matter beyond is followed to the kernel's border."""

NEGLIGIBLE = 0.1
"""A contribution below this part of the error that masks a pixel is not followed."""


class _Defects(NamedTuple):
    """Bad pixels, those beyond the border of the image included; one array entry each."""

    rows: IntArray
    columns: IntArray
    values: Float32Array
    """Absolute value of what the pixel was filled with."""
    planes: MaskArray
    """What to set on the pixels that it spoils."""
    reach: IntArray
    """How far it is followed."""


@jit
def _scatter(
    rows: IntArray,
    columns: IntArray,
    values: Float32Array,
    reach: IntArray,
    weight: Float32Array,
    share: Float32Array,
    error: Float32Array,
) -> None:
    """Add every defect's weight to ``share`` (if it is inside) and its weight times its value to ``error``."""
    height, width = share.shape
    full = weight.shape[0] // 2
    for k in range(rows.shape[0]):
        y, x, r = rows[k], columns[k], reach[k]
        inside = y >= 0 and y < height and x >= 0 and x < width
        for v in range(max(-r, -y), min(r, height - 1 - y) + 1):
            for u in range(max(-r, -x), min(r, width - 1 - x) + 1):
                if inside:
                    share[y + v, x + u] += weight[full + v, full + u]
                error[y + v, x + u] += weight[full + v, full + u] * values[k]


@jit
def _grow(
    rows: IntArray,
    columns: IntArray,
    planes: MaskArray,
    reach: IntArray,
    weight: Float32Array,
    share: Float32Array,
    error: Float32Array,
    variance: Float32Array,
    max_share: float,
    max_error: float,
    out: MaskArray,
) -> None:
    """Give the planes of every defect to the pixels around it that it spoils."""
    height, width = share.shape
    full = weight.shape[0] // 2
    for k in range(rows.shape[0]):
        y, x, r = rows[k], columns[k], reach[k]
        for v in range(max(-r, -y), min(r, height - 1 - y) + 1):
            for u in range(max(-r, -x), min(r, width - 1 - x) + 1):
                yy, xx = y + v, x + u
                spoiled = error[yy, xx] > max_error * np.sqrt(variance[yy, xx])
                if spoiled or (share[yy, xx] > max_share and weight[full + v, full + u] > 0.01):
                    out[yy, xx] |= planes[k]


def spread(
    mask: MaskArray,
    bits: int,
    filled: Float32Array,
    weight: Float32Array,
    variance: Float32Array,
    *,
    edge: int,
    max_share: float,
    max_error: float,
) -> MaskArray:
    """A mask with every bad pixel's planes on the pixels that a convolution spoils with it.

    Parameters
    ----------
    mask, filled
        Planes before the convolution, and the pixels with what bad ones were filled with; one shape.
    bits
        Planes that make a pixel bad.
    weight
        |K| around its centre, of odd side.
    variance
        Of the result.
    edge
        Planes to set where what lies beyond the border of the image, guessed by reflection, spoils a pixel.
    max_share
        A pixel is spoiled where bad ones carry more than this part of the weight,
    max_error
        or where Σ |K| |filled| over them exceeds this many sigma.
    """
    small = np.ascontiguousarray(weight, dtype=np.float32)
    least = NEGLIGIBLE * max_error
    defects = _joined(
        _inside(mask, bits, filled, small, variance, least), _beyond(filled, small, variance, least, edge)
    )
    # zeroed lazily by the system: only the surroundings of defects are ever touched
    share, error = np.zeros(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    out = mask.copy()
    place = defects.rows, defects.columns
    _scatter(*place, defects.values, defects.reach, small, share, error)
    _grow(*place, defects.planes, defects.reach, small, share, error, variance, max_share, max_error, out)
    return out


def _inside(
    mask: MaskArray, bits: int, filled: Float32Array, weight: Float32Array, variance: Float32Array, least: float
) -> _Defects:
    """The bad pixels of the image."""
    rows, columns, _ = pixels_of(runs_of_bits(np.ascontiguousarray(mask), bits))
    values = np.abs(filled[rows, columns])
    full = weight.shape[0] // 2
    near = min(NEAR_PX, full)
    far = values * weight[full, full + near] > least * np.sqrt(variance[rows, columns])
    planes = mask[rows, columns] & np.int32(bits)
    return _Defects(rows, columns, values, planes, np.where(far, full, near))


def _beyond(filled: Float32Array, weight: Float32Array, variance: Float32Array, least: float, edge: int) -> _Defects:
    """Pixels beyond the border, as bright as their mirror images, where they are bright enough to matter."""
    height, width = filled.shape
    full = weight.shape[0] // 2
    depth = min(full, height, width)
    rows, columns = _frame(height, width, depth)
    values = np.abs(filled[rows, columns])
    bright = values * weight[full, full] > least * np.sqrt(variance[rows, columns])
    rows, columns, values = rows[bright], columns[bright], values[bright]
    mirrored = []
    for near, y, x in (
        (rows < depth, -1 - rows, columns),
        (rows >= height - depth, 2 * height - 1 - rows, columns),
        (columns < depth, rows, -1 - columns),
        (columns >= width - depth, rows, 2 * width - 1 - columns),
    ):
        mirrored.append((y[near], x[near], values[near]))
    y, x, v = (np.concatenate(parts) for parts in zip(*mirrored, strict=True))
    return _Defects(y, x, v, np.full(len(y), edge, np.int32), np.full(len(y), full))


def _frame(height: int, width: int, depth: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pixels within ``depth`` of the border, each once."""
    inner = np.arange(depth, max(height - depth, depth))
    ends = np.setdiff1d(np.arange(height), inner)
    sides = np.r_[np.arange(min(depth, width)), np.arange(max(width - depth, depth), width)]
    parts = [np.meshgrid(ends, np.arange(width), indexing="ij"), np.meshgrid(inner, sides, indexing="ij")]
    rows, columns = (np.concatenate([part[axis].ravel() for part in parts]) for axis in (0, 1))
    return rows, columns


def _joined(first: _Defects, second: _Defects) -> _Defects:
    """Both lists, one after the other."""
    return _Defects(
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.columns, second.columns]),
        np.concatenate([first.values, second.values]),
        np.concatenate([first.planes, second.planes]),
        np.concatenate([first.reach, second.reach]),
    )
