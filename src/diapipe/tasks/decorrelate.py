"""Subtask that finds the filter by which the noise of a difference becomes white."""

from __future__ import annotations

from typing import Any

from lsst.pipe.base import Struct, Task

from diapipe.images import Exposure
from diapipe.steps.decorrelate import Afterburner, decorrelate
from diapipe.steps.match import Match
from diapipe.tasks.fields import OptionConfig, idle, option, options_of


class DecorrelateALKernelSpatialConfig(OptionConfig):
    """Config of the decorrelation."""

    cells: Any = option(Afterburner, "cells")
    order: Any = option(Afterburner, "order")
    ignoreMaskPlanes: Any = idle(
        ["INTRP", "EDGE", "DETECTED", "SAT", "CR", "BAD", "NO_DATA", "DETECTED_NEGATIVE"],
        "Planes left out of the mean variance.",
        "a median over pixels that can be used stands in its place",
    )
    completeVarPlanePropagation: Any = idle(
        False, "Filter the variance planes too, not only their mean.", "that is always done"
    )

    def decorrelator(self, *, spatiallyVarying: bool) -> Afterburner:
        """The algorithm of the core: on its grid, or one filter for all."""
        return options_of(self, Afterburner) if spatiallyVarying else Afterburner(cells=1, order=0)


class DecorrelateALKernelSpatialTask(Task):
    """Whitening filter from the local noise of both images and the kernel."""

    config: Any
    ConfigClass = DecorrelateALKernelSpatialConfig
    _DefaultName = "decorrelate"

    def run(self, science: Exposure, template: Exposure, match: Match, *, spatiallyVarying: bool = False) -> Struct:
        """Find the filter.

        Parameters
        ----------
        science, template
            On one grid.
        match
            The kernel between them.
        spatiallyVarying
            Follow kernel and noise over the image, on a grid; else one filter, that of the middle, serves everywhere.

        Returns
        -------
        Struct
            ``whitening``: `SpatialKernel` of unit sum.
        """
        algorithm = self.config.decorrelator(spatiallyVarying=spatiallyVarying)
        convolved, other = (template, science) if match.convolved == "template" else (science, template)
        whitening = decorrelate(convolved, other, match.kernel, algorithm=algorithm)
        self.metadata["whiteningSize"] = whitening.size
        return Struct(whitening=whitening)
