"""Subtasks that associate, by name in one registry and under the class names of ``dia_pipe``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lsst.pex.config import Field, makeRegistry
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.source_batch import SourceBatch
from diapipe.steps.associate import (
    ASSOCIATORS,
    AbstractAssociator,
    BipartiteAssociator,
    MultiMatchAssociator,
    SimpleAssociator,
    associate,
)
from diapipe.tasks.fields import OptionConfig, idle, option, options_of

associatorRegistry = makeRegistry("Ways to tell which sources are one object.")


class AssociatorConfig(OptionConfig):
    """What all associators have."""

    def associator(self) -> AbstractAssociator:
        """The associator of the core."""
        raise NotImplementedError


class BipartiteAssociationConfig(AssociatorConfig):
    """Config of the most likely assignment, one to one within an image."""

    tolerance: Any = option(BipartiteAssociator, "tolerance_arcsec")
    outlierShare: Any = option(BipartiteAssociator, "outlier_share")
    newPerArcmin2: Any = option(BipartiteAssociator, "new_per_arcmin2")
    errorFloor: Any = option(BipartiteAssociator, "error_floor_arcsec")
    errorFallback: Any = option(BipartiteAssociator, "error_fallback_arcsec")

    def associator(self) -> BipartiteAssociator:
        """The best assignment."""
        return options_of(self, BipartiteAssociator)


class SimpleAssociationConfig(AssociatorConfig):
    """Config of the nearest object."""

    tolerance: Any = option(SimpleAssociator, "tolerance_arcsec")
    errorFloor: Any = option(SimpleAssociator, "error_floor_arcsec")
    errorFallback: Any = option(SimpleAssociator, "error_fallback_arcsec")
    nside: Any = idle(2**18, "Cells of HEALPix among which objects were sought.", "distances are exact here")
    commonZp: Any = idle(27.0, "Zero point that fluxes were brought to.", "fluxes are in nJy, negative ones too")
    filters: Any = idle(["u", "g", "r", "i", "z", "y"], "Bands with columns.", "there are columns for what is found")
    aveFields: Any = idle(["base_PsfFlux_instFlux"], "Fluxes to average.", "psfFlux and scienceFlux are")

    def associator(self) -> SimpleAssociator:
        """The nearest object."""
        return options_of(self, SimpleAssociator)


class MultiMatchAssociationConfig(AssociatorConfig):
    """Config of groups of the sources of all images at once."""

    tolerance: Any = option(MultiMatchAssociator, "tolerance_arcsec")
    errorFloor: Any = option(MultiMatchAssociator, "error_floor_arcsec")
    errorFallback: Any = option(MultiMatchAssociator, "error_fallback_arcsec")
    commonZp: Any = idle(27.0, "Zero point that fluxes were brought to.", "fluxes are in nJy, negative ones too")
    filters: Any = idle(["u", "g", "r", "i", "z", "y"], "Bands with columns.", "there are columns for what is found")
    fluxType: Any = idle("base_PsfFlux_instFlux", "Flux to average.", "psfFlux and scienceFlux are")

    def associator(self) -> MultiMatchAssociator:
        """Groups."""
        return options_of(self, MultiMatchAssociator)


class PluginAssociationConfig(AssociatorConfig):
    """Config of an associator of another package, with its own defaults."""

    entryPoint: Any = Field(dtype=str, default="", doc="Its name in the group diapipe.associators.")

    def associator(self) -> AbstractAssociator:
        """The one of that name."""
        return ASSOCIATORS.make(self.entryPoint)


class AssociatorTask(Task):
    """Tell which sources are one object by one of the associators of the core."""

    config: Any
    ConfigClass = AssociatorConfig
    _DefaultName = "associator"

    def run(self, batches: Iterable[SourceBatch]) -> Struct:
        """Associate.

        Parameters
        ----------
        batches
            Positions of the sources of one image after another.

        Returns
        -------
        Struct
            ``association``.
        """
        return Struct(association=associate(batches, algorithm=self.config.associator()))


class BipartiteAssociationTask(AssociatorTask):
    """The most likely assignment of all sources of an image together."""

    ConfigClass = BipartiteAssociationConfig


class SimpleAssociationTask(AssociatorTask):
    """The nearest object, source by source."""

    ConfigClass = SimpleAssociationConfig


class MultiMatchAssociationTask(AssociatorTask):
    """Groups of the sources of all images at once."""

    ConfigClass = MultiMatchAssociationConfig


class PluginAssociationTask(AssociatorTask):
    """What another package offers."""

    ConfigClass = PluginAssociationConfig


associatorRegistry.register("bipartite", BipartiteAssociationTask)
associatorRegistry.register("simple", SimpleAssociationTask)
associatorRegistry.register("multimatch", MultiMatchAssociationTask)
associatorRegistry.register("plugin", PluginAssociationTask)
