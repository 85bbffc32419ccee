"""ForcedPhotCcdDiaTask: the DIA objects measured on the difference of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.tables import stacked
from diapipe.errors import NoWorkError
from diapipe.images import Difference, Exposure
from diapipe.steps.force import Force, forced_sources
from diapipe.tasks.connections import DETECTOR, EXPOSURE, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import options_of
from diapipe.tasks.forced_config import (
    ForcedPhotCcdConnections,
    OlderForcedConfig,
    refuse_missing,
    skip_missing,
)
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.scaled import scaled

_PLACE = ("diaObjectId", "ra", "dec")


class ForcedPhotCcdDiaConnections(ForcedPhotCcdConnections, dimensions=DETECTOR):
    """Datasets of forced photometry on a difference."""

    exposure: Any = Input(
        doc="The science image, to measure it too.",
        name="visit_image",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
        minimum=0,
    )
    visitSummary: Any = Input(
        doc="A row for each detector, with its final flux scale.",
        name="visit_summary",
        storageClass=TABLE,
        dimensions=("instrument", "visit"),
        minimum=0,
    )
    diaObjects: Any = Input(
        doc="Objects of each patch that the detector touches.",
        name="dia_object",
        storageClass=TABLE,
        dimensions=("skymap", "tract", "patch"),
        multiple=True,
    )
    forcedSources: Any = Output(
        doc="A row for each object on the detector.",
        name="dia_object_forced_source_detector",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        if not config.doScience:
            del self.exposure, self.visitSummary


class ForcedPhotCcdDiaConfig(PipelineTaskConfig, OlderForcedConfig, pipelineConnections=ForcedPhotCcdDiaConnections):
    """Config of forced photometry on a difference."""

    coaddName: Any = coadd_name()
    skipMissing: Any = skip_missing()
    doScience: Any = Field(dtype=bool, default=True, doc="Measure the science image too.")


class ForcedPhotCcdDiaTask(PipelineTask):
    """Measure the DIA objects on a detector, found there or not."""

    config: Any
    ConfigClass = ForcedPhotCcdDiaConfig
    _DefaultName = "forcedPhotCcdDia"
    follows_inputs = True

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read, measure, write."""
        given = butlerQC.get(inputRefs)
        science, summary = given.get("exposure"), given.get("visitSummary")
        found = [(ref.dataId["tract"], ref.dataId["patch"]) for ref in inputRefs.diaObjects]
        for sky_map in given.get("skyMap", ()):
            refuse_missing(found, given["difference"].exposure, sky_map, what="table of objects")
        with no_work_found(self.metadata):
            if science is not None and summary is not None:
                science = scaled(science, summary)
            butlerQC.put(self.run(given["diaObjects"], given["difference"], science), outputRefs)

    def run(self, diaObjects: Sequence[Table], difference: Difference, exposure: Exposure | None = None) -> Struct:
        """Measure.

        Parameters
        ----------
        diaObjects
            Of the patches that the detector touches.
        difference
            Science minus template.
        exposure
            The science image, on its final flux scale.

        Returns
        -------
        Struct
            ``forcedSources``: a row for each object on the image; it may have none.

        Raises
        ------
        NoWorkError
            If there is no table of objects.
        """
        if not diaObjects:
            raise NoWorkError("there are no objects: no patch that the detector touches has a table of them")
        for table in diaObjects:
            need_columns(table, _PLACE, name="a table of DIA objects")
        places = [table[_PLACE] for table in diaObjects]
        objects = self._each_once(stacked(places, name="DIA objects"))
        options = options_of(self.config, Force)
        found = forced_sources(objects, difference, science=exposure, options=options)
        self.metadata["nForcedSources"] = len(found)
        return Struct(forcedSources=found)

    def _each_once(self, objects: Table) -> Table:
        """Objects without repetition: two patches have one that moved over their border between their associations."""
        once = objects[np.unique(np.asarray(objects["diaObjectId"]), return_index=True)[1]]
        if len(once) < len(objects):
            told = "%d objects are in the tables of two patches, associated at different times; each is measured once"
            self.log.warning(told, len(objects) - len(once))
        return once
