"""ValidateSourcesTask: what became of the sources that were put into a visit image."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from diapipe.catalogs.injections import FLUXES
from diapipe.images import Difference, Exposure
from diapipe.steps.detect import MatchedFilter, detect
from diapipe.steps.summarize import check_noise, plain, star_facts
from diapipe.steps.validate import Judged, judge, truth_table
from diapipe.tasks.connections import DETECTOR, DIFFERENCE, EXPOSURE, INJECTED, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, option
from diapipe.tasks.image_difference_config import ImageDifferenceConfig
from diapipe.tasks.known import known
from diapipe.tasks.named_connections import NamedConnections

_AS_FOUND: Any = ImageDifferenceConfig
_OF_DIFFERENCE = "DIFFERENCE"
"""Key of a table's metadata: what `Judged` knows of the difference, beside the rows."""
_QUALITY = "QUALITY"
"""Key of its noise and stars, as JSON: YAML, which holds the metadata, takes a second for so many numbers."""
_STARS = 300
"""Stars of a difference whose residuals are kept."""
_KNOWN = ("area_deg2", "pixel_scale_arcsec", "n_expected_noise", "name", "band", "visit", "detector")
VALIDATION, SOURCES = "source_validation", "source_validation_sources"
"""Datasets with a row for each true change, and for each source of the difference."""


class ValidateSourcesConnections(NamedConnections, dimensions=DETECTOR, defaultTemplates={"fakesType": INJECTED}):
    """Datasets of a validation."""

    difference: Any = Input(
        doc="Science with injected sources minus template.",
        name="{fakesType}difference_image",
        storageClass=DIFFERENCE,
        dimensions=DETECTOR,
    )
    diaSources: Any = Input(
        doc="What was found on it.", name="{fakesType}dia_source", storageClass=TABLE, dimensions=DETECTOR
    )
    injectedSources: Any = Input(
        doc="What was put in.", name="{fakesType}source", storageClass=TABLE, dimensions=DETECTOR
    )
    realSources: Any = PrerequisiteInput(
        doc="What was found before anything was put in: what lies on that is not judged.",
        name="dia_source",
        storageClass=TABLE,
        dimensions=DETECTOR,
        minimum=0,
    )
    injectedImage: Any = Input(
        doc="The image with sources put into it, whose own sources are no empty sky.",
        name="{fakesType}visit_image",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
    )
    stars: Any = Input(
        doc="Its sources: what is left of stars is told.",
        name="single_visit_star",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )
    validation: Any = Output(
        doc="A row for each injected source, with what was found at its place.",
        name=VALIDATION,
        storageClass=TABLE,
        dimensions=DETECTOR,
    )
    validationSources: Any = Output(
        doc="A row for each source of the difference: whether it was put in, and its likeliest cause if not.",
        name=SOURCES,
        storageClass=TABLE,
        dimensions=DETECTOR,
    )


class ValidateSourcesConfig(PipelineTaskConfig, OptionConfig, pipelineConnections=ValidateSourcesConnections):
    """Config of a validation."""

    coaddName: Any = coadd_name()
    thresholdSigma: Any = option(
        MatchedFilter,
        "threshold_sigma",
        default=_AS_FOUND().detection.thresholdValue,
        doc="Threshold that the sources were found with: thresholdValue of the difference's detection.",
    )


class ValidateSourcesTask(PipelineTask):
    """Compare the sources of a difference with what was put in."""

    config: Any
    ConfigClass = ValidateSourcesConfig
    _DefaultName = "validateSources"

    def run(
        self,
        difference: Difference,
        diaSources: Table,
        injectedSources: Table,
        injectedImage: Exposure,
        stars: Table,
        realSources: Table | None = None,
    ) -> Struct:
        """Compare.

        Parameters
        ----------
        difference, diaSources
            Of an injected image.
        injectedSources
            As `InjectSourcesTask` writes them.
        injectedImage
            Likewise; its sources are kept out where noise is looked at.
        stars
            ``single_visit_star`` of the image.
        realSources
            What was found on the difference before anything was put in. Of it what is trusted keeps from being judged
            what lies on it.

        Returns
        -------
        Struct
            ``validation`` and ``validationSources``: the tables of `diapipe.steps.validate.Judged`, with ``visit``,
            ``detector`` and ``band`` in each row.

        Raises
        ------
        InputError
            If the difference has no PSF, or a table misses a column.
        """
        truth = truth_table(_as_added(injectedSources, difference), difference, name="the table of injected sources")
        quality = self._quality(difference, injectedImage, stars)
        real = None if realSources is None else realSources[~np.asarray(realSources["dp_bad"], dtype=np.bool_)]
        judged = judge(
            difference, diaSources, truth, threshold_sigma=self.config.thresholdSigma, quality=quality, others=real
        )
        self.metadata["nTrue"] = len(judged.truth)
        self.metadata["nFound"] = int(np.count_nonzero(judged.truth["is_good"]))
        return Struct(
            validation=_told(judged.truth, judged, difference),
            validationSources=_told(judged.sources, judged, difference),
        )

    def _quality(self, difference: Difference, science: Exposure, stars: Table) -> dict[str, Any]:
        """Noise on empty sky, and what is left of stars."""
        exposure, found = difference.exposure, known(science, stars)
        score = detect(exposure, algorithm=MatchedFilter(threshold_sigma=self.config.thresholdSigma)).score
        noise = check_noise(exposure.masked_image, score, science.masked_image)
        facts = star_facts(exposure, found.stars, exposure, at_most=_STARS)
        return {"noise": plain(noise), "stars": plain(facts)}


def judged_of(validation: Table, sources: Table) -> Judged:
    """What the task wrote, as it was judged.

    Parameters
    ----------
    validation, sources
        As the task wrote them, the first read with `diapipe.tasks.characterize.WITH_METADATA`.
    """
    told = validation.meta.get(_QUALITY)
    quality = None if told is None else json.loads(told)
    return Judged(truth=validation, sources=sources, quality=quality, **validation.meta[_OF_DIFFERENCE])


def _told(rows: Table, judged: Judged, difference: Difference) -> Table:
    """Rows with where they belong, and with what is known of the difference as a whole."""
    table, info = Table(rows, copy=True), difference.exposure.info
    for name, value in (("visit", info.visit), ("detector", info.detector), ("band", info.band)):
        table[name] = np.full(len(table), value)
    told = {} if judged.quality is None else {_QUALITY: json.dumps(judged.quality)}
    table.meta = told | {_OF_DIFFERENCE: {name: getattr(judged, name) for name in _KNOWN}}
    return table


def _as_added(injected: Table, difference: Difference) -> Table:
    """What was added to the pixels, in their unit: what a count is worth is asked of nobody here."""
    if difference.exposure.unit == "nJy":
        return injected
    table = Table(injected, copy=True)
    for name in FLUXES:
        table[name] = np.asarray(injected[name], dtype=np.float64) / np.asarray(injected["nJyPerCount"])
    return table
