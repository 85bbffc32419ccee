"""The cluster of smallest values in a one-dimensional sample: of all sizes on an image, stars have the smallest."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.stats import robust_sigma

MAX_ROUNDS = 100
"""Medians of clusters come to rest long before."""

FEWEST = 5
"""Members below which an interquartile range says nothing: the cluster stays as it is."""


def k_medians(values: FloatArray, centres: FloatArray) -> IntArray:
    """Cluster of each value: that of the nearest centre, centres being moved to the median of their members till rest.

    Parameters
    ----------
    values
        Finite, shape (n,).
    centres
        Where the clusters start, ascending. One that loses all its members takes no more part.

    Returns
    -------
    IntArray
        Index into ``centres``, shape (n,).
    """
    centres = centres.astype(np.float64)
    cluster = np.full(len(values), -1, np.int64)
    for _ in range(MAX_ROUNDS):
        distance = np.abs(values[:, None] - centres)
        found = np.argmin(np.where(np.isfinite(distance), distance, np.inf), axis=1)
        if (found == cluster).all():
            break
        cluster = found
        for k in range(len(centres)):
            members = values[cluster == k]
            centres[k] = np.median(members) if len(members) else np.nan
    return cluster


def smallest_cluster(
    values: FloatArray,
    *,
    n_clusters: int = 4,
    relative_width: float = 0.15,
    n_sigma: float = 2.0,
    n_iter: int = 10,
) -> BoolArray:
    """Members of the cluster of smallest values, clipped.

    Parameters
    ----------
    values
        Positive and finite, shape (n,).
    n_clusters
        How many clusters; they start at the tenth percentile q, at q (1 + 2 w), q (1 + 4 w), ..., w ``relative_width``.
    relative_width
        Scatter over median from which on the cluster is narrow enough, and half the distance of the first centres.
    n_sigma
        Values farther from the median than this are no members; sigma is the smaller of the standard deviation and
        0.7413 IQR. Values from outside the cluster may join.
    n_iter
        Rounds of clipping at the most.

    Returns
    -------
    BoolArray
        Shape (n,).

    Notes
    -----
    The selection by size of the LSST pipelines (SPEC K). A scatter of zero keeps the members that are the median.
    """
    if len(values) == 0:
        return np.zeros(0, np.bool_)
    first = np.sort(values)[len(values) // 10]
    centres = first * (1.0 + 2.0 * relative_width * np.arange(n_clusters))
    member = k_medians(values, centres) == 0
    for _ in range(n_iter):
        inside = values[member]
        if len(inside) < FEWEST:
            break
        centre, sigma = float(np.median(inside)), min(float(inside.std()), robust_sigma(inside))
        clipped = np.abs(values - centre) <= n_sigma * sigma
        unchanged = bool((clipped == member).all())
        member = clipped
        if unchanged or sigma < relative_width * centre:
            break
    return np.asarray(member, dtype=np.bool_)
