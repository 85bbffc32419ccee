"""Where a dipole may be: peaks with light of the opposite sign beside them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.images import Peaks
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics import surroundings
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray

_UNRESOLVED = 8.0
"""Lobes closer than their width peak 2 sqrt(2) sigma apart on the score: what d² is too large by, in sigma²."""


class Pairs(NamedTuple):
    """Peaks to be fitted: which, and where the positive and the negative lobe seem to be, array coordinates."""

    which: IntArray
    plus: FloatArray
    minus: FloatArray

    def of(self, chosen: BoolArray) -> Pairs:
        """Some of them."""
        return Pairs(self.which[chosen], self.plus[chosen], self.minus[chosen])

    @property
    def middle(self) -> FloatArray:
        """Pixel in the middle of the two, as real numbers; shape (n, 2)."""
        return np.asarray(np.floor(0.5 * (self.plus + self.minus) + 0.5))

    def starts(self, fwhm: float) -> FloatArray:
        """Where the lobes are first looked for, x₊, y₊, x₋, y₋ from `middle`; shape (n, 4).

        The peaks, drawn together by what their overlap has pushed them apart.
        """
        sigma, center, apart = fwhm / SIGMA_TO_FWHM, 0.5 * (self.plus + self.minus), self.plus - self.minus
        square = (apart**2).sum(axis=1)
        length = np.sqrt(np.maximum(square - _UNRESOLVED * sigma**2, (0.5 * sigma) ** 2))
        lobe = 0.5 * apart * (length / np.sqrt(np.maximum(square, 1e-12)))[:, None]
        return np.concatenate([center + lobe - self.middle, center - lobe - self.middle], axis=1)


def pairs_of(
    peaks: Peaks,
    score: Float32Array,
    corner: FloatArray,
    *,
    radius: float,
    least_sigma: float,
    least_ratio: float,
    everything: bool,
) -> Pairs:
    """Peaks beside which the score goes far enough the other way, or every peak.

    Parameters
    ----------
    peaks, score, corner
        What was detected, and the image of significance, with the parent coordinates x, y of its first pixel.
    radius
        How far the other lobe may be from the peak, pixels.
    least_sigma, least_ratio
        Its significance at least, and relative to that of the peak.
    everything
        Whether all are paired, with the best that there is; where there is nothing, with a place half ``radius`` away.
    """
    here = np.stack([peaks.x, peaks.y], axis=1) - corner
    there = np.stack([peaks.partner_x, peaks.partner_y], axis=1) - corner
    opposite = peaks.partner_significance.copy()
    single = np.flatnonzero(np.isnan(opposite))
    if len(single):
        sign = np.where(peaks.significance[single] < 0.0, -1.0, 1.0)
        place, value = surroundings.opposite_extremum(
            score, x=here[single, 0], y=here[single, 1], signs=sign, radius=radius
        )
        there[single], opposite[single] = place, value
    height, own = np.abs(np.nan_to_num(opposite)), np.abs(peaks.significance)
    which = np.flatnonzero(everything | ((height >= least_sigma) & (height >= least_ratio * own)))
    positive = (peaks.significance[which] > 0.0)[:, None]
    here, there = here[which], there[which]
    there = np.where(np.isfinite(there), there, here + np.array([0.5 * radius, 0.0]))
    return Pairs(which, np.where(positive, here, there), np.where(positive, there, here))
