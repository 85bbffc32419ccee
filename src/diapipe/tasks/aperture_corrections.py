"""Subtask that brings PSF fluxes onto the scale of aperture fluxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pipe.base import Struct, Task

from diapipe.images import Exposure
from diapipe.steps.measure import ApertureCorrections
from diapipe.steps.measure.aperture_corrections import corrected
from diapipe.tasks.fields import OptionConfig, option, options_of


class ApplyApCorrConfig(OptionConfig):
    """Config of the aperture corrections."""

    fluxes: Any = option(ApertureCorrections, "fluxes")
    doPropagateErrors: Any = option(ApertureCorrections, "include_error")
    doFlagApCorrFailures: Any = option(ApertureCorrections, "flag_missing")

    def corrections(self) -> ApertureCorrections:
        """The options of the core."""
        return options_of(self, ApertureCorrections)


class ApplyApCorrTask(Task):
    """Multiply PSF fluxes and their errors by the correction of their image."""

    config: Any
    ConfigClass = ApplyApCorrConfig
    _DefaultName = "applyApCorr"

    def run(self, catalog: Table, difference: Exposure, science: Exposure) -> Struct:
        """Correct the fluxes of a table.

        Parameters
        ----------
        catalog
            DIA sources; it stays as it is.
        difference, science
            Images with the corrections.

        Returns
        -------
        Struct
            ``catalog``: a new table.
        """
        columns = {name: np.asarray(catalog[name]) for name in catalog.colnames}
        changed = corrected(columns, difference, science, options=self.config.corrections())
        table = catalog.copy()
        for name, values in changed.items():
            table[name][:] = values
        return Struct(catalog=table)
