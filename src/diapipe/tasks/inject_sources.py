"""InjectSourcesTask: sources of known truth are put into visit images, beside the images as they are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from astropy.table import Column, Table
from lsst.pex.config import Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from diapipe.catalogs.injections import FLUXES
from diapipe.catalogs.tables import stacked
from diapipe.images import Exposure
from diapipe.images.calibrated import flux_scale
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.inject import Injection, Scale, choose, given_on, inject
from diapipe.tasks.characterize import identified
from diapipe.tasks.connections import DETECTOR, EXPOSURE, INJECTED, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, option, options_of
from diapipe.tasks.injected_names import CATALOG_DATASET
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
    catalog: Any = PrerequisiteInput(
        doc="Sources of the whole survey, columns of diapipe.catalogs.injection_catalog.CATALOG.",
        name=CATALOG_DATASET,
        storageClass=TABLE,
        dimensions=(),
        minimum=0,
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
    """Config of an injection: the recipe of `diapipe.steps.inject.Injection`, for what is chosen image by image."""

    coaddName: Any = coadd_name()
    doRecipe: Any = Field(
        dtype=bool, default=True, doc="Choose sources for each image, beside those of the catalogue, if there is one."
    )
    areaFwhm2: Any = option(Injection, "area_fwhm2")
    hosted: Any = option(Injection, "hosted")
    variable: Any = option(Injection, "variable")
    trailed: Any = option(Injection, "trailed")
    faded: Any = option(Injection, "faded")
    moving: Any = option(
        Injection, "moving", doc="Share of what crosses the sky; `diapipe inject` makes the catalogue by it."
    )
    maxRateArcsecH: Any = option(Injection, "max_rate_arcsec_h")
    minSnr: Any = option(Injection, "min_snr")
    maxSnr: Any = option(Injection, "max_snr")
    maxTrailFwhm: Any = option(Injection, "max_trail_fwhm")
    separationFwhm: Any = option(Injection, "separation_fwhm")
    seed: Any = option(Injection, "seed")


class InjectSourcesTask(PipelineTask):
    """Put sources of known truth into a visit image.

    What fades is listed only: the image difference puts it into the template that it makes for the image, where its
    connection ``injectedSources`` brings the list.
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

    def run(self, visitImage: Exposure, stars: Table, visitSummary: Table, catalog: Table | None = None) -> Struct:
        """Inject.

        Parameters
        ----------
        visitImage
            With the numbers of its visit and detector, from which, with ``seed``, places and fluxes follow.
        stars
            Its ``single_visit_star``.
        visitSummary
            Of its visit.
        catalog
            Sources of the whole survey, of which those on the image are put in.

        Returns
        -------
        Struct
            ``injectedImage``, and ``injectedSources``: columns of `diapipe.catalogs.injections.INJECTION`, fluxes in
            nJy, and ``nJyPerCount``, which made them of what was added to the pixels.

        Raises
        ------
        InputError
            If these are not the image and the table that `CharacterizeTask` writes, or the catalogue asks for what the
            image does not tell.
        NoWorkError
            If the visit is not on the photometric scale.
        """
        found, info = known(visitImage, stars), visitImage.info
        rng = np.random.default_rng([self.config.seed, info.visit, info.detector])
        scale = partial(_scale, visitImage, visitSummary)
        parts = []
        if self.config.doRecipe:
            options = options_of(self.config, Injection)
            parts.append(choose(found.exposure, found.stars, options=options, rng=rng))
        if catalog is not None:
            parts.append(given_on(found.exposure, catalog, nanojansky_per_count=scale))
        sources = stacked(parts, name="sources to be injected")
        faded = np.asarray(sources["is_faded"])
        self.metadata["nInjected"] = len(sources)
        self.metadata["nFaded"] = int(faded.sum())
        return Struct(
            injectedImage=inject(visitImage, sources[~faded], rng=rng), injectedSources=_in_njy(sources, scale)
        )


def _scale(exposure: Exposure, visitSummary: Table, x: FloatArray, y: FloatArray) -> FloatArray:
    """What a unit of an image is worth on its final scale, nJy."""
    if exposure.unit == "nJy":
        return np.full(len(x), final_scale(exposure.info, visitSummary).mean)
    return flux_scale(scaled(exposure, visitSummary), x=x, y=y)


def _in_njy(sources: Table, scale: Scale) -> Table:
    """Sources with their fluxes on the final scale of the image, what fades below zero."""
    table, per_count = Table(sources, copy=True), scale(np.asarray(sources["x"]), np.asarray(sources["y"]))
    for name in FLUXES:
        table[name] = Column(np.asarray(sources[name], dtype=np.float64) * per_count, unit="nJy")
    table["flux"][np.asarray(table["is_faded"])] *= -1.0
    table["nJyPerCount"] = per_count
    return table
