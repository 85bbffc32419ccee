"""ObjectSize: stars are the sources of the smallest common size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray
from diapipe.numerics.one_cluster import smallest_cluster
from diapipe.steps.select.base import AbstractSelector, within


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSize(AbstractSelector):
    """The cluster of smallest widths, √((Ixx + Iyy) / 2), among the bright sources (``objectSize`` of LSST, SPEC K).

    Attributes
    ----------
    min_flux, max_flux
        Limits of the flux; None for none (doFluxLimit, fluxMin, fluxMax).
    min_signal_to_noise, max_signal_to_noise
        Limits of flux over error; None for none (doSignalToNoiseLimit, signalToNoiseMin, signalToNoiseMax).
    min_width_px, max_width_px
        Widths that a star can have (widthMin, widthMax).
    relative_width
        Scatter of the widths over their median from which on the cluster is narrow enough (widthStdAllowed).
    clip_sigma
        Widths farther from the median are no members (nSigmaClip).
    """

    bad_flags: tuple[str, ...] = (
        "pixelFlags_edge",
        "pixelFlags_nodata",
        "pixelFlags_interpolatedCenter",
        "pixelFlags_saturatedCenter",
        "pixelFlags_crCenter",
        "pixelFlags_bad",
        "pixelFlags_interpolated",
        "centroid_flag",
    )
    min_flux: float | None = None
    max_flux: float | None = None
    min_signal_to_noise: float | None = 50.0
    max_signal_to_noise: float | None = None
    min_width_px: float = 0.9
    max_width_px: float = 10.0
    relative_width: float = 0.15
    clip_sigma: float = 2.0

    def chosen(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """Members of the smallest cluster; the catalogue is not looked at."""
        square = 0.5 * (sources.ixx + sources.iyy)
        if len(sources) and not np.isfinite(square).any():
            raise InputError("sources are selected by their size, but have no second moments (ixx, iyy)")
        width = np.sqrt(np.where(square > 0, square, np.nan))
        good = ~sources.flagged(self.bad_flags) & ~sources.is_sky
        good &= within(sources.flux, self.min_flux, self.max_flux)
        good &= within(sources.signal_to_noise, self.min_signal_to_noise, self.max_signal_to_noise)
        good &= within(width, self.min_width_px, self.max_width_px)
        good[good] = smallest_cluster(width[good], relative_width=self.relative_width, n_sigma=self.clip_sigma)
        return good
