"""Subtask that measures the images beneath a difference at the places of its sources."""

from __future__ import annotations

from typing import Any

from astropy.table import Table
from lsst.pex.config import ConfigField, DictField, RegistryField, makeRegistry
from lsst.pipe.base import Struct, Task

from diapipe.images import Difference, Exposure
from diapipe.steps.measure import Measure, force
from diapipe.tasks.fields import OptionConfig, idle, option, options_of
from diapipe.tasks.measurement_plugins import PluginConfig, SlotConfig

forcedMeasurementPluginRegistry = makeRegistry("What is measured at a given place.")
for _name in ("base_TransformedCentroid", "base_PsfFlux"):
    forcedMeasurementPluginRegistry.register(_name, PluginConfig, PluginConfig)


class ForcedMeasurementConfig(OptionConfig):
    """Config of the forced photometry."""

    psfStampSize: Any = option(Measure, "stamp_fwhm")
    plugins: Any = RegistryField(
        doc="What is measured: the PSF flux at the given place. Without effect, because it is all that there is.",
        registry=forcedMeasurementPluginRegistry,
        multi=True,
        default=["base_TransformedCentroid", "base_PsfFlux"],
    )
    copyColumns: Any = DictField(
        doc="Columns to copy from the table of places. Without effect, because the fluxes join its own row.",
        keytype=str,
        itemtype=str,
        default={"id": "objectId", "parent": "parentObjectId", "coord_ra": "coord_ra", "coord_dec": "coord_dec"},
    )
    slots: Any = ConfigField(doc="Names of columns; without effect.", dtype=SlotConfig)
    doReplaceWithNoise: Any = idle(
        True, "Put noise in the place of neighbours.", "at a place of a transient all the light there is wanted"
    )


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
