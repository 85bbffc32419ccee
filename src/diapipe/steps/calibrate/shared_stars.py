"""Stars that several images share, and which images hang together by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from diapipe.catalogs.sky_groups import sky_groups
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class SharedStars:
    """Detections of stars that were seen on at least two images, one entry each.

    Attributes
    ----------
    star
        Number of the star, from 0.
    image
        Index of the image.
    flux, error
        Counts.
    """

    star: IntArray
    image: IntArray
    flux: FloatArray
    error: FloatArray

    @classmethod
    def among(cls, stars: VisitStars, *, radius_arcsec: float) -> SharedStars:
        """Of all detections; two of one group on one image are no star to compare, and neither counts."""
        group = sky_groups(stars.ra, stars.dec, radius_arcsec=radius_arcsec)
        rows = np.flatnonzero(group >= 0)
        key = group[rows] * max(stars.n_images, 1) + stars.image[rows]
        _, first, counts = np.unique(key, return_index=True, return_counts=True)
        rows = np.sort(rows[first[counts == 1]])
        times = np.bincount(group[rows], minlength=1)
        rows = rows[times[group[rows]] >= 2]
        _, star = np.unique(group[rows], return_inverse=True)
        return cls(star.astype(np.int64), stars.image[rows], stars.flux[rows], stars.flux_err[rows])

    def components(self, node: IntArray, n_nodes: int, used: BoolArray) -> IntArray:
        """Number of the group of each node (a visit, or an image) that shares stars with others.

        Parameters
        ----------
        node
            Of each image.
        n_nodes
            How many there are.
        used
            Detections that count.
        """
        n_stars = int(self.star.max(initial=-1)) + 1
        ends = self.star[used], n_stars + node[self.image[used]]
        links = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(n_stars + n_nodes, n_stars + n_nodes))
        _, found = connected_components(links, directed=False)
        return np.asarray(np.unique(found[n_stars:], return_inverse=True)[1], dtype=np.int64)
