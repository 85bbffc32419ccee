"""Which points of two lists lie near each other: all pairs, the nearest of each, or one to one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray


class Pairs(NamedTuple):
    """Indices into two lists of points, and how far apart the two are."""

    first: IntArray
    second: IntArray
    distance: FloatArray

    def select(self, which: IntArray | BoolArray) -> Pairs:
        """The chosen pairs."""
        return Pairs(self.first[which], self.second[which], self.distance[which])


def all_pairs(points: FloatArray, targets: FloatArray, *, radius: float) -> Pairs:
    """Every point with every target within ``radius``, in the order of the points, nearest target first.

    Parameters
    ----------
    points, targets
        Shapes (n, d) and (m, d); one that is not finite has no partner.
    radius
        Largest distance.
    """
    (here, near), (there, far) = _finite(points), _finite(targets)
    if len(here) == 0 or len(there) == 0:
        return _none()
    found = cKDTree(near).sparse_distance_matrix(cKDTree(far), radius, output_type="ndarray")
    order = np.lexsort((found["v"], found["i"]))
    found = found[order]
    return Pairs(here[found["i"]], there[found["j"]], np.asarray(found["v"], dtype=np.float64))


def nearest(points: FloatArray, targets: FloatArray, *, radius: float) -> Pairs:
    """Every point that has a target within ``radius``, with the nearest one; several points may share a target.

    Parameters as in `all_pairs`.
    """
    (here, near), (there, far) = _finite(points), _finite(targets)
    if len(here) == 0 or len(there) == 0:
        return _none()
    distance, index = cKDTree(far).query(near)
    close = distance <= radius
    return Pairs(here[close], there[index[close]], np.asarray(distance[close], dtype=np.float64))


def one_to_one(points: FloatArray, targets: FloatArray, *, radius: float) -> Pairs:
    """Pairs in which neither appears twice: of those within ``radius`` the closest first, then the closest left.

    Parameters as in `all_pairs`; in the order of the points.
    """
    every = all_pairs(points, targets, radius=radius)
    taken_first, taken_second = np.zeros(len(points), np.bool_), np.zeros(len(targets), np.bool_)
    kept = []
    for k in np.argsort(every.distance, kind="stable"):
        i, j = every.first[k], every.second[k]
        if not (taken_first[i] or taken_second[j]):
            taken_first[i] = taken_second[j] = True
            kept.append(k)
    rows = np.sort(np.array(kept, dtype=np.int64))
    return every.select(rows)


def mutual(points: FloatArray, targets: FloatArray, *, radius: float) -> Pairs:
    """Pairs that are each other's nearest, within ``radius``; parameters and order as in `all_pairs`.

    A point whose nearest target has a nearer partner is left out, which `one_to_one` would give its second choice:
    where chance partners do harm, these are the safer pairs.
    """
    forward, backward = nearest(points, targets, radius=radius), nearest(targets, points, radius=radius)
    partner = np.full(len(targets), -1, np.int64)
    partner[backward.first] = backward.second
    return forward.select(partner[forward.second] == forward.first)


def apart(points: FloatArray, *, radius: float) -> BoolArray:
    """Points that keep more than ``radius`` from every earlier one that is kept.

    Parameters
    ----------
    points
        Shape (n, d), finite.
    radius
        Largest distance at which the later one is left out.
    """
    kept = np.ones(len(points), dtype=np.bool_)
    close = cKDTree(points).query_pairs(radius, output_type="ndarray") if len(points) else []
    for first, second in sorted(map(tuple, close)):
        kept[second] &= not kept[first]
    return kept


def _finite(points: FloatArray) -> tuple[IntArray, FloatArray]:
    """Indices and coordinates of the points that are somewhere."""
    index = np.flatnonzero(np.isfinite(points).all(axis=1))
    return index, points[index]


def _none() -> Pairs:
    return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
