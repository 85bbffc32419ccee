"""Subtask that finds sources, on a difference or on a score image."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, ConfigField, Field
from lsst.pipe.base import Struct, Task

from diapipe.images import Difference, Exposure
from diapipe.steps.clean import AMONG_STARS, Clean, Cleaned, CosmicRays, Streaks, clean
from diapipe.steps.detect import AbstractDetector, MatchedFilter, ScoreThreshold, detect
from diapipe.tasks.fields import OptionConfig, fixed, idle, option, options_of, parameters_of

_OWN_PEAKS = "a peak beside a brighter one is judged by what the brighter one leaves there"


class FindCosmicRaysConfig(OptionConfig):
    """How cosmic rays are told from sources."""

    minSigma: Any = option(CosmicRays, "floor_sigma")
    minCounts: Any = option(CosmicRays, "floor_counts")
    growSigma: Any = option(CosmicRays, "grow_sigma")
    cond3Sigma: Any = option(CosmicRays, "sharpness_sigma")
    cond3Fac2: Any = option(CosmicRays, "sharpness")
    signs: Any = option(CosmicRays, "signs")


class MaskStreaksConfig(OptionConfig):
    """How trails of satellites are found."""

    minimumLength: Any = option(Streaks, "min_length_px")
    maximumWidth: Any = option(Streaks, "max_width_px")
    lineSigma: Any = option(Streaks, "line_sigma")
    margin: Any = option(Streaks, "margin_px")
    extent: Any = option(Streaks, "extent")
    signs: Any = option(Streaks, "signs")
    maxStreaks: Any = option(Streaks, "max_streaks")


class SourceDetectionConfig(OptionConfig):
    """Config of the detection, under the names of LSST's."""

    doFindCosmicRays: Any = Field(
        dtype=bool, default=True, doc="Flag cosmic rays that show on the difference only, before sources are sought."
    )
    findCosmicRays: Any = ConfigField(doc="How.", dtype=FindCosmicRaysConfig)
    doMaskStreaks: Any = Field(dtype=bool, default=True, doc="Mask trails of satellites, before sources are sought.")
    maskStreaks: Any = ConfigField(doc="How.", dtype=MaskStreaksConfig)

    thresholdValue: Any = option(MatchedFilter, "threshold_sigma")
    thresholdType: Any = ChoiceField(
        doc="Unit of the threshold.",
        dtype=str,
        default="pixel_stdev",
        allowed={
            "pixel_stdev": "the noise at each pixel",
            "stdev": "one scatter of the whole image",
            "value": "counts of the image as smoothed for the search",
        },
    )
    thresholdPolarity: Any = option(MatchedFilter, "polarity")
    includeThresholdMultiplier: Any = option(MatchedFilter, "peak_factor")
    minPixels: Any = option(MatchedFilter, "min_pixels")
    excludeMaskPlanes: Any = option(MatchedFilter, "excluded_planes")
    nSigmaToGrow: Any = option(MatchedFilter, "grow_sigma")
    isotropicGrow: Any = option(MatchedFilter, "grow_isotropically")
    dipoleSeparation: Any = option(MatchedFilter, "dipole_separation_fwhm")
    reEstimateBackground: Any = fixed(
        False,
        "Measure and subtract a background once more.",
        "the subtraction leaves a difference without one, and says what it took out",
    )
    returnOriginalFootprints: Any = fixed(
        False, "Keep the footprints as they were before they grew.", "nSigmaToGrow = 0 does that"
    )
    combinedGrow: Any = idle(
        True, "Grow footprints of both signs together.", "doMerge of the main task says whether they are one"
    )
    doTempLocalBackground: Any = idle(True, "Seek peaks above the local background.", _OWN_PEAKS)
    doTempWideBackground: Any = idle(False, "Seek peaks above a wide background.", _OWN_PEAKS)
    nPeaksMaxSimple: Any = idle(1, "Footprints of more peaks have them sought anew.", _OWN_PEAKS)
    nSigmaForKernel: Any = idle(
        7.0, "Half-width of the Gaussian that the image is smoothed with, in sigma.", "the PSF itself is the filter"
    )
    statsMask: Any = idle(
        ["BAD", "SAT", "EDGE", "NO_DATA"],
        "Planes left out of the scatter of thresholdType = 'stdev'.",
        "every pixel that tells nothing about the sky is left out",
    )

    def detector(self, *, isScore: bool, mergeSigns: bool, growFootprint: int) -> AbstractDetector:
        """The detector of the core."""
        values = parameters_of(self, MatchedFilter) | {"merge_signs": mergeSigns, "merge_px": growFootprint}
        if self.thresholdType == "stdev":
            values["noise"] = "image"
        if self.thresholdType == "value":
            values["threshold_counts"] = values["threshold_sigma"]
        return ScoreThreshold(**values) if isScore else MatchedFilter(**values)

    def cleaning(self) -> Clean:
        """What is flagged before sources are sought."""
        return Clean(
            cosmic_rays=options_of(self.findCosmicRays, CosmicRays) if self.doFindCosmicRays else None,
            streaks=options_of(self.maskStreaks, Streaks) if self.doMaskStreaks else None,
            among_stars=AMONG_STARS if self.doMaskStreaks else None,
        )


class SourceDetectionTask(Task):
    """Filter, threshold, peaks and footprints."""

    config: Any
    ConfigClass = SourceDetectionConfig
    _DefaultName = "detection"

    def clean(self, difference: Difference) -> Cleaned:
        """The difference with cosmic rays and streaks flagged, and what was found of them.

        Parameters
        ----------
        difference
            Science minus template, with its PSF.
        """
        cleaned = clean(difference, options=self.config.cleaning())
        self.metadata["nCosmicRayPixels"] = cleaned.n_cosmic_ray_pixels
        self.metadata["nStreaks"] = len(cleaned.streaks)
        return cleaned

    def run(
        self, exposure: Exposure, *, isScore: bool = False, mergeSigns: bool = True, growFootprint: int = 0
    ) -> Struct:
        """Find sources.

        Parameters
        ----------
        exposure
            Difference or score image.
        isScore
            Whether it is a score, which is not filtered any more.
        mergeSigns
            Make one source of footprints of opposite sign that touch.
        growFootprint
            By how many pixels they are grown for that.

        Returns
        -------
        Struct
            ``detections``: `Detections`.
        """
        algorithm = self.config.detector(isScore=isScore, mergeSigns=mergeSigns, growFootprint=growFootprint)
        found = detect(exposure, algorithm=algorithm)
        significance = found.footprints.peaks.significance
        self.metadata["nPositive"] = int((significance > 0).sum())
        self.metadata["nNegative"] = int((significance < 0).sum())
        return Struct(detections=found)
