"""VisitSummaryTask: one row for each detector of a visit, from which visits are chosen and scaled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.visit_summaries import visit_summary
from diapipe.tasks.characterize import WITH_METADATA, summary_of
from diapipe.tasks.connections import TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.named_connections import NamedConnections

SCALE_COLUMNS = ("nJyPerCount", "nJyPerCountErr", "isAbsolute", "component")
"""What a row of ``visit_summary`` takes from ``photometric_scale``."""


class VisitSummaryConnections(NamedConnections, dimensions=("instrument", "visit")):
    """Datasets of a visit summary: tables only, no pixels."""

    stars: Any = Input(
        doc="Sources of each detector, with what `CharacterizeTask` found of its image.",
        name="single_visit_star",
        storageClass=TABLE,
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    photometricScale: Any = Input(
        doc="Flux of a count, detector by detector of all visits; without it the calibrations of the files count.",
        name="photometric_scale",
        storageClass=TABLE,
        dimensions=("instrument", "band"),
        minimum=0,
    )
    visitSummary: Any = Output(
        doc="A row for each detector.", name="visit_summary", storageClass=TABLE, dimensions=("instrument", "visit")
    )


class VisitSummaryConfig(PipelineTaskConfig, pipelineConnections=VisitSummaryConnections):
    """Config of a visit summary."""

    coaddName: Any = coadd_name()


class VisitSummaryTask(PipelineTask):
    """Gather what is known of the detectors of a visit, with the final photometric scale."""

    config: Any
    ConfigClass = VisitSummaryConfig
    _DefaultName = "visitSummary"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the tables of the detectors one after another, write one row for each."""
        rows = (summary_of(butlerQC.get(ref).get(parameters=WITH_METADATA)) for ref in inputRefs.stars)
        reference = getattr(inputRefs, "photometricScale", None)
        scale = None if reference is None else butlerQC.get(reference)
        dataId = butlerQC.quantum.dataId
        names = {"instrument": str(dataId["instrument"])}
        if dataId.hasFull():
            names["physicalFilter"] = str(dataId["physical_filter"])
        butlerQC.put(self.run(rows, scale, **names), outputRefs)

    def run(
        self,
        rows: Iterable[dict[str, Any]],
        scale: Table | None = None,
        *,
        instrument: str = "",
        physicalFilter: str = "",
    ) -> Struct:
        """Make the table.

        Parameters
        ----------
        rows
            What `diapipe.tasks.characterize.summary_of` takes from the stars of each detector.
        scale
            ``photometric_scale``; without it the calibration of each file is the final one.
        instrument, physicalFilter
            Names.

        Returns
        -------
        Struct
            ``visitSummary``.
        """
        names = {"instrument": instrument, "physical_filter": physicalFilter}
        found = [_with_scale(row | names, scale) for row in rows]
        return Struct(visitSummary=visit_summary(found))


def _with_scale(row: dict[str, Any], scale: Table | None) -> dict[str, Any]:
    """A row with the scale of its detector: that of the table, where there is one, NaN where it is not in it."""
    if scale is None:
        return row | {"isAbsolute": bool(np.isfinite(row["nJyPerCount"])), "component": -1}
    own = (np.asarray(scale["visit"]) == row["visit"]) & (np.asarray(scale["detector"]) == row["id"])
    if not own.any():
        return row | dict(zip(SCALE_COLUMNS, (np.nan, np.nan, False, -1), strict=True))
    at = int(np.flatnonzero(own)[0])
    return row | {name: np.ma.filled(scale[name][at : at + 1], 0)[0] for name in SCALE_COLUMNS}
