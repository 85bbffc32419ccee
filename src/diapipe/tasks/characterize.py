"""CharacterizeTask: an image as it came from the telescope becomes one of which everything is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from diapipe.catalogs.single_visit_stars import FINDINGS, SUMMARY
from diapipe.errors import UsageError
from diapipe.images import Exposure, MaskedImage
from diapipe.steps.characterize import (
    Characterize,
    Characterized,
    StarPhotometry,
    characterize,
    exposure_summary,
    star_table,
)
from diapipe.steps.characterize.background import BackgroundMesh
from diapipe.steps.characterize.psf import PsfModel
from diapipe.steps.characterize.sources import SourceDetection
from diapipe.steps.characterize.variance import Variance
from diapipe.steps.clean import AMONG_STARS, Streaks, mask_streaks
from diapipe.tasks.connections import DETECTOR, EXPOSURE, TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, option, options_of
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.no_work import no_work_found

WITH_METADATA = {"strip_astropy_meta_yaml": False}
"""Parameters with which the Butler reads a table together with its metadata."""


class CharacterizeConnections(NamedConnections, dimensions=DETECTOR):
    """Datasets of a characterized image."""

    exposures: Any = Input(
        doc="Image as it came from the telescope, bias and flat field taken out.",
        name="post_isr_image",
        storageClass=EXPOSURE,
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
    )
    visitImage: Any = Output(
        doc="The image less its sky, with mask, variance, PSF and noise correlation, in the counts of the file.",
        name="visit_image",
        storageClass=EXPOSURE,
        dimensions=DETECTOR,
    )
    background: Any = Output(
        doc="The sky that was taken out.", name="visit_image_background", storageClass=EXPOSURE, dimensions=DETECTOR
    )
    stars: Any = Output(
        doc="Its sources, with fluxes that can be compared from visit to visit.",
        name="single_visit_star",
        storageClass=TABLE,
        dimensions=DETECTOR,
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        if not config.doWriteBackground:
            self.outputs.discard("background")


class CharacterizeConfig(PipelineTaskConfig, OptionConfig, pipelineConnections=CharacterizeConnections):
    """Config of the characterization; what is not here is chosen from each image."""

    coaddName: Any = coadd_name()
    doWriteBackground: Any = Field(dtype=bool, default=False, doc="Write the sky that was taken out, as an image.")
    doMaskStreaks: Any = Field(dtype=bool, default=True, doc="Mask trails of satellites, before kernels and coadds.")
    streakSigma: Any = option(
        Streaks,
        "profile_sigma",
        default=AMONG_STARS.profile_sigma,
        doc="Least significance of a trail, by medians along it.",
    )
    cellPixels: Any = option(BackgroundMesh, "cell_pixels")
    detectionSigma: Any = option(SourceDetection, "n_sigma")
    varianceTolerance: Any = option(Variance, "tolerance")
    maxPsfStars: Any = option(PsfModel, "max_stars")
    minPsfStars: Any = option(PsfModel, "min_stars")
    maxPsfOrder: Any = option(PsfModel, "max_order")
    photometryStampFwhm: Any = option(StarPhotometry, "stamp_fwhm")
    apertureRadiusFwhm: Any = option(StarPhotometry, "radius_fwhm")

    def options(self) -> Characterize:
        """The options of the core."""
        return Characterize(
            background=options_of(self, BackgroundMesh),
            detection=options_of(self, SourceDetection),
            variance=options_of(self, Variance),
            psf=options_of(self, PsfModel),
        )


class CharacterizeTask(PipelineTask):
    """Find out what an image does not say: sky, variance, mask, PSF, stars.

    What the file brought is kept. The visit image is less its sky, whose level is in ``visit_summary``, in the counts
    of the file, and is not to be characterized again: `diapipe.tasks.known.known` makes of it and of its stars what
    the steps want.
    """

    config: Any
    ConfigClass = CharacterizeConfig
    _DefaultName = "characterize"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read one exposure, characterize it under the name of its visit, write."""
        if len(inputRefs.exposures) != 1:
            found = [ref.dataId["exposure"] for ref in inputRefs.exposures]
            raise UsageError(f"a visit is one exposure; visit {butlerQC.quantum.dataId['visit']} has {found}")
        exposure = butlerQC.get(inputRefs.exposures[0]).get()
        with no_work_found(self.metadata):
            outputs = self.run(identified(exposure, butlerQC.quantum.dataId))
        butlerQC.put(outputs, outputRefs)

    def run(self, exposure: Exposure) -> Struct:
        """Characterize an image.

        Parameters
        ----------
        exposure
            Any image, with the numbers of its visit and detector.

        Returns
        -------
        Struct
            ``visitImage``, ``stars``, ``background`` (None unless it is to be written), ``characterized``.

        Raises
        ------
        InputError
            If the image cannot be used.
        TooFewStarsError
            If its PSF has to be made and there are too few stars.
        """
        found = self._without_streaks(characterize(exposure, options=self.config.options()))
        stars = star_table(found, options=options_of(self.config, StarPhotometry))
        stars.meta[SUMMARY] = exposure_summary(found, stars)
        stars.meta[FINDINGS] = found.summary
        for name in ("n_sources", "n_psf_stars", "fwhm_px", "sky_level", "sky_sigma"):
            self.metadata[name] = found.summary[name]
        for sentence in found.summary["warnings"]:
            self.log.warning(sentence)
        background = _background(found) if self.config.doWriteBackground else None
        return Struct(visitImage=found.exposure, stars=stars, background=background, characterized=found)

    def _without_streaks(self, found: Characterized) -> Characterized:
        """The same with STREAK on the trails of satellites."""
        if not self.config.doMaskStreaks:
            return found
        options = replace(AMONG_STARS, profile_sigma=self.config.streakSigma)
        exposure, streaks = mask_streaks(found.exposure, options=options)
        self.metadata["n_streaks"] = len(streaks)
        return replace(found, exposure=exposure)


def identified(exposure: Exposure, dataId: Any) -> Exposure:
    """The exposure under the numbers and the band of its data ID; the middle of its time from there if it has none."""
    info = exposure.info
    named = replace(info, visit=int(dataId["visit"]), detector=int(dataId["detector"]))
    if dataId.hasFull() and dataId["band"]:
        named = replace(named, band=str(dataId["band"]))
    span = getattr(dataId.records["visit"], "timespan", None) if dataId.hasRecords() else None
    if not np.isfinite(info.mjd_midpoint) and span is not None and span.begin is not None and span.end is not None:
        named = replace(named, mjd_midpoint=float(0.5 * (span.begin.tai.mjd + span.end.tai.mjd)))
    return replace(exposure, info=named)


def _background(found: Characterized) -> Exposure:
    """The sky as an image."""
    exposure = found.exposure
    level = found.background.over(exposure.box)
    planes = MaskedImage.from_planes(level, box=exposure.box)
    return Exposure(name=f"sky of {exposure.name}", masked_image=planes, wcs=exposure.wcs, unit=exposure.unit)


def summary_of(stars: Table) -> dict[str, Any]:
    """What `CharacterizeTask` says of the image in the table of its stars, by the columns of ``visit_summary``."""
    return dict(stars.meta[SUMMARY])
