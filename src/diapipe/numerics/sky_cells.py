"""Points on the sphere kept in cells, which follow the points as they move: neighbours without a tree to rebuild.

Cells are cubes of space that the sphere cuts through, as wide as twice the search radius, so that a search looks into
eight; there is no seam at RA 0 and no pole.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.hashing import EMPTY, empty_table, slot_of
from diapipe.numerics.jit import inlined, jit

NONE = -1
"""End of a chain."""

SMALLEST = 1e-6
"""Least width of a cell: 21 bits number the cells along an axis."""


class Cells(NamedTuple):
    """Which points lie in which cell: a chain of them for each.

    Attributes
    ----------
    radius
        Of the searches, as a chord.
    width
        Of the cells.
    keys, heads
        Hash table of the cells, and the first point of the chain of each, shape (slots,).
    following
        The next in the chain of each point, shape (room,).
    cell
        Key of the cell that each point is in, shape (room,).
    """

    radius: float
    width: float
    keys: IntArray
    heads: IntArray
    following: IntArray
    cell: IntArray

    @classmethod
    def for_points(cls, room: int, *, radius: float) -> Self:
        """No points, and room for so many, with as many moves into new cells."""
        keys = empty_table(2 * room)
        width = max(2.0 * radius * (1.0 + 1e-9), SMALLEST)
        return cls(radius, width, keys, np.empty(len(keys), np.int64), *np.empty((2, room), np.int64))


@inlined
def cell_key(i: int, j: int, k: int) -> int:
    """One number for a cell's three."""
    return (i << 42) | (j << 21) | k


@inlined
def _cell_of(cells: Cells, vectors: FloatArray, point: int) -> int:
    """Key of the cell where a point is now."""
    return cell_key(
        int((vectors[point, 0] + 1.0) / cells.width),
        int((vectors[point, 1] + 1.0) / cells.width),
        int((vectors[point, 2] + 1.0) / cells.width),
    )


@inlined
def _link(cells: Cells, point: int, key: int) -> int:
    """Put a point at the head of a cell's chain; 1 if the table holds one more key now."""
    slot = slot_of(cells.keys, key)
    fresh = cells.keys[slot] == EMPTY
    cells.following[point] = NONE if fresh else cells.heads[slot]
    cells.keys[slot] = cells.cell[point] = key
    cells.heads[slot] = point
    return 1 if fresh else 0


@inlined
def _unlink(cells: Cells, point: int) -> None:
    """Take a point out of its cell's chain; the cell stays, if need be without points."""
    slot = slot_of(cells.keys, cells.cell[point])
    before = cells.heads[slot]
    if before == point:
        cells.heads[slot] = cells.following[point]
        return
    while cells.following[before] != point:
        before = cells.following[before]
    cells.following[before] = cells.following[point]


@jit
def enter(cells: Cells, vectors: FloatArray, first: int, last: int) -> int:
    """Put the points from ``first`` to before ``last`` into the cells where they are; the keys that this adds."""
    n = 0
    for point in range(first, last):
        n += _link(cells, point, _cell_of(cells, vectors, point))
    return n


@inlined
def follow(cells: Cells, vectors: FloatArray, point: int) -> int:
    """Let a point that has moved change its cell, if it has left it; the keys that this adds."""
    key = _cell_of(cells, vectors, point)
    if key == cells.cell[point]:
        return 0
    _unlink(cells, point)
    return _link(cells, point, key)


@jit
def neighbours(cells: Cells, vectors: FloatArray, places: FloatArray, first: IntArray, second: IntArray) -> int:
    """Indices of each place and of every point within the radius of it, in the order of both.

    Parameters
    ----------
    cells
        Of the points.
    vectors, places
        Unit vectors of the points and of the places, shapes (m, 3) and (n, 3).
    first, second
        Written: the pairs, as many as there is room for.

    Returns
    -------
    int
        Number of pairs; where it exceeds the room, the rest was not written.
    """
    n, width = 0, cells.width
    for s in range(len(places)):
        begun = n
        x, y, z = places[s, 0], places[s, 1], places[s, 2]
        u, v, w = (x + 1.0) / width, (y + 1.0) / width, (z + 1.0) / width
        i, j, k = int(u), int(v), int(w)
        di, dj, dk = (-1 if u - i < 0.5 else 1), (-1 if v - j < 0.5 else 1), (-1 if w - k < 0.5 else 1)
        for corner in range(8):
            key = cell_key(i + di * (corner & 1), j + dj * (corner >> 1 & 1), k + dk * (corner >> 2))
            slot = slot_of(cells.keys, key)
            p = NONE if cells.keys[slot] == EMPTY else cells.heads[slot]
            while p != NONE:
                dx, dy, dz = x - vectors[p, 0], y - vectors[p, 1], z - vectors[p, 2]
                if dx * dx + dy * dy + dz * dz <= cells.radius * cells.radius:
                    if n < len(first):
                        first[n], second[n] = s, p
                    n += 1
                p = cells.following[p]
        _sort(second[begun : min(n, len(second))])
    return n


@inlined
def _sort(values: IntArray) -> None:
    """Sort a short array in place."""
    for a in range(1, len(values)):
        value, b = values[a], a
        while b > 0 and values[b - 1] > value:
            values[b] = values[b - 1]
            b -= 1
        values[b] = value


def pairs_within(cells: Cells, vectors: FloatArray, places: FloatArray) -> tuple[IntArray, IntArray]:
    """`neighbours` with as much room as it needs: indices of places and of points, two arrays of one length."""
    room = 2 * len(places) + 16
    while True:
        first, second = np.empty((2, room), np.int64)
        n = neighbours(cells, vectors, places, first, second)
        if n <= room:
            return first[:n], second[:n]
        room = n
