"""What the pixels around a source say about it: the sharpest, the sign of the light, the sky beneath, the mask."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import jit
from diapipe.numerics.weighting import cut_blocks


def examine(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    x: FloatArray,
    y: FloatArray,
    signs: FloatArray,
    radius: float,
    n_sigma: float = 2.0,
) -> FloatArray:
    """How sharp and how pure in sign each source is.

    Parameters
    ----------
    image, mask, variance
        Planes of one shape.
    bits
        Mask bits of unusable pixels.
    x, y
        Finite positions in array coordinates, shape (n,).
    signs
        +1 or -1 for each.
    radius
        Of the circle in which signs are compared, pixels.
    n_sigma
        Pixels below this significance are not compared.

    Returns
    -------
    FloatArray
        Shape (n, 2): significance of the most significant single pixel of the central 3x3, of the source's sign; part
        of the light of the other sign.
    """
    column, row = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    half = int(np.ceil(radius)) + 1
    values, spread, good = cut_blocks(image, mask, variance, bits=bits, rows=row, columns=column, half=half)
    light = signs[:, None, None] * values
    score = np.full(light.shape, -np.inf)
    np.divide(light, np.sqrt(spread), out=score, where=good)
    sharpest = score[:, half - 1 : half + 2, half - 1 : half + 2].max(axis=(1, 2))
    offset = np.arange(-half, half + 1)
    distance = _distances(row[:, None] + offset, column[:, None] + offset, x, y)
    light[~(good & (distance <= radius) & (np.abs(score) > n_sigma))] = 0.0
    same, other = np.maximum(light, 0.0).sum(axis=(1, 2)), np.maximum(-light, 0.0).sum(axis=(1, 2))
    total = same + other
    part = np.divide(other, total, out=np.full(len(x), np.nan), where=total > 0.0)
    return np.stack([np.where(np.isinf(sharpest), np.nan, sharpest), part], axis=1)


def _squares(
    shape: tuple[int, int], x: FloatArray, y: FloatArray, half: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Rows and columns of the squares around positions, and the same moved on to the image; shape (n, 2 half + 1)."""
    offset = np.arange(-half, half + 1)
    rows = np.floor(y + 0.5).astype(np.int64)[:, None] + offset
    columns = np.floor(x + 0.5).astype(np.int64)[:, None] + offset
    return rows, columns, np.clip(rows, 0, shape[0] - 1), np.clip(columns, 0, shape[1] - 1)


def _distances(rows: IntArray, columns: IntArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Distance of the pixels of squares from the positions; shape (n, 2 half + 1, 2 half + 1)."""
    return np.asarray(np.hypot((rows - y[:, None])[:, :, None], (columns - x[:, None])[:, None, :]))


def brightest_around(
    image: Float32Array, *, x: FloatArray, y: FloatArray, radius: float, plus: Float32Array | None = None
) -> FloatArray:
    """Largest finite value, of an image or the sum of two, within ``radius`` of every position; NaN without one."""
    rows, columns, row_on, column_on = _squares(image.shape, x, y, int(np.ceil(radius)) + 1)
    at = row_on[:, :, None], column_on[:, None, :]
    values = image[at] if plus is None else image[at] + plus[at]
    inside = (rows == row_on)[:, :, None] & (columns == column_on)[:, None, :] & np.isfinite(values)
    inside &= _distances(rows, columns, x, y) <= radius
    found = np.where(inside, values, -np.inf).max(axis=(1, 2), initial=-np.inf)
    return np.where(np.isinf(found), np.nan, found).astype(np.float64)


def opposite_extremum(
    image: Float32Array, *, x: FloatArray, y: FloatArray, signs: FloatArray, radius: float
) -> tuple[FloatArray, FloatArray]:
    """Where within ``radius`` of a position the image goes farthest against its sign: (x, y), shape (n, 2), and value.

    NaN where it does not go there at all.
    """
    rows, columns, row_on, column_on = _squares(image.shape, x, y, int(np.ceil(radius)) + 1)
    against = -signs[:, None, None] * image[row_on[:, :, None], column_on[:, None, :]]
    inside = (rows == row_on)[:, :, None] & (columns == column_on)[:, None, :] & (against > 0.0)
    inside &= _distances(rows, columns, x, y) <= radius
    against[~inside] = 0.0
    flat = against.reshape(len(x), -1)
    best, every = flat.argmax(axis=1), np.arange(len(x))
    value = flat[every, best]
    r, c = np.divmod(best, against.shape[2])
    place = np.stack([columns[every, c], rows[every, r]], axis=1).astype(np.float64)
    place[value == 0.0] = np.nan
    return place, np.where(value > 0.0, -signs * value, np.nan)


def mask_around(mask: MaskArray, *, x: FloatArray, y: FloatArray, half: int, in_all: bool = False) -> IntArray:
    """Mask bits that any pixel of the square of ``2 half + 1`` around every position has, or all of them."""
    rows, columns, row_on, column_on = _squares(mask.shape, x, y, half)
    inside = (rows == row_on)[:, :, None] & (columns == column_on)[:, None, :]
    bits = np.where(inside, mask[row_on[:, :, None], column_on[:, None, :]], 0).reshape(len(x), (2 * half + 1) ** 2)
    joined = np.bitwise_and.reduce(bits, axis=1) if in_all else np.bitwise_or.reduce(bits, axis=1)
    return np.asarray(joined, dtype=np.int64)


@jit
def mask_in_parts(
    mask: MaskArray,
    bits: int,
    spans: IntArray,
    offsets: IntArray,
    x: FloatArray,
    y: FloatArray,
    order: IntArray,
    first: IntArray,
    out: IntArray,
) -> None:
    """Union of the mask bits in the part of a footprint that is nearer to a source than to the others in it.

    Parameters
    ----------
    mask, bits
        Image, and the bits that count.
    spans, offsets
        Pixels of the footprints in array coordinates, as `diapipe.images.Footprints` has them.
    x, y
        Places of the sources.
    order, first
        Sources by footprint: those of the i-th are ``order[first[i]:first[i + 1]]``.
    out
        Filled, one number a source.
    """
    out[:] = 0
    for i in range(len(offsets) - 1):
        if first[i] == first[i + 1]:
            continue
        for k in range(offsets[i], offsets[i + 1]):
            row = spans[k, 0]
            for c in range(spans[k, 1], spans[k, 2]):
                found = mask[row, c] & bits
                if found == 0:
                    continue
                nearest, least = order[first[i]], np.inf
                for j in range(first[i], first[i + 1]):
                    source = order[j]
                    square = (x[source] - c) ** 2 + (y[source] - row) ** 2
                    if square < least:
                        nearest, least = source, square
                out[nearest] |= found


@jit
def scaled_distance(
    runs: IntArray,
    labels: IntArray,
    half_width: FloatArray,
    x: FloatArray,
    y: FloatArray,
    reach: float,
    out: FloatArray,
    nearest: IntArray,
) -> None:
    """Smallest (distance to a region) / (its half-width) of every position, infinite beyond ``reach`` half-widths; and
    which region that is, -1 for none.
    """
    for k in range(len(x)):
        out[k], nearest[k] = np.inf, -1
        for i in range(len(runs)):
            far = reach * half_width[labels[i]]
            dy = y[k] - runs[i, 0]
            if abs(dy) > far:
                continue
            dx = max(runs[i, 1] - x[k], x[k] - (runs[i, 2] - 1), 0.0)
            scaled = np.hypot(dx, dy) / half_width[labels[i]]
            if scaled <= reach and scaled < out[k]:
                out[k], nearest[k] = scaled, labels[i]
