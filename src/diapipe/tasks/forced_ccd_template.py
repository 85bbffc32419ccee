"""ForcedPhotCcdTemplateDiaTask: the sources of the template measured on the difference of a detector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.old_forced_columns import in_newer_names
from diapipe.catalogs.parents import without_orphans
from diapipe.errors import InputError, NoWorkError
from diapipe.images import Difference
from diapipe.images.sky import are_on, pixels_of_icrs
from diapipe.numerics.static_flux_error import error_with_static_light
from diapipe.steps.force import TEMPLATE_APERTURES_PX, aperture_name
from diapipe.tasks.connections import DETECTOR, TABLE
from diapipe.tasks.forced_config import (
    ForcedPhotCcdConnections,
    ForcedPhotConfig,
    copied_columns,
    of_image,
    refuse_missing,
    skip_missing,
)
from diapipe.tasks.no_work import no_work_found

_FLUXES = ("psfFlux", *map(aperture_name, TEMPLATE_APERTURES_PX))
_SAME = ("objectId", "parentObjectId", "ra", "dec", "detect_isPrimary")


class ForcedPhotCcdTemplateDiaConnections(ForcedPhotCcdConnections, dimensions=DETECTOR):
    """Datasets of forced photometry at the sources of the template."""

    templateObjects: Any = Input(
        doc="Sources of the template, in the band of the visit, of each patch that the detector touches.",
        name="template_object",
        storageClass=TABLE,
        dimensions=("skymap", "tract", "patch", "band"),
        multiple=True,
    )
    forcedSources: Any = Output(
        doc="A row for each of them on the detector.",
        name="template_object_forced_source",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )


class ForcedPhotCcdTemplateDiaConfig(
    PipelineTaskConfig, ForcedPhotConfig, pipelineConnections=ForcedPhotCcdTemplateDiaConnections
):
    """Config of forced photometry at the sources of the template."""

    skipMissing: Any = skip_missing()
    copyColumns: Any = copied_columns(
        {name: name for name in _SAME}
        | {f"{flux}{end}": f"template_{flux}{end}" for flux in _FLUXES for end in ("", "Err")},
        of="the template's catalogue",
    )


class ForcedPhotCcdTemplateDiaTask(PipelineTask):
    """Measure a difference at the places of the template's sources: what changed there, and how well it subtracts.

    Each patch is measured by itself: a source that two patches have is fitted together with the neighbours that either
    has, never with itself. ``detect_isPrimary`` tells which of its rows to count.
    """

    config: Any
    ConfigClass = ForcedPhotCcdTemplateDiaConfig
    _DefaultName = "forcedPhotCcdTemplateDia"
    follows_inputs = True

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read, measure, write."""
        refs = {(ref.dataId["tract"], ref.dataId["patch"]): ref for ref in inputRefs.templateObjects}
        difference = butlerQC.get(inputRefs.difference)
        if not self.config.skipMissing:
            for sky_map in butlerQC.get(inputRefs.skyMap):
                refuse_missing(refs, difference.exposure, sky_map, what="catalogue of the template")
        tables = (butlerQC.get(ref) for _, ref in sorted(refs.items()))
        with no_work_found(self.metadata):
            found = self.run(tables, difference)
        butlerQC.put(found, outputRefs)

    def run(self, templateObjects: Iterable[Table], difference: Difference) -> Struct:
        """Measure.

        Parameters
        ----------
        templateObjects
            Of one patch each, in the band of the difference; the names of afw tables are understood.
        difference
            Science minus template.

        Returns
        -------
        Struct
            ``forcedSources``: a row for each source on the image whose parent, if it has one, is there too; parents
            first, then children by parent, patch by patch. It may have no rows.

        Raises
        ------
        InputError
            If a table lacks a column, or the difference has no WCS.
        NoWorkError
            If there is no table.
        """
        exposure = difference.exposure
        if exposure.wcs is None:
            raise InputError(f"{exposure.name} has no WCS; forced photometry at sources of the template needs one")
        name, tables, orphans = "the template's catalogue", [], 0
        for table in map(in_newer_names, templateObjects):
            need_columns(table, ("objectId", "parentObjectId", "ra", "dec"), name=name)
            ra, dec = (np.asarray(table[column], np.float64) for column in ("ra", "dec"))
            here = table[are_on(exposure.box, exposure.wcs, ra=ra, dec=dec)]
            kept = without_orphans(here, id="objectId", parent="parentObjectId")
            orphans += len(here) - len(kept)
            tables.append(self._measured(kept, difference, name=name))
        if not tables:
            raise NoWorkError("the template has no catalogue in this band: no patch that the detector touches has one")
        self.metadata["nForcedSources"], self.metadata["nOrphans"] = sum(map(len, tables)), orphans
        return Struct(forcedSources=self.config.finished(tables))

    def _measured(self, table: Table, difference: Difference, *, name: str) -> Table:
        """The sources of one patch, with what the difference leaves of their own light in the errors."""
        exposure = difference.exposure
        found = self.config.measured(table, exposure, name=name, **of_image(exposure.info))
        if "psfFlux" in table.colnames:
            assert exposure.wcs is not None
            x, y = pixels_of_icrs(exposure.wcs, *(np.asarray(table[name], np.float64) for name in ("ra", "dec")))
            found["psfFluxErr"][:] = error_with_static_light(
                np.asarray(found["psfFluxErr"], np.float64),
                static_flux=np.asarray(table["psfFlux"], np.float64),
                relative_error=difference.static_error_at(x=x, y=y),
            )
        return found
