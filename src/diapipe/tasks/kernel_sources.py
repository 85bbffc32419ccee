"""Which sources make the kernel, as the fields of `ImageDifferenceConfig` say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from astropy.table import Table

from diapipe.catalogs.source_tables import source_list, source_table
from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.catalogs.stars import StarList
from diapipe.errors import UsageError
from diapipe.images.sky import icrs_of
from diapipe.steps.characterize import Characterized
from diapipe.steps.select import KernelSources, Selection, measured_sources, select
from diapipe.steps.select.selection import Extra
from diapipe.tasks.known import is_known
from diapipe.tasks.source_selectors import ChosenByTask

REFERENCE_CURE = "give it as ImageDifferenceTask(refCatalog=table), or to the repository by `diapipe refcat`"


class ChosenSources(NamedTuple):
    """Stars for the match; the selection that they come from, and its table, where the configuration asked for one."""

    stars: StarList
    selection: Selection | None = None
    table: Table | None = None


def kernel_source_options(config: Any) -> KernelSources:
    """The options of the core that the fields of `ImageDifferenceConfig` stand for.

    Raises
    ------
    UsageError
        If one is out of range.
    """
    extra: list[Extra] = ["colour-extreme"] if config.doSelectDcrCatalog else []
    extra += ["variable"] if config.doSelectVariableCatalog else []
    return KernelSources(
        matched_to="nothing" if config.kernelSourcesFromRef else "template",
        control_step=config.controlStepSize,
        control_seed=config.controlRandomSeed,
        extra_controls=tuple(extra),
        catalogue=config.sourceSelector["diacatalog"].selector(),
    )


def sources_of(
    image: Characterized, table: Table | None, *, flux: str = "", name: str, registered: bool = False
) -> SourceList:
    """Sources of an image: those of the table, or the ones that were found on it.

    Of an image whose WCS was ``registered`` after the table was made, the places on the sky follow from the pixels.
    """
    exposure = image.exposure
    if table is None:
        return measured_sources(exposure, image.stars)
    sources = source_list(table, wcs=exposure.wcs, flux=flux, name=name)
    if is_known(exposure, table):  # row by row what is in ``image.stars``; its table keeps few of the flags
        sources = replace(sources, flags={**measured_sources(exposure, image.stars).flags, **sources.flags})
    if registered:
        ra, dec = icrs_of(exposure.wcs, sources.x, sources.y)
        sources = replace(sources, ra=ra, dec=dec)
    return sources


def choose(
    task: Any,
    science: Characterized,
    template: Characterized,
    *,
    selectSources: Table | None,
    templateSources: Table | None,
    reference: ReferenceList | None,
    registered: bool = False,
) -> ChosenSources:
    """The sources of the kernel by ``sourceSelector``, some of them kept as a control.

    Parameters
    ----------
    task
        `ImageDifferenceTask`.
    science, template
        As characterized.
    selectSources, templateSources
        Their sources, found on the images where left out.
    reference
        Catalogue, where one was given.
    registered
        Whether the template has a WCS that its table does not know of.

    Raises
    ------
    UsageError
        If the configuration needs a reference catalogue and none was given.
    """
    config = task.config
    for field in ("kernelSourcesFromRef", "doSelectDcrCatalog", "doSelectVariableCatalog"):
        if getattr(config, field) and reference is None:
            raise UsageError(f"{field} = True needs a reference catalogue: {REFERENCE_CURE}")
    flux = getattr(task.sourceSelector.config, "flux", "")
    sources = sources_of(science, selectSources, flux=flux, name="selectSources")
    n_all = len(sources)
    if config.kernelSourcesFromRef:
        sources = sources.select(task.astrometer.run(sources, reference).entry >= 0)
    selection = select(
        sources,
        selector=ChosenByTask(task=task.sourceSelector),
        template_sources=None
        if config.kernelSourcesFromRef
        else sources_of(template, templateSources, name="templateSources", registered=registered),
        reference=reference,
        options=kernel_source_options(config),
    )
    task.metadata["nKernelSources"] = len(selection.kernel)
    task.metadata["nControlSources"] = len(selection.control)
    task.log.info(
        "%d of %d sources make the kernel, %d are its control", len(selection.kernel), n_all, len(selection.control)
    )
    table = source_table(sources) if selectSources is None else selectSources
    return ChosenSources(selection.kernel_sources.stars(), selection, table)
