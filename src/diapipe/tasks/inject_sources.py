"""InjectSourcesTask: sources of known truth are put into visit images, beside the images as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Column, Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.images import Exposure
from diapipe.images.calibrated import flux_scale
from diapipe.steps.inject import Injection, choose, inject
from diapipe.tasks.characterize import identified
from diapipe.tasks.connections import DETECTOR, EXPOSURE, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, option, options_of
from diapipe.tasks.injected_names import INJECTED
from diapipe.tasks.known import known
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.scaled import final_scale, scaled


class InjectSourcesConnections(NamedConnections, dimensions=DETECTOR, defaultTemplates={"fakesType": INJECTED}):
    """Datasets of an injection."""

    visitImage: Any = Input(doc="The image as it is.", name="visit_image", storageClass=EXPOSURE, dimensions=DETECTOR)
    stars: Any = Input(
        doc="Its sources: hosts, and stars that are made to vary.",
        name="single_visit_star",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )
    visitSummary: Any = Input(
        doc="A row for each detector, with its final flux scale.",
        name="visit_summary",
        storageClass=TABLE,
        dimensions=("instrument", "visit"),
    )
    injectedImage: Any = Output(
        doc="The image with sources put into it, in its own unit.",
        name="{fakesType}visit_image",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
    )
    injectedSources: Any = Output(
        doc="What was put in, fluxes in nJy.", name="{fakesType}source", storageClass=TABLE, dimensions=DETECTOR
    )


class InjectSourcesConfig(PipelineTaskConfig, OptionConfig, pipelineConnections=InjectSourcesConnections):
    """Config of an injection: the recipe of `diapipe.steps.inject.Injection`, without what fades."""

    coaddName: Any = coadd_name()
    areaFwhm2: Any = option(Injection, "area_fwhm2")
    hosted: Any = option(Injection, "hosted")
    variable: Any = option(Injection, "variable")
    trailed: Any = option(Injection, "trailed")
    minSnr: Any = option(Injection, "min_snr")
    maxSnr: Any = option(Injection, "max_snr")
    maxTrailFwhm: Any = option(Injection, "max_trail_fwhm")
    separationFwhm: Any = option(Injection, "separation_fwhm")
    seed: Any = option(Injection, "seed")


class InjectSourcesTask(PipelineTask):
    """Put sources of known truth into a visit image.

    All of them brighten: the templates stay as they are, so that nothing fades.
    """

    config: Any
    ConfigClass = InjectSourcesConfig
    _DefaultName = "injectSources"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read, inject, write."""
        given = butlerQC.get(inputRefs)
        given["visitImage"] = identified(given["visitImage"], butlerQC.quantum.dataId)
        with no_work_found(self.metadata):
            butlerQC.put(self.run(**given), outputRefs)

    def run(self, visitImage: Exposure, stars: Table, visitSummary: Table) -> Struct:
        """Inject.

        Parameters
        ----------
        visitImage
            With the numbers of its visit and detector, from which, with ``seed``, places and fluxes follow.
        stars
            Its ``single_visit_star``.
        visitSummary
            Of its visit.

        Returns
        -------
        Struct
            ``injectedImage``, and ``injectedSources``: columns of `diapipe.catalogs.injections.INJECTION`, fluxes in
            nJy, and ``nJyPerCount``, which made them of what was added to the pixels.

        Raises
        ------
        InputError
            If these are not the image and the table that `CharacterizeTask` writes.
        NoWorkError
            If the visit is not on the photometric scale.
        """
        found = known(visitImage, stars)
        options, info = options_of(self.config, Injection, faded=0.0), visitImage.info
        rng = np.random.default_rng([options.seed, info.visit, info.detector])
        sources = choose(found.exposure, found.stars, options=options, rng=rng)
        self.metadata["nInjected"] = len(sources)
        return Struct(
            injectedImage=inject(visitImage, sources, rng=rng),
            injectedSources=_in_njy(sources, visitImage, visitSummary),
        )


def _in_njy(sources: Table, exposure: Exposure, visitSummary: Table) -> Table:
    """Sources in the unit of an image, with their fluxes on its final scale."""
    if exposure.unit == "nJy":
        scale = np.full(len(sources), final_scale(exposure.info, visitSummary).mean)
    else:
        scale = flux_scale(scaled(exposure, visitSummary), x=np.asarray(sources["x"]), y=np.asarray(sources["y"]))
    table = Table(sources, copy=True)
    for name in ("flux", "static_flux"):
        table[name] = Column(np.asarray(sources[name], dtype=np.float64) * scale, unit="nJy")
    table["nJyPerCount"] = scale
    return table
