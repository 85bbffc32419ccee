"""Subtask that matches sources with a reference catalogue. It fits no WCS, and touches none."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ConfigField
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.steps.select import KernelSources, in_catalogue
from diapipe.tasks.fields import OptionConfig, option


class MatcherConfig(OptionConfig):
    """How far apart matches may lie."""

    maxMatchDistArcSec: Any = option(KernelSources, "match_radius_arcsec")
    maxOffsetArcSec: Any = option(KernelSources, "reference_offset_arcsec")


class AstrometryConfig(OptionConfig):
    """Config of the match."""

    matcher: Any = ConfigField(doc="How far apart matches may lie.", dtype=MatcherConfig)


class AstrometryTask(Task):
    """One entry of the catalogue for each source that has one, a common offset of the WCS allowed for."""

    config: Any
    ConfigClass = AstrometryConfig
    _DefaultName = "astrometer"

    def run(self, sources: SourceList, reference: ReferenceList) -> Struct:
        """Match.

        Parameters
        ----------
        sources
            With sky positions.
        reference
            The catalogue.

        Returns
        -------
        Struct
            ``entry``: row of the catalogue for each source, -1 for none.
        """
        matcher = self.config.matcher
        entry = in_catalogue(
            sources,
            reference,
            radius_arcsec=matcher.maxMatchDistArcSec,
            largest_offset_arcsec=matcher.maxOffsetArcSec,
        )
        self.metadata["nMatched"] = int((entry >= 0).sum())
        return Struct(entry=entry)
