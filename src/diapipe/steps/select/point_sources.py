"""PointSources: isolated unresolved sources of good signal, the best of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import TooFewStarsError, counted
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.select.base import AbstractSelector, within


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSources(AbstractSelector):
    """What today's LSST pipelines take: isolated, primary, unresolved, S/N 10 to 500 (the science selector of SPEC K).

    Attributes
    ----------
    max_extendedness
        Sources above it are galaxies. Where none has been classified, all count as stars.
    isolated, primary
        Whether blends, and what is no primary detection, are left out (doIsolated, doRequirePrimary).
    min_signal_to_noise, max_signal_to_noise
        Limits of flux over error; None for none.
    max_sources
        Of more the ones of highest signal-to-noise are taken (maxKernelSources).
    min_sources
        Fewer are an error (minKernelSources).
    """

    bad_flags: tuple[str, ...] = (
        "pixelFlags_badCenter",
        "pixelFlags_edgeCenter",
        "pixelFlags_nodataCenter",
        "pixelFlags_crCenter",
        "pixelFlags_interpolatedCenter",
        "pixelFlags_saturatedCenter",
        "centroid_flag",
    )
    max_extendedness: float = 0.1
    isolated: bool = True
    primary: bool = True
    min_signal_to_noise: float | None = 10.0
    max_signal_to_noise: float | None = 500.0
    max_sources: int = 1000
    min_sources: int = 3

    def chosen(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """The best of those that are fit; the catalogue is not looked at."""
        good = ~sources.flagged(self.bad_flags) & ~sources.is_sky
        good &= sources.is_isolated | (not self.isolated)
        good &= sources.is_primary | (not self.primary)
        classified = np.isfinite(sources.extendedness)
        if classified.any():
            good &= classified & (sources.extendedness <= self.max_extendedness)
        good &= within(sources.signal_to_noise, self.min_signal_to_noise, self.max_signal_to_noise)
        index = np.flatnonzero(good)
        if len(index) < self.min_sources:
            raise TooFewStarsError(
                f"{counted(len(index), 'source')} of {len(sources)} can make the matching kernel (isolated, "
                f"unresolved, unflagged, of sufficient signal); {self.min_sources} are needed",
                found=len(index),
                needed=self.min_sources,
            )
        best = index[np.argsort(-sources.signal_to_noise[index], kind="stable")[: self.max_sources]]
        found = np.zeros(len(sources), np.bool_)
        found[best] = True
        return found
