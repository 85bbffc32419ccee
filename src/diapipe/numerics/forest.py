"""A forest of decision trees as flat arrays, and the sum of its trees' answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray

_CHUNK = 256


class Forest(NamedTuple):
    """All nodes of all trees, one after the other; a leaf is its own child.

    Attributes
    ----------
    feature, threshold
        A sample whose feature is at most the threshold goes to the left.
    left, right
        Numbers of the children.
    value
        What a leaf adds.
    roots
        First node of each tree.
    depth
        Steps from a root to the farthest leaf.
    """

    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    value: FloatArray
    roots: IntArray
    depth: int


def forest_sums(forest: Forest, table: FloatArray) -> FloatArray:
    """Sum over the trees of the leaf that each sample comes to.

    Parameters
    ----------
    forest
        The trees.
    table
        Finite features, shape (n, k).

    Returns
    -------
    FloatArray
        Shape (n,).
    """
    return np.concatenate(
        [np.empty(0), *(_sums(forest, table[first : first + _CHUNK]) for first in range(0, len(table), _CHUNK))]
    )


def _sums(forest: Forest, table: FloatArray) -> FloatArray:
    """All trees of some samples side by side, one step down at a time."""
    node = np.broadcast_to(forest.roots, (len(table), len(forest.roots)))
    rows = np.arange(len(table))[:, None]
    for _ in range(forest.depth):
        goes_left = table[rows, forest.feature[node]] <= forest.threshold[node]
        node = np.where(goes_left, forest.left[node], forest.right[node])
    return np.asarray(forest.value[node].sum(axis=1))
