"""Which sources of an image are near enough to something true to be it."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.numerics import pairs
from diapipe.numerics.arrays import FloatArray

SEEN_SNR = 1.0
"""What is fainter explains no source."""
_LEAST_RADIUS_PX, _RADIUS_FWHM = 2.5, 0.5
"""A source is what is true within this distance: at S/N 5 centroids scatter by 0.12 FWHM along either axis."""


def match_radius_px(fwhm_px: float) -> float:
    """How near a source must be to a true point to be it."""
    return max(_LEAST_RADIUS_PX, _RADIUS_FWHM * fwhm_px)


def near_pairs(truth: Table, sources: Table, *, fwhm_px: float) -> pairs.Pairs:
    """All pairs of something true (first) and a source near it (second).

    Parameters
    ----------
    truth
        ``x``, ``y`` in pixels; ``trail_length`` where something moved, whose sources may be half of it farther away.
    sources
        ``x``, ``y``.
    fwhm_px
        Of the PSF.
    """
    reach = np.full(len(truth), match_radius_px(fwhm_px))
    if "trail_length" in truth.colnames:
        reach += 0.5 * np.asarray(truth["trail_length"])
    near = pairs.all_pairs(places_of(truth), places_of(sources), radius=float(reach.max(initial=0.0)))
    return near.select(near.distance <= reach[near.first])


def places_of(table: Table) -> FloatArray:
    """Pixel positions, shape (n, 2)."""
    return np.stack([np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64)], axis=1)
