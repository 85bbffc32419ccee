"""Subtasks that measure: the sources of a difference, and the science image at their places."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lsst.pex.config import ConfigField, ListField
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.dia_sources import without_flagged
from diapipe.catalogs.stars import StarList
from diapipe.images import Detections, Difference, Exposure, Footprints, Psf
from diapipe.steps.measure import ApertureCorrections, Glints, Measure, measure, with_sky_sources
from diapipe.steps.measure.dipoles import Dipoles
from diapipe.steps.measure.trails import Trails
from diapipe.tasks.fields import OptionConfig, idle, option, options_of
from diapipe.tasks.measurement_plugins import (
    APERTURE,
    CENTROID,
    DIPOLES,
    TRAILS,
    SlotConfig,
    emptied,
    plugins,
    without_columns_of_others,
)

FORCED = ("scienceFlux", "templateFlux", "forced_")
"""Beginnings of the columns of forced photometry."""


class GlintsConfig(OptionConfig):
    """Config of the search for glints."""

    radius: Any = option(Glints, "radius_px")
    minPoints: Any = option(Glints, "least_sources")
    threshold: Any = option(Glints, "max_rms_px")


class DipoleFitConfig(OptionConfig):
    """Config of the measurement."""

    plugins: Any = plugins()
    apertureRadius: Any = option(Measure, "aperture_fwhm")
    slots: Any = ConfigField(doc="Names of columns; without effect.", dtype=SlotConfig)
    doReplaceWithNoise: Any = idle(
        False,
        "Put noise in the place of neighbours while a source is measured.",
        "stamps are of white noise as they are",
    )
    glints: Any = ConfigField(doc="Which sources stand in a row, as glints of a satellite do.", dtype=GlintsConfig)
    badSourceFlags: Any = ListField(
        dtype=str,
        default=[],
        doc="Sources with any of these flags are dropped, by our names or those of afw; by default none is.",
    )
    psfStampSize: Any = option(Measure, "stamp_fwhm")

    @property
    def algorithms(self) -> Any:
        """The plugins, by their older name."""
        return self.plugins

    def options(self, *, fitDipoles: bool, corrections: ApertureCorrections | None = None) -> Measure:
        """The options of the core; without ``corrections`` no aperture correction is applied."""
        return options_of(
            self,
            Measure,
            max_shift_px=self.plugins[CENTROID].maxDistToPeak,
            aperture_px=self.plugins[APERTURE].radius,
            fit_dipoles=fitDipoles and DIPOLES in self.plugins.names,
            dipoles=options_of(self.plugins[DIPOLES], Dipoles),
            fit_trails=TRAILS in self.plugins.names,
            trails=options_of(self.plugins[TRAILS], Trails),
            glints=options_of(self.glints, Glints),
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
        templatePsf: Psf | None = None,
        stars: StarList | None = None,
        fitDipoles: bool = True,
        skyPlaces: Footprints | None = None,
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
        templatePsf
            PSF of the template on the science grid, before the match.
        stars
            Of the science image.
        fitDipoles
            Whether dipoles are fitted.
        skyPlaces
            Empty places to be measured as well.

        Returns
        -------
        Struct
            ``diaSources``: table.
        """
        options = self.config.options(fitDipoles=fitDipoles)
        measured = partial(
            measure, difference, science=science, template=template, template_psf=templatePsf, stars=stars
        )
        table = without_flagged(measured(detections, options=options), self.config.badSourceFlags)
        if skyPlaces is not None:
            at_sky = measured(replace(detections, footprints=skyPlaces), options=options.at_given_places())
            table = with_sky_sources(table, at_sky, info=difference.exposure.info)
        table = emptied(without_columns_of_others(table, self.config.plugins.names), FORCED)
        self.metadata["nSources"] = len(table)
        self.metadata["nDipoles"] = int(table["isDipole"].sum())
        return Struct(diaSources=table)
