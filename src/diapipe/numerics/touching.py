"""Which point sources stand in each other's stamps."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from diapipe.numerics import psf_photometry
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.psf_photometry import Neighbours


def touching(found: FloatArray, half: int) -> Neighbours:
    """Pairs of sources with a flux whose stamps overlap.

    Parameters
    ----------
    found
        Results of `diapipe.numerics.psf_photometry.fit_point_sources`, shape (n, N_RESULTS).
    half
        Half-width of the stamps in pixels.
    """
    measured = np.flatnonzero(np.isfinite(found[:, psf_photometry.FLUX]))
    where = found[measured][:, [psf_photometry.X, psf_photometry.Y]]
    pairs = measured[KDTree(where).query_pairs(2.0 * half, p=np.inf, output_type="ndarray")] if len(where) else where
    first = np.concatenate([pairs[:, 0], pairs[:, 1]]).astype(np.int64)
    second = np.concatenate([pairs[:, 1], pairs[:, 0]]).astype(np.int64)
    order = np.lexsort((second, first))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=len(found)))]).astype(np.int64)
    return Neighbours(offsets, second[order], found)
