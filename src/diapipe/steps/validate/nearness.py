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
    return _within(match_radius_px(fwhm_px), truth, sources)


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
    near = _within(fwhm_px, truth, truth)
    seen = np.abs(np.asarray(truth["snr_true"])) > SEEN_SNR
    apart = np.ones(len(truth), np.bool_)
    apart[near.first[(near.first != near.second) & seen[near.second]]] = False
    if others is not None:
        apart[_within(fwhm_px, truth, others).first] = False
    return apart


def _within(distance_px: float, one: Table, other: Table) -> pairs.Pairs:
    """All pairs of two tables with no more than this between them, the ends of what moved counting."""
    first, second = _half_lengths(one), _half_lengths(other)
    farthest = distance_px + float(first.max(initial=0.0) + second.max(initial=0.0))
    near = pairs.all_pairs(places_of(one), places_of(other), radius=farthest)
    return near.select(near.distance <= distance_px + first[near.first] + second[near.second])


def _half_lengths(table: Table) -> FloatArray:
    """Half of ``trail_length``; zeros without."""
    if "trail_length" not in table.colnames:
        return np.zeros(len(table))
    return 0.5 * np.asarray(table["trail_length"], dtype=np.float64)


def places_of(table: Table) -> FloatArray:
    """Pixel positions, shape (n, 2)."""
    return np.stack([np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64)], axis=1)
