"""Subtasks that choose the stars of the kernel, by name in one registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.pex.config import Field, makeRegistry
from lsst.pipe.base import Struct, Task

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.select import AbstractSelector, DiaCatalog, ObjectSize, PointSources
from diapipe.tasks.fields import OptionConfig, option, options_of, parameters_of

sourceSelectorRegistry = makeRegistry("Ways to choose the stars of the kernel.")

OLD_FLUX_FIELD = "base_PsfFlux_instFlux"


def none_if_zero(value: float) -> float | None:
    """The value, or None for the 0 by which the older fields say that there is no limit."""
    return value or None


class SourceSelectorConfig(OptionConfig):
    """What all selectors have."""

    sourceFluxField: Any = Field(
        doc=f"Column of the flux, its error being that with Err behind; empty and {OLD_FLUX_FIELD} are the PSF flux.",
        dtype=str,
        default="",
    )

    @property
    def flux(self) -> str:
        """Column of the flux; empty for the PSF flux under any of its names."""
        return "" if self.sourceFluxField == OLD_FLUX_FIELD else str(self.sourceFluxField)

    def selector(self) -> AbstractSelector:
        """The selector of the core."""
        raise NotImplementedError


class ObjectSizeStarSelectorConfig(SourceSelectorConfig):
    """Config of ``objectSize``."""

    doFluxLimit: Any = Field(doc="Apply fluxMin and fluxMax.", dtype=bool, default=False)
    fluxMin: Any = option(ObjectSize, "min_flux", default=12500.0)
    fluxMax: Any = option(ObjectSize, "max_flux", default=0.0, into=none_if_zero)
    doSignalToNoiseLimit: Any = Field(doc="Apply signalToNoiseMin and signalToNoiseMax.", dtype=bool, default=True)
    signalToNoiseMin: Any = option(ObjectSize, "min_signal_to_noise")
    signalToNoiseMax: Any = option(ObjectSize, "max_signal_to_noise", default=0.0, into=none_if_zero)
    widthMin: Any = option(ObjectSize, "min_width_px")
    widthMax: Any = option(ObjectSize, "max_width_px")
    widthStdAllowed: Any = option(ObjectSize, "relative_width")
    nSigmaClip: Any = option(ObjectSize, "clip_sigma")
    badFlags: Any = option(ObjectSize, "bad_flags")

    def selector(self) -> AbstractSelector:
        """Sources of the smallest common size."""
        values = parameters_of(self, ObjectSize)
        if not self.doFluxLimit:
            values |= {"min_flux": None, "max_flux": None}
        if not self.doSignalToNoiseLimit:
            values |= {"min_signal_to_noise": None, "max_signal_to_noise": None}
        return ObjectSize(**values)


class DiaCatalogSourceSelectorConfig(SourceSelectorConfig):
    """Config of ``diacatalog``; its colours and classes also choose the stars of doSelectDcrCatalog and its like."""

    fluxLim: Any = option(DiaCatalog, "min_flux", default=0.0, into=none_if_zero)
    fluxMax: Any = option(DiaCatalog, "max_flux", default=0.0, into=none_if_zero)
    selectStar: Any = option(DiaCatalog, "stars")
    selectGalaxy: Any = option(DiaCatalog, "galaxies")
    includeVariable: Any = option(DiaCatalog, "variables")
    grMin: Any = option(DiaCatalog, "min_g_r_mag")
    grMax: Any = option(DiaCatalog, "max_g_r_mag")
    badFlags: Any = option(DiaCatalog, "bad_flags")

    def selector(self) -> DiaCatalog:
        """Sources of the classes and colours that the reference catalogue gives them."""
        return options_of(self, DiaCatalog)


class ScienceSourceSelectorConfig(SourceSelectorConfig):
    """Config of ``science``, what today's pipelines of LSST take."""

    maxExtendedness: Any = option(PointSources, "max_extendedness")
    doIsolated: Any = option(PointSources, "isolated")
    doRequirePrimary: Any = option(PointSources, "primary")
    signalToNoiseMin: Any = option(PointSources, "min_signal_to_noise")
    signalToNoiseMax: Any = option(PointSources, "max_signal_to_noise")
    maxKernelSources: Any = option(PointSources, "max_sources")
    minKernelSources: Any = option(PointSources, "min_sources")
    badFlags: Any = option(PointSources, "bad_flags")

    def selector(self) -> AbstractSelector:
        """Isolated point sources of good signal."""
        return options_of(self, PointSources)


class SourceSelectorTask(Task):
    """Choose sources by one of the selectors of the core."""

    config: Any
    ConfigClass = SourceSelectorConfig
    _DefaultName = "sourceSelector"

    def run(self, sources: SourceList, reference: ReferenceList | None = None) -> Struct:
        """Choose.

        Parameters
        ----------
        sources
            Of the science image.
        reference
            Entry of each in the reference catalogue, in their order; None without one.

        Returns
        -------
        Struct
            ``selected``: which; boolean, shape (n,).

        Raises
        ------
        InputError
            If the sources lack a measurement or the catalogue that this choice is made by.
        """
        selected = self.config.selector().chosen(sources, reference)
        self.metadata["nSelected"] = int(selected.sum())
        return Struct(selected=selected)


class ObjectSizeStarSelectorTask(SourceSelectorTask):
    """Stars are the sources of the smallest common size."""

    ConfigClass = ObjectSizeStarSelectorConfig
    _DefaultName = "objectSize"


class DiaCatalogSourceSelectorTask(SourceSelectorTask):
    """What the reference catalogue says of a source decides."""

    ConfigClass = DiaCatalogSourceSelectorConfig
    _DefaultName = "diacatalog"


class ScienceSourceSelectorTask(SourceSelectorTask):
    """Isolated, unresolved sources of good signal, the best of them."""

    ConfigClass = ScienceSourceSelectorConfig
    _DefaultName = "science"


sourceSelectorRegistry.register("objectSize", ObjectSizeStarSelectorTask)
sourceSelectorRegistry.register("diacatalog", DiaCatalogSourceSelectorTask)
sourceSelectorRegistry.register("science", ScienceSourceSelectorTask)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenByTask(AbstractSelector):
    """A subtask, the user's own or one of these, as a selector of the core.

    Attributes
    ----------
    task
        Its ``run(sources, reference)`` returns ``selected``.
    """

    task: Any

    def chosen(self, sources: SourceList, reference: ReferenceList | None) -> BoolArray:
        """What the task selects."""
        return np.asarray(self.task.run(sources, reference).selected, dtype=np.bool_)
