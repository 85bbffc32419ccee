"""Which of many detections on the sky are one and the same star."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.sphere import chord_of, unit_vectors


def sky_groups(ra: FloatArray, dec: FloatArray, *, radius_arcsec: float) -> IntArray:
    """Number of the group that each detection belongs to, from 0; -1 where the position is not finite.

    Two detections closer than the radius are of one group, and so are those that a chain of such links joins. The
    detections of a cell much smaller than the radius are first taken as one, so that a star seen 10,000 times costs no
    more than a star seen once.

    Parameters
    ----------
    ra, dec
        In degrees, shape (n,); right there is no seam at RA 0 and no pole.
    radius_arcsec
        Largest distance of two links of a chain, to a tenth.
    """
    group = np.full(len(ra), -1, np.int64)
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if len(known) == 0:
        return group
    radius = chord_of(radius_arcsec / 3600.0)
    vectors = unit_vectors(ra[known], dec[known])
    cells = np.floor(vectors / (0.1 * radius)).astype(np.int64)
    _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    cell = cell.ravel()
    places = vectors[first]
    pairs = cKDTree(places).query_pairs(radius, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    _, of_cell = connected_components(links, directed=False)
    group[known] = of_cell[cell]
    return group
