"""CombineDiaForcedTask: the forced fluxes of all visits, patch by patch: the light curves of its objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import ListField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.dia_objects import dia_forced_source_table, need_columns
from diapipe.catalogs.tables import stacked
from diapipe.numerics.arrays import BoolArray, IntArray
from diapipe.steps.summarize.objects import with_forced_fluxes
from diapipe.steps.summarize.template_fluxes import objects_with_template_fluxes, with_template_fluxes
from diapipe.tasks.connections import TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.named_connections import NamedConnections

_PATCH = ("skymap", "tract", "patch")

ORDER = ("diaObjectId", "midpointMjdTai", "diaForcedSourceId")
"""In which light curves are written; no two rows agree in all three."""


class CombineDiaForcedConnections(NamedConnections, dimensions=_PATCH):
    """Datasets of the light curves of a patch."""

    diaObjects: Any = Input(doc="The objects of the patch.", name="dia_object", storageClass=TABLE, dimensions=_PATCH)
    forcedSources: Any = Input(
        doc="Fluxes of objects on each detector that touches the patch.",
        name="dia_object_forced_source_detector",
        storageClass=TABLE,
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    onTemplates: Any = Input(
        doc="Fluxes of the objects on the template of each band.",
        name="dia_object_forced_template",
        storageClass=TABLE,
        dimensions=(*_PATCH, "band"),
        multiple=True,
        minimum=0,
    )
    combined: Any = Output(
        doc="All fluxes of the patch's objects, by object and time.",
        name="dia_object_forced_source",
        storageClass=TABLE,
        dimensions=_PATCH,
    )
    summaries: Any = Output(
        doc="The objects, with the means of their forced fluxes.",
        name="dia_object_summary",
        storageClass=TABLE,
        dimensions=_PATCH,
    )


class CombineDiaForcedConfig(PipelineTaskConfig, pipelineConnections=CombineDiaForcedConnections):
    """Config of the light curves of a patch."""

    coaddName: Any = coadd_name()
    onlyBands: Any = ListField(doc="Bands to take; empty for all.", dtype=str, default=[])


class CombineDiaForcedTask(PipelineTask):
    """Gather the light curves of a patch's objects."""

    config: Any
    ConfigClass = CombineDiaForcedConfig
    _DefaultName = "combineDiaForced"
    follows_inputs = True

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the tables of the detectors one by one, write those of the patch."""
        handles = sorted(
            (butlerQC.get(ref) for ref in inputRefs.forcedSources if self._takes(ref.dataId)),
            key=lambda handle: (int(handle.dataId["visit"]), int(handle.dataId["detector"])),
        )
        tables = (handle.get() for handle in handles)
        on_templates = (butlerQC.get(ref) for ref in inputRefs.onTemplates if self._takes(ref.dataId))
        known = [table for table in on_templates if "psfFlux" in table.colnames]  # not by names of dia_pipe
        butlerQC.put(self.run(butlerQC.get(inputRefs.diaObjects), tables, known), outputRefs)

    def _takes(self, dataId: Any) -> bool:
        """Whether the fluxes of an image, or of a template, are wanted."""
        return not self.config.onlyBands or dataId["band"] in self.config.onlyBands

    def run(self, diaObjects: Table, forcedSources: Iterable[Table], onTemplates: Sequence[Table] = ()) -> Struct:
        """Gather.

        Parameters
        ----------
        diaObjects
            Of the patch.
        forcedSources
            Of one detector each; rows of objects of other patches are left to those.
        onTemplates
            Fluxes of the objects on the template of one band each, which go beside those on the differences.

        Returns
        -------
        Struct
            ``combined`` and ``summaries``.
        """
        need_columns(diaObjects, ("diaObjectId",), name="the table of DIA objects")
        ids = np.asarray(diaObjects["diaObjectId"])
        tables = [_rows_of(ids, table) for table in forcedSources]
        combined = stacked(tables or [dia_forced_source_table({}, n=0)], name="forced sources")
        combined.sort(list(ORDER))
        combined = combined[_is_first(combined)]
        self.metadata["nForcedSources"] = len(combined)
        summaries = objects_with_template_fluxes(with_forced_fluxes(diaObjects, combined), onTemplates)
        return Struct(combined=with_template_fluxes(combined, onTemplates), summaries=summaries)


def _rows_of(ids: IntArray, table: Table) -> Table:
    """The rows of these objects."""
    need_columns(table, (*ORDER, "band", "psfFlux", "psfFluxErr"), name="a table of forced sources")
    return table[np.isin(np.asarray(table["diaObjectId"]), ids)]


def _is_first(ordered: Table) -> BoolArray:
    """Whether a row is not the measurement of the row before it, as of a detector that was given twice."""
    first = np.ones(len(ordered), np.bool_)
    keys = [np.asarray(ordered[name]) for name in ORDER]
    first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return first
