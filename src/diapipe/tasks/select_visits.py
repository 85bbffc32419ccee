"""SelectVisitsTask: which images the coadd of a patch is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from astropy.table import Table, vstack
from lsst.pex.config import ListField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.visit_images import VisitImages
from diapipe.images.sky_map import SkyMap
from diapipe.steps.coadd.selection import SELECTIONS
from diapipe.tasks.connections import PLAIN, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.retargetable import choice
from diapipe.tasks.visit_selectors import reasons_told, visitSelectorRegistry


class SelectVisitsConnections(NamedConnections, dimensions=("skymap", "tract", "patch", "band")):
    """Datasets of a choice: tables only, no pixels."""

    skyMap: Any = Input(
        doc="How the sky is cut into tracts and patches.", name="skyMap", storageClass=PLAIN, dimensions=("skymap",)
    )
    visitSummaries: Any = Input(
        doc="A row for each detector of the visits that may overlap the patch.",
        name="visit_summary",
        storageClass=TABLE,
        dimensions=("instrument", "visit"),
        multiple=True,
        deferLoad=True,
    )
    templateVisits: Any = Output(
        doc="A row for each detector: whether it is taken, and why not.",
        name="template_visits",
        storageClass=TABLE,
        dimensions=("skymap", "tract", "patch", "band"),
    )


class SelectVisitsConfig(PipelineTaskConfig, pipelineConnections=SelectVisitsConnections):
    """Config of a choice."""

    coaddName: Any = coadd_name()
    select: Any = choice(visitSelectorRegistry, doc="How the images are chosen.", default=SELECTIONS.default)
    visits: Any = ListField(dtype=int, default=None, optional=True, doc="Visits that may be taken; None is all.")
    excludeVisits: Any = ListField(
        dtype=int, default=[], doc="Visits that are kept out, before the best of the others are chosen."
    )


class SelectVisitsTask(PipelineTask):
    """Choose the images of the coadd of a patch by their visit summaries; no image is opened."""

    config: Any
    select: Any
    ConfigClass = SelectVisitsConfig
    _DefaultName = "selectVisits"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.makeSubtask("select")

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the tables of the visits, write one row for each of their detectors."""
        dataId = butlerQC.quantum.dataId
        summaries = (butlerQC.get(ref).get() for ref in inputRefs.visitSummaries)
        sky_map = butlerQC.get(inputRefs.skyMap)
        found = self.run(summaries, sky_map, tract=dataId["tract"], patch=dataId["patch"], band=dataId["band"])
        butlerQC.put(found, outputRefs)

    def run(
        self, visitSummaries: Iterable[Table], skyMap: SkyMap | Mapping[str, Any], *, tract: int, patch: int, band: str
    ) -> Struct:
        """Choose.

        Parameters
        ----------
        visitSummaries
            Of the visits that may overlap the patch.
        skyMap
            The map, or the parameters of one.
        tract, patch
            Numbers of the tract and of the patch in it.
        band
            Name of the band.

        Returns
        -------
        Struct
            ``templateVisits``. It may have no image that was taken: the coadd then finds no work.
        """
        sky_map = SkyMap.of(skyMap)
        images = VisitImages(vstack(list(visitSummaries), metadata_conflicts="silent"))
        visits = None if self.config.visits is None else list(self.config.visits)
        found = self.select.run(
            images,
            sky_map.tract(tract),
            patch,
            band=band,
            visits=visits,
            excludeVisits=tuple(self.config.excludeVisits),
        )
        self.log.info("tract %d, patch %d, band %s: %s", tract, patch, band, reasons_told(found.templateVisits))
        return Struct(templateVisits=found.templateVisits)
