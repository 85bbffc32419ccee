"""Subtasks that make the template: from patches of one tract or of all, from parts of a band, from one other visit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from astropy.table import Table
from lsst.pex.config import Field
from lsst.pipe.base import Struct, Task

from diapipe.images import Exposure, add_background
from diapipe.steps.template import Dcr, MultiTract, OneVisit, SingleTract, WienerWarp, template_for
from diapipe.steps.template.gather import AbstractTemplate, TemplateInput
from diapipe.tasks.connections import COADDS, READY, SUBFILTERS, VISIT
from diapipe.tasks.fields import OptionConfig, fixed, idle, option, options_of


def _coadd_name() -> Any:
    doc = "Kind of coadd; that of the main task where left out, and no other."
    return Field(dtype=str, default=None, optional=True, doc=doc)


class GetTemplateConfig(OptionConfig):
    """What all ways to get a template have."""

    def algorithm(self, warp: WienerWarp) -> AbstractTemplate:
        """The algorithm of the core."""
        raise NotImplementedError


class GetCoaddAsTemplateConfig(GetTemplateConfig):
    """Config of the template of one tract."""

    coaddName: Any = _coadd_name()
    templateBorderSize: Any = option(SingleTract, "border_px")
    featherSize: Any = option(SingleTract, "feather_px")
    warpType: Any = idle("direct", "Kind of warps that the coadds are made of.", "the coadds are given")

    def algorithm(self, warp: WienerWarp) -> AbstractTemplate:
        """Patches of the tract in charge."""
        return options_of(self, SingleTract, warp=warp)


class GetCoaddAsMultiTractTemplateConfig(GetTemplateConfig):
    """Config of the template of all tracts."""

    coaddName: Any = _coadd_name()
    templateBorderSize: Any = option(MultiTract, "border_px")
    featherSize: Any = option(MultiTract, "feather_px")
    warpType: Any = idle("direct", "Kind of warps that the coadds are made of.", "the coadds are given")
    statistic: Any = fixed(
        "MEAN", "How overlapping tracts are combined.", "their weighted mean has the variance that is told"
    )

    def algorithm(self, warp: WienerWarp) -> AbstractTemplate:
        """Patches of all tracts, blended."""
        return options_of(self, MultiTract, warp=warp)


class GetDcrAsTemplateConfig(GetTemplateConfig):
    """Config of the template whose colours stand where the air puts them."""

    coaddName: Any = _coadd_name()
    templateBorderSize: Any = option(Dcr, "border_px")
    featherSize: Any = option(Dcr, "feather_px")
    numSubfilters: Any = option(Dcr, "n_subfilters")
    effectiveWavelength: Any = option(Dcr, "effective_wavelength_nm")
    bandwidth: Any = option(Dcr, "bandwidth_nm")

    def algorithm(self, warp: WienerWarp) -> AbstractTemplate:
        """Coadds of the parts of the band, displaced."""
        return options_of(self, Dcr, warp=warp)


class GetCalexpAsTemplateConfig(GetTemplateConfig):
    """Config of another visit as the template."""

    doAddCalexpBackground: Any = Field(
        dtype=bool, default=True, doc="Give it its sky back, where that is given; it is then found anew."
    )
    templateBorderSize: Any = option(OneVisit, "border_px")
    templateVisit: Any = Field(
        dtype=int, default=None, optional=True, doc="Number of that visit, of which the same detector is taken."
    )

    def algorithm(self, warp: WienerWarp) -> AbstractTemplate:
        """One exposure."""
        return options_of(self, OneVisit, warp=warp)


class GetBuiltTemplateConfig(GetTemplateConfig):
    """Config of a finished template: nothing is left to choose."""


class GetTemplateTask(Task):
    """Make a template for a science image from what is given."""

    config: Any
    ConfigClass = GetTemplateConfig
    _DefaultName = "getTemplate"
    reads: ClassVar[str] = COADDS
    """Connection of the main task that has what the template is made of."""

    def run(
        self,
        exposure: Exposure,
        inputs: Iterable[TemplateInput],
        *,
        requiredTemplateFraction: float = 0.1,
        background: Any = None,
        sources: Table | None = None,
    ) -> Struct:
        """Make it.

        Parameters
        ----------
        exposure
            Science image: its box and WCS count.
        inputs
            `CoaddPatch` objects, or one exposure.
        requiredTemplateFraction
            Least part of the science image that must be covered.
        background
            Sky that was taken out of an exposure.
        sources
            Its sources, passed on.

        Returns
        -------
        Struct
            ``exposure``, on any grid, and ``sources``.

        Raises
        ------
        NoOverlapError
            If too little of the science image is covered.
        """
        given = list(inputs)
        if background is not None and getattr(self.config, "doAddCalexpBackground", False):
            given = [add_background(found, background) if isinstance(found, Exposure) else found for found in given]
        warp = WienerWarp(required_template_fraction=requiredTemplateFraction)
        template = template_for(exposure, given, algorithm=self.config.algorithm(warp))
        self.metadata["nInputs"] = len(given)
        return Struct(exposure=template, sources=sources)


class GetCoaddAsTemplateTask(GetTemplateTask):
    """The tract in charge of the middle of the science image gives the template."""

    ConfigClass = GetCoaddAsTemplateConfig


class GetCoaddAsMultiTractTemplateTask(GetTemplateTask):
    """All tracts that the science image touches give the template."""

    ConfigClass = GetCoaddAsMultiTractTemplateConfig


class GetDcrAsTemplateTask(GetTemplateTask):
    """Coadds of parts of the band give the template, displaced as the air displaces them."""

    ConfigClass = GetDcrAsTemplateConfig
    reads = SUBFILTERS


class GetCalexpAsTemplateTask(GetTemplateTask):
    """Another visit is the template."""

    ConfigClass = GetCalexpAsTemplateConfig
    reads = VISIT


class GetBuiltTemplateTask(GetTemplateTask):
    """The template was made before, by `BuildTemplateTask`."""

    ConfigClass = GetBuiltTemplateConfig
    reads = READY
