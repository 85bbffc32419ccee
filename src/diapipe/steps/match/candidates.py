"""Which sources a kernel is fitted to: the brightest usable ones, spread over the image."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images.box import Box
from diapipe.numerics.arrays import IntArray

BRIGHT_SIGNAL_TO_NOISE = 120.0
"""Fainter sources say less about the kernel than the noise of their stamps takes: the sharp parts of a kernel are known
by no more than a source's own few pixels, while all pixels of its stamp bring noise into the normal equations."""

MIN_SIGNAL_TO_NOISE = 20.0
"""Sources down to this limit are taken as long as there are fewer than `ENOUGH`."""

ENOUGH = 60
"""Bright sources that make fainter ones unnecessary."""


def spread_candidates(stars: StarList, box: Box, *, at_most: int, margin: int, distance: int) -> IntArray:
    """Indices of the sources to fit to, brightest first within cells that tile the image, one after another from each.

    Parameters
    ----------
    stars
        Sources of the science image.
    box
        Where both images have pixels.
    at_most
        How many to return.
    margin
        Distance from the border of ``box`` that a source must keep, in pixels.
    distance
        Distance from any source already taken, in pixels.
    """
    inside = (stars.x > box.x0 + margin) & (stars.x < box.x1 - 1 - margin)
    inside &= (stars.y > box.y0 + margin) & (stars.y < box.y1 - 1 - margin)
    index = _bright(stars, np.flatnonzero(inside & ~stars.is_saturated & (stars.flux > 0.0)))
    index = index[np.argsort(-stars.flux[index], kind="stable")]
    cell = max(np.sqrt(box.area / max(at_most, 1)), float(distance))
    column = ((stars.x[index] - box.x0) // cell).astype(np.int64)
    row = ((stars.y[index] - box.y0) // cell).astype(np.int64)
    rank = _rank_in_group(row * 100_000 + column)
    index = index[np.argsort(rank, kind="stable")]
    return _apart(stars, index, distance=float(distance), at_most=at_most)


def _bright(stars: StarList, index: IntArray) -> IntArray:
    """Those of high signal-to-noise, or the `ENOUGH` best ones."""
    signal_to_noise = stars.flux[index] / stars.flux_err[index]
    limit = BRIGHT_SIGNAL_TO_NOISE
    if np.count_nonzero(signal_to_noise > limit) < ENOUGH:
        limit = np.sort(signal_to_noise)[-ENOUGH] if len(index) >= ENOUGH else MIN_SIGNAL_TO_NOISE
    return index[signal_to_noise >= max(limit, MIN_SIGNAL_TO_NOISE)]


def _rank_in_group(group: IntArray) -> IntArray:
    """For each entry, how many earlier ones share its group."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - start
    return rank


def _apart(stars: StarList, index: IntArray, *, distance: float, at_most: int) -> IntArray:
    """Keep, in order, those farther than ``distance`` from all that were kept before."""
    kept: list[int] = []
    x, y = np.empty(at_most), np.empty(at_most)
    for k in index:
        n = len(kept)
        if n == at_most:
            break
        if n and np.min((x[:n] - stars.x[k]) ** 2 + (y[:n] - stars.y[k]) ** 2) < distance**2:
            continue
        x[n], y[n] = stars.x[k], stars.y[k]
        kept.append(int(k))
    return np.array(kept, dtype=np.int64)
