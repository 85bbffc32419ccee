"""Points that are one thing: the closest two at a time, where no two of one image may come together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit

type BitArray = NDArray[np.uint64]


def clusters(points: FloatArray, weights: FloatArray, image: IntArray, *, radius: float) -> IntArray:
    """Number of the cluster of each point, from 0 in the order of their first points; shape (n,).

    Parameters
    ----------
    points
        Shape (n, 3).
    weights
        What each counts in a mean, shape (n,).
    image
        Points of one image are never of one cluster, shape (n,).
    radius
        Clusters whose weighted means are farther apart stay two.

    Notes
    -----
    Agglomeration by centroids: the two closest clusters that may are made one, again and again; of equal distances
    those of earlier points. Time and memory grow as n² and n times the number of images.
    """
    _, number = np.unique(image, return_inverse=True)
    seen = np.zeros((len(points), number.max(initial=0) // 64 + 1), np.uint64)
    seen[np.arange(len(points)), number // 64] = np.uint64(1) << (number % 64).astype(np.uint64)
    label = np.arange(len(points))
    _agglomerate(points.copy(), weights.astype(np.float64), seen, radius * radius, label)
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


@jit
def _agglomerate(means: FloatArray, weights: FloatArray, seen: BitArray, most: float, label: IntArray) -> None:
    """Write for each point the first point of its cluster; the other arrays are used up."""
    n = len(means)
    alive = np.ones(n, np.bool_)
    partner, distance = np.empty(n, np.int64), np.empty(n)
    for a in range(n):
        partner[a], distance[a] = _closest(means, seen, alive, a)
    while n > 0:
        a = 0
        for b in range(n):
            if alive[b] and (distance[b] < distance[a] or not alive[a]):
                a = b
        b = partner[a]
        if b < 0 or distance[a] > most:
            return
        if b < a:
            a, b = b, a
        _merge(means, weights, seen, a, b)
        alive[b] = False
        for c in range(n):
            if label[c] == b:
                label[c] = a
            if alive[c] and (c == a or partner[c] == a or partner[c] == b):
                partner[c], distance[c] = _closest(means, seen, alive, c)
            elif alive[c]:
                apart = _apart(means, seen, a, c)
                if apart < distance[c] or (apart == distance[c] and a < partner[c]):
                    partner[c], distance[c] = a, apart


@inlined
def _closest(means: FloatArray, seen: BitArray, alive: BoolArray, a: int) -> tuple[int, float]:
    """The nearest cluster that this one may be joined to, -1 for none, and the squared distance."""
    best, least = -1, np.inf
    for b in range(len(means)):
        if b != a and alive[b]:
            apart = _apart(means, seen, a, b)
            if apart < least:
                best, least = b, apart
    return best, least


@inlined
def _apart(means: FloatArray, seen: BitArray, a: int, b: int) -> float:
    """Squared distance of two clusters; infinite where they share an image."""
    for word in range(seen.shape[1]):
        if seen[a, word] & seen[b, word]:
            return np.inf
    total = 0.0
    for axis in range(3):
        total += (means[a, axis] - means[b, axis]) ** 2
    return total


@inlined
def _merge(means: FloatArray, weights: FloatArray, seen: BitArray, a: int, b: int) -> None:
    """Make the first cluster that of both."""
    share = weights[b] / (weights[a] + weights[b])
    for axis in range(3):
        means[a, axis] += share * (means[b, axis] - means[a, axis])
    weights[a] += weights[b]
    for word in range(seen.shape[1]):
        seen[a, word] |= seen[b, word]
