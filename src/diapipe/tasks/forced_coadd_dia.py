"""ForcedPhotCoaddDiaTask: the DIA objects of a patch measured on its template."""

from __future__ import annotations

from typing import Any

from astropy.table import Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.dia_objects import check_dia_objects
from diapipe.images import Exposure
from diapipe.tasks.connections import EXPOSURE, TABLE
from diapipe.tasks.fields import idle
from diapipe.tasks.forced_config import ForcedPhotConfig, copied_columns
from diapipe.tasks.named_connections import NamedConnections

_PATCH = ("skymap", "tract", "patch")


class ForcedPhotCoaddDiaConnections(NamedConnections, dimensions=(*_PATCH, "band")):
    """Datasets of forced photometry at DIA objects on a template."""

    coaddExposure: Any = Input(
        doc="The template of the patch.", name="template_coadd", storageClass=EXPOSURE, dimensions=(*_PATCH, "band")
    )
    diaObjects: Any = Input(doc="The objects of the patch.", name="dia_object", storageClass=TABLE, dimensions=_PATCH)
    forcedSources: Any = Output(
        doc="A row for each object.",
        name="dia_object_forced_template",
        storageClass=TABLE,
        dimensions=(*_PATCH, "band"),
    )


class ForcedPhotCoaddDiaConfig(PipelineTaskConfig, ForcedPhotConfig, pipelineConnections=ForcedPhotCoaddDiaConnections):
    """Config of forced photometry at DIA objects on a template."""

    copyColumns: Any = copied_columns(
        {name: name for name in ("diaObjectId", "ra", "dec")}, of="the table of DIA objects"
    )
    psfCache: Any = idle(100, "PSFs that were kept.", "the PSF is computed on a lattice, once")

    def setDefaults(self) -> None:
        """PSF fluxes alone, as ``dia_pipe`` measured them."""
        PipelineTaskConfig.setDefaults(self)
        self.apertureRadii, self.doLocalBackground = [], False


class ForcedPhotCoaddDiaTask(PipelineTask):
    """Measure all DIA objects of a patch on its template in one band."""

    config: Any
    ConfigClass = ForcedPhotCoaddDiaConfig
    _DefaultName = "forcedPhotCoaddDia"
    follows_inputs = True

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read, measure, write."""
        given = butlerQC.get(inputRefs)
        dataId = butlerQC.quantum.dataId
        found = self.run(
            given["diaObjects"],
            given["coaddExposure"],
            tract=int(dataId["tract"]),
            patch=int(dataId["patch"]),
            band=str(dataId["band"]),
        )
        butlerQC.put(found, outputRefs)

    def run(self, diaObjects: Table, coaddExposure: Exposure, *, tract: int, patch: int, band: str) -> Struct:
        """Measure.

        Parameters
        ----------
        diaObjects
            Of the patch; it may have no rows.
        coaddExposure
            Its template.
        tract, patch, band
            Of the template.

        Returns
        -------
        Struct
            ``forcedSources``: a row for each object, flagged where the template has no pixels.

        Raises
        ------
        InputError
            If the table lacks a column, has an object twice or one without a position.
        """
        check_dia_objects(diaObjects)
        key = {"tract": tract, "patch": patch, "band": band}
        found = self.config.measured(diaObjects, coaddExposure, name="the table of DIA objects", **key)
        self.metadata["nForcedSources"] = len(found)
        return Struct(forcedSources=self.config.finished([found]))
