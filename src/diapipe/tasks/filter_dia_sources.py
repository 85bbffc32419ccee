"""FilterDiaSourcesTask: the subtask that leaves out the sources that should make no objects."""

from __future__ import annotations

from typing import Any

from astropy.table import Table
from lsst.pipe.base import Struct, Task

from diapipe.steps.filter import DiaSourceFilter, columns_read, filter_dia_sources
from diapipe.tasks.fields import OptionConfig, option, options_of


class FilterDiaSourcesConfig(OptionConfig):
    """Config of the cuts, by the names of LSST's task where it has them."""

    badFlagList: Any = option(DiaSourceFilter, "bad_flags")
    minScienceSnr: Any = option(DiaSourceFilter, "min_science_snr")
    maxTrailLength: Any = option(DiaSourceFilter, "max_trail_arcsec_per_s")
    minReliability: Any = option(DiaSourceFilter, "min_reliability")
    setAside: Any = option(DiaSourceFilter, "set_aside")


class FilterDiaSourcesTask(Task):
    """Leave out sources by their flags, trails and signal."""

    config: Any
    ConfigClass = FilterDiaSourcesConfig
    _DefaultName = "filterDiaSources"

    def run(self, diaSources: Table, exposureTime: float | None = None) -> Struct:
        """Apply the cuts.

        Parameters
        ----------
        diaSources
            Of one image.
        exposureTime
            Of the image, seconds, where their column ``exposureTime`` does not tell; without either no trail is too
            fast.

        Returns
        -------
        Struct
            ``kept``; ``rejected``, with a column ``reason``.
        """
        options = options_of(self.config, DiaSourceFilter)
        found = filter_dia_sources(diaSources, options, exposure_time_s=exposureTime)
        return Struct(kept=found.kept, rejected=found.rejected)

    def columns(self) -> frozenset[str]:
        """The columns that are looked at: a table may come without the others."""
        return columns_read(options_of(self.config, DiaSourceFilter))
