"""Seasons: a scale of time that leaves out what nobody looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.report.axes import Scale, linear_ticks

LONGEST_GAP_DAYS = 60.0
"""A longer one is left out."""
_MARGIN = 0.06
_LEAST_SHARE = 0.12
"""Of the axis, for the shortest season."""
_N_TICKS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Seasons(Scale):
    """Times, with gaps between the seasons left out.

    Attributes
    ----------
    parts
        First and last time of each season, margins included.
    ends
        Where each season begins and ends on the axis, 0 to 1.
    """

    parts: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, float], ...]

    gap: ClassVar[float] = 0.025

    @classmethod
    def of(cls, mjd: FloatArray, *, longest_gap_days: float = LONGEST_GAP_DAYS) -> Seasons:
        """The scale for some epochs."""
        times = np.unique(mjd[np.isfinite(mjd)])
        found = [part for part in np.split(times, np.flatnonzero(np.diff(times) > longest_gap_days) + 1) if len(part)]
        lengths = np.array([np.ptp(part) for part in found]) if found else np.ones(1)
        margin = _MARGIN * max(float(lengths.sum()), 1.0)
        parts = tuple((float(part[0]) - margin, float(part[-1]) + margin) for part in found) or ((0.0, 1.0),)
        shares = np.maximum(lengths + 2 * margin, _LEAST_SHARE * (lengths + 2 * margin).sum())
        return cls(low=parts[0][0], high=parts[-1][1], parts=parts, ends=_laid_out(shares / shares.sum(), cls.gap))

    def fraction(self, values: FloatArray | float) -> FloatArray:
        """Where times lie on the axis."""
        knots = np.array(self.parts).ravel(), np.array(self.ends).ravel()
        found = np.interp(np.asarray(values, np.float64), *knots, left=-0.02, right=1.02)
        return np.asarray(found)

    def ticks(self, at_most: int = _N_TICKS) -> list[float]:
        """Round times within each season."""
        ticks: list[float] = []
        for (low, high), (start, end) in zip(self.parts, self.ends, strict=True):
            ticks += linear_ticks(low, high, max(2, round(at_most * (end - start))))
        return ticks

    def seams(self) -> list[float]:
        """Middles of the gaps, on the axis from 0 to 1."""
        return [0.5 * (self.ends[k][1] + self.ends[k + 1][0]) for k in range(len(self.ends) - 1)]


def _laid_out(shares: Sequence[float] | FloatArray, gap: float) -> tuple[tuple[float, float], ...]:
    """Ends of parts of an axis with gaps between them."""
    free = 1.0 - gap * (len(shares) - 1)
    starts = np.concatenate([[0.0], np.cumsum(np.asarray(shares) * free + gap)])[:-1]
    return tuple((float(a), float(a + share * free)) for a, share in zip(starts, shares, strict=True))
