"""Subtask that measures the images beneath a difference at the places of its sources."""

from __future__ import annotations

from typing import Any

from astropy.table import Table
from lsst.pipe.base import Struct, Task

from diapipe.images import Difference, Exposure
from diapipe.steps.measure import Measure, force
from diapipe.tasks.fields import OptionConfig, option, options_of


class ForcedMeasurementConfig(OptionConfig):
    """Config of the forced photometry."""

    psfStampSize: Any = option(Measure, "stamp_fwhm")


class ForcedMeasurementTask(Task):
    """PSF fluxes at given places on the science image and on the matched template."""

    config: Any
    ConfigClass = ForcedMeasurementConfig
    _DefaultName = "forcedMeasurement"

    def run(
        self, catalog: Table, difference: Difference, science: Exposure, template: Exposure | None = None
    ) -> Struct:
        """Measure at the places of a table.

        Parameters
        ----------
        catalog
            DIA sources; it stays as it is.
        difference
            What they were found on.
        science
            The science image.
        template
            On the science grid and flux scale, with a PSF of its own; that of the difference where left out.

        Returns
        -------
        Struct
            ``catalog``: a new table with scienceFlux, templateFlux and their errors and flags.
        """
        options = options_of(self.config, Measure)
        return Struct(catalog=force(catalog, difference, science=science, template=template, options=options))
