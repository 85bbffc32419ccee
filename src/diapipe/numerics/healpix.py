"""HEALPix: the pixel of the nested scheme that a direction lies in (Gorski et al. 2005, ApJ 622, 759)."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray

LARGEST_ORDER = 29
"""Of pixels whose numbers fit 64 bits; 0.4 milliarcseconds wide."""


def nested_pixels(longitude: FloatArray, latitude: FloatArray, *, order: int = LARGEST_ORDER) -> IntArray:
    """Number of the pixel of each direction; shape of ``longitude``, angles in degrees.

    Parameters
    ----------
    longitude, latitude
        Finite directions.
    order
        Each side of the twelve base pixels has 2^order pixels. The pixel at a lower order is the number without its
        last two bits for each step.

    Notes
    -----
    The paper's projection (its section 5.1) takes the sphere to a plane on which the base pixels are diamonds with
    corners up, down, left and right, here two units wide. Turned by 45 degrees they are unit squares: one coordinate
    grows towards the north-east, the other towards the north-west.
    """
    x = (np.asarray(longitude, dtype=np.float64) % 360.0) / 45.0
    y = 1.5 * np.sin(np.radians(latitude))
    equatorial, polar = _equatorial(x, y), _polar(x, np.asarray(latitude, dtype=np.float64))
    base, east, west = (np.where(np.abs(y) < 1.0, e, p) for e, p in zip(equatorial, polar, strict=True))
    side = 1 << order
    inside_east, inside_west = (np.clip((side * part).astype(np.int64), 0, side - 1) for part in (east, west))
    return (base.astype(np.int64) << (2 * order)) | _spread(inside_east) | (_spread(inside_west) << 1)


def _equatorial(x: FloatArray, y: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Base pixel, and place in it, below the latitude whose sine is 2/3: a lattice of turned squares."""
    a, b = 0.5 * (x + y + 1.0), 0.5 * (y - x + 1.0)
    column, row = np.floor(a).astype(np.int64), np.floor(b).astype(np.int64)
    ring = column + row
    number = np.where(ring > 0, -row, column) % 4
    return np.asarray(number + 4 * (1 - ring)), a - column, b - row


def _polar(x: FloatArray, latitude: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """The same above that latitude, where each of four base pixels narrows towards the pole."""
    number = np.minimum(np.floor(0.5 * x), 3.0).astype(np.int64)
    width = np.sqrt(6.0) * np.sin(0.5 * np.radians(90.0 - np.abs(latitude)))  # the root of 3 (1 - |sin|), exact
    aside = (x - 2.0 * number - 1.0) * width
    is_north = latitude > 0
    height = np.where(is_north, 2.0 - width, width)
    return np.where(is_north, number, 8 + number), 0.5 * (height + aside), 0.5 * (height - aside)


def _spread(values: IntArray) -> IntArray:
    """Put a 0 before each of the lower 32 bits."""
    spread = values.copy()
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread
