"""MakeWarpTask: the detectors of a visit on the pixels of a patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import ConfigField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.errors import NoWorkError
from diapipe.images import Box, Exposure, Tract
from diapipe.images.sky_map import SkyMap
from diapipe.steps.coadd import VisitDetector, warp_visit
from diapipe.tasks.connections import EXPOSURE, PLAIN, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.scaled import scaled
from diapipe.tasks.subtract_config import WarpingConfig

_PATCH = ("skymap", "tract", "patch")


class MakeWarpConnections(NamedConnections, dimensions=("instrument", "visit", *_PATCH)):
    """Datasets of a warp."""

    visitImages: Any = Input(
        doc="Detectors of the visit, less their sky; of each only what lies on the patch is read.",
        name="visit_image",
        storageClass=EXPOSURE,
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    visitSummary: Any = Input(
        doc="A row for each detector, with its final flux scale.",
        name="visit_summary",
        storageClass=TABLE,
        dimensions=("instrument", "visit"),
    )
    templateVisits: Any = Input(
        doc="Which detectors of which visits make the template of the patch.",
        name="template_visits",
        storageClass=TABLE,
        dimensions=(*_PATCH, "band"),
    )
    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches.", name="skyMap", storageClass=PLAIN, dimensions=("skymap",)
    )
    warp: Any = Output(
        doc="The visit on the pixels of the patch, in nJy.",
        name="template_warp",
        storageClass=EXPOSURE,
        dimensions=("instrument", "visit", *_PATCH),
    )


class MakeWarpConfig(PipelineTaskConfig, pipelineConnections=MakeWarpConnections):
    """Config of a warp."""

    coaddName: Any = coadd_name()
    warpingConfig: Any = ConfigField(doc="How images are interpolated.", dtype=WarpingConfig)


class MakeWarpTask(PipelineTask):
    """Bring the selected detectors of a visit on to a patch, on one flux scale, by one interpolation."""

    config: Any
    ConfigClass = MakeWarpConfig
    _DefaultName = "makeWarp"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Find the selected detectors, read of each what lies on the patch, write."""
        dataId = butlerQC.quantum.dataId
        tract = SkyMap.from_dict(butlerQC.get(inputRefs.skyMap)).tract(int(dataId["tract"]))
        visits, summary = butlerQC.get(inputRefs.templateVisits), butlerQC.get(inputRefs.visitSummary)
        handles = [butlerQC.get(ref) for ref in inputRefs.visitImages]
        with no_work_found(self.metadata):
            numbers = self.detectors(visits, summary, visit=int(dataId["visit"]), instrument=dataId["instrument"])
            chosen = [handle for handle in handles if int(handle.dataId["detector"]) in numbers]
            outputs = self.run(
                (_detector(handle, summary) for handle in chosen), tract=tract, patch=int(dataId["patch"])
            )
        butlerQC.put(outputs, outputRefs)

    def detectors(self, visits: Table, summary: Table, *, visit: int, instrument: str) -> set[int]:
        """Numbers of the detectors of a visit that are selected and on the flux scale.

        Raises
        ------
        NoWorkError
            If there are none.
        """
        rows = visits[(np.asarray(visits["visit"]) == visit) & (np.asarray(visits["instrument"]) == instrument)]
        selected = {int(row["detector"]) for row in rows if row["selected"]}
        if not selected:
            said = {str(reason) for reason in rows["reason"]} - {""} if "reason" in rows.colnames else set()
            why = f": {', '.join(sorted(said))}" if said else ""
            raise NoWorkError(f"visit {visit} is not selected for the template of this patch{why}", visit=visit)
        known = {int(row["id"]) for row in summary if row["nJyPerCount"] > 0}
        for number in sorted(selected - known):
            self.log.warning("visit %d, detector %d is not on the photometric scale and left out", visit, number)
        if not selected & known:
            raise NoWorkError(f"no selected detector of visit {visit} is on the photometric scale", visit=visit)
        return selected & known

    def run(self, detectors: Iterable[VisitDetector], *, tract: Tract, patch: int) -> Struct:
        """Make the warp.

        Parameters
        ----------
        detectors
            Of one visit, less their sky, calibrated.
        tract, patch
            Where to.

        Returns
        -------
        Struct
            ``warp``, on the part of the patch's outer box that the visit reaches.

        Raises
        ------
        NoOverlapError
            If no detector has a usable pixel there.
        """
        warp = warp_visit(
            detectors,
            box=tract.patch(patch).outer,
            wcs=tract.wcs,
            warp=self.config.warpingConfig.warp(requiredTemplateFraction=0.0),
            name=f"warp on to patch {patch} of tract {tract.id}",
        )
        usable = warp.masked_image.usable()
        self.metadata["nPixels"], self.metadata["usableFraction"] = int(usable.size), float(usable.mean())
        return Struct(warp=warp)


def _detector(handle: Any, summary: Table) -> VisitDetector:
    """A detector of the repository, read when its place on the patch is known."""

    def read(box: Box) -> Exposure:
        return scaled(handle.get(parameters={"bbox": box}), summary)

    numbers = handle.dataId
    return VisitDetector(
        name=f"visit {numbers['visit']}, detector {numbers['detector']}",
        box=handle.get(component="bbox"),
        wcs=handle.get(component="wcs"),
        read=read,
    )
