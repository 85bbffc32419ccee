"""Which sources of an image are near enough to something true to be it."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.numerics import pairs
from diapipe.numerics.arrays import BoolArray, FloatArray

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


def is_apart(truth: Table, others: Table | None, *, fwhm_px: float) -> BoolArray:
    """Of each row whether no other change that can be seen lies within a FWHM: the light of two so close is one source.

    Parameters
    ----------
    truth
        ``x``, ``y``, ``snr_true``; ``trail_length`` where something moved, which is so much longer.
    others
        ``x``, ``y`` of what changes there besides; None for nothing.
    fwhm_px
        Of the PSF.
    """
    places, half = places_of(truth), np.zeros(len(truth))
    if "trail_length" in truth.colnames:
        half += 0.5 * np.asarray(truth["trail_length"])
    longest = float(half.max(initial=0.0))
    one = pairs.all_pairs(places, places, radius=fwhm_px + 2.0 * longest)
    one = one.select(one.distance <= fwhm_px + half[one.first] + half[one.second])
    one = one.select((one.first != one.second) & (np.abs(np.asarray(truth["snr_true"]))[one.second] > SEEN_SNR))
    apart = np.ones(len(truth), np.bool_)
    apart[one.first] = False
    if others is not None:
        found = pairs.all_pairs(places, places_of(others), radius=fwhm_px + longest)
        apart[found.first[found.distance <= fwhm_px + half[found.first]]] = False
    return apart


def places_of(table: Table) -> FloatArray:
    """Pixel positions, shape (n, 2)."""
    return np.stack([np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64)], axis=1)
