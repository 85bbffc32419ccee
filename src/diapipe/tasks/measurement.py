"""Subtasks that measure: the sources of a difference, and the science image at their places."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import ConfigField
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.stars import StarList
from diapipe.images import Detections, Difference, Exposure
from diapipe.steps.measure import ApertureCorrections, Measure, measure
from diapipe.steps.measure.dipoles import Dipoles
from diapipe.tasks.fields import OptionConfig, option, options_of

FORCED = ("scienceFlux", "templateFlux", "forced_")
"""Beginnings of the columns of forced photometry."""


class DipoleFitPluginConfig(OptionConfig):
    """Config of the dipole fit, under the names of LSST's plugin."""

    relWeight: Any = option(Dipoles, "image_weight")
    fitSeparateNegParams: Any = option(Dipoles, "separate_fluxes")
    minSn: Any = option(Dipoles, "least_snr")
    maxFluxRatio: Any = option(Dipoles, "largest_share")
    maxSeparation: Any = option(Dipoles, "reach_fwhm")


class DipoleFitConfig(OptionConfig):
    """Config of the measurement."""

    dipole: Any = ConfigField(doc="The dipole fit.", dtype=DipoleFitPluginConfig)
    apertureRadius: Any = option(Measure, "aperture_fwhm")
    maxDistToPeak: Any = option(Measure, "max_shift_px")
    psfStampSize: Any = option(Measure, "stamp_fwhm")

    def options(self, *, fitDipoles: bool, corrections: ApertureCorrections | None = None) -> Measure:
        """The options of the core; without ``corrections`` no aperture correction is applied."""
        return options_of(
            self,
            Measure,
            fit_dipoles=fitDipoles,
            dipoles=options_of(self.dipole, Dipoles),
            aperture_corrections=corrections or ApertureCorrections(fluxes=()),
        )


class DipoleFitTask(Task):
    """Positions, fluxes, shapes, flags; dipoles where asked for."""

    config: Any
    ConfigClass = DipoleFitConfig
    _DefaultName = "measurement"

    def run(
        self,
        difference: Difference,
        detections: Detections,
        science: Exposure,
        template: Exposure | None = None,
        *,
        stars: StarList | None = None,
        fitDipoles: bool = True,
    ) -> Struct:
        """Measure every detection; forced fluxes and aperture corrections are left to the subtasks that make them.

        Parameters
        ----------
        difference, detections
            What was found on it.
        science
            The science image.
        template
            On the science grid and flux scale, with a PSF of its own; that of the difference where left out.
        stars
            Of the science image.
        fitDipoles
            Whether dipoles are fitted.

        Returns
        -------
        Struct
            ``diaSources``: table.
        """
        options = self.config.options(fitDipoles=fitDipoles)
        table: Table = measure(difference, detections, science=science, template=template, stars=stars, options=options)
        for name in table.colnames:
            if name.startswith(FORCED):
                table[name][:] = np.nan if table[name].dtype.kind == "f" else False
        self.metadata["nSources"] = len(table)
        self.metadata["nDipoles"] = int(table["isDipole"].sum())
        return Struct(diaSources=table)
