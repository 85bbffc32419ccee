"""Subtask that finds places where nothing is: measured like sources, they tell whether fluxes and errors are right."""

from __future__ import annotations

from typing import Any

import numpy as np
from lsst.pex.config import Field
from lsst.pipe.base import Struct, Task

from diapipe.images import Detections
from diapipe.steps.detect import SkySources, sky_sources
from diapipe.tasks.fields import OptionConfig, option, options_of


class SkyObjectsConfig(OptionConfig):
    """Config of the places."""

    nSources: Any = option(SkySources, "n_sources")
    sourceRadius: Any = option(SkySources, "radius_px")
    avoidMask: Any = option(SkySources, "avoided_planes")
    growMask: Any = option(SkySources, "grow_px")
    nTrialSources: Any = Field(
        dtype=int,
        default=None,
        optional=True,
        doc=f"Places that are tried; None: {SkySources().trials_per_source} times nSources.",
    )

    def places(self) -> SkySources:
        """The options of the core."""
        given = {} if self.nTrialSources is None else {"trials_per_source": -(-self.nTrialSources // self.nSources)}
        return options_of(self, SkySources, **given)


class SkyObjectsTask(Task):
    """Circles on empty sky, evenly spread."""

    config: Any
    ConfigClass = SkyObjectsConfig
    _DefaultName = "skySources"

    def run(self, detections: Detections, seed: Any = 0) -> Struct:
        """Find places.

        Parameters
        ----------
        detections
            With the mask of what was detected.
        seed
            Whole numbers; one seed, one list.

        Returns
        -------
        Struct
            ``footprints``: `Footprints`, one peak each.
        """
        found = sky_sources(detections, options=self.config.places(), rng=np.random.default_rng(seed))
        self.metadata["nSkySources"] = len(found)
        return Struct(footprints=found)
