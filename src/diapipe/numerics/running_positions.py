"""Weighted mean positions on the sphere that take in one measurement after another, and their cells with them.

Each measurement moves the mean in the plane that touches the sphere there, east and north by their own weights: the
weighted least-squares position (the Kalman filter of a star that does not move), up to the square of the offsets.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.sky_cells import Cells, follow


class Means(NamedTuple):
    """Positions so far.

    Attributes
    ----------
    vectors
        Directions, shape (m, 3).
    weight
        Sums of weights east and north, shape (m, 2).
    n_taken
        Measurements of each, shape (m,).
    """

    vectors: FloatArray
    weight: FloatArray
    n_taken: IntArray

    @classmethod
    def with_room(cls, room: int) -> Self:
        """Arrays for so many, not filled."""
        return cls(np.empty((room, 3)), np.empty((room, 2)), np.empty(room, np.int64))


@inlined
def east_north(vectors: FloatArray, p: int, dx: float, dy: float, dz: float) -> tuple[float, float]:
    """The components of a small step from a point towards east and north; at a pole east is that of RA 0."""
    x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
    across = math.sqrt(x * x + y * y)
    cos_ra, sin_ra = (x / across, y / across) if across > 0.0 else (1.0, 0.0)
    return cos_ra * dy - sin_ra * dx, across * dz - z * (cos_ra * dx + sin_ra * dy)


@jit
def offsets(
    places: FloatArray, vectors: FloatArray, first: IntArray, second: IntArray, east: FloatArray, north: FloatArray
) -> None:
    """Write how far east and north each place lies of the point it is paired with, in radians."""
    for n in range(len(first)):
        s, p = first[n], second[n]
        east[n], north[n] = east_north(
            vectors, p, places[s, 0] - vectors[p, 0], places[s, 1] - vectors[p, 1], places[s, 2] - vectors[p, 2]
        )


@jit
def take_in(means: Means, cells: Cells, places: FloatArray, weights: FloatArray, target: IntArray) -> int:
    """Let measurements move the means that they belong to; what leaves its cell goes to the next.

    Parameters
    ----------
    means, cells
        Changed.
    places
        Unit vectors of the measurements, shape (n, 3).
    weights
        Their weights east and north, shape (n, 2).
    target
        The mean that each belongs to, shape (n,).

    Returns
    -------
    int
        Keys that the cells' hash table holds more.
    """
    n_keys, vectors = 0, means.vectors
    for s in range(len(places)):
        p = target[s]
        dx, dy, dz = places[s, 0] - vectors[p, 0], places[s, 1] - vectors[p, 1], places[s, 2] - vectors[p, 2]
        east, north = east_north(vectors, p, dx, dy, dz)
        means.weight[p, 0] += weights[s, 0]
        means.weight[p, 1] += weights[s, 1]
        means.n_taken[p] += 1
        _step(vectors, p, east * weights[s, 0] / means.weight[p, 0], north * weights[s, 1] / means.weight[p, 1])
        n_keys += follow(cells, vectors, p)
    return n_keys


@inlined
def _step(vectors: FloatArray, p: int, east: float, north: float) -> None:
    """Move a point by radians east and north."""
    x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
    across = math.sqrt(x * x + y * y)
    cos_ra, sin_ra = (x / across, y / across) if across > 0.0 else (1.0, 0.0)
    x += -sin_ra * east - z * cos_ra * north
    y += cos_ra * east - z * sin_ra * north
    z += across * north
    norm = math.sqrt(x * x + y * y + z * z)
    vectors[p, 0], vectors[p, 1], vectors[p, 2] = x / norm, y / norm, z / norm
