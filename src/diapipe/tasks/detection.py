"""Subtask that finds sources on a difference."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField
from lsst.pipe.base import Struct, Task

from diapipe.images import Detections, Exposure
from diapipe.steps.detect import MatchedFilter, detect
from diapipe.tasks.fields import OptionConfig, fixed, option, options_of


class SourceDetectionConfig(OptionConfig):
    """Config of the detection, under the names of LSST's."""

    thresholdValue: Any = option(MatchedFilter, "threshold_sigma")
    thresholdPolarity: Any = ChoiceField(
        doc="Sign of the sources that are kept.",
        dtype=str,
        default="both",
        allowed={"both": "brighter and fainter than in the template", "positive": "brighter", "negative": "fainter"},
    )
    thresholdType: Any = fixed(
        "pixel_stdev", "Unit of the threshold.", "the score is in sigma of each pixel's own noise"
    )
    reEstimateBackground: Any = fixed(
        False,
        "Measure and subtract a background once more.",
        "the subtraction leaves a difference without one, and says what it took out",
    )
    nSigmaToGrow: Any = option(MatchedFilter, "grow_sigma")


class SourceDetectionTask(Task):
    """Matched filter, threshold, peaks and footprints."""

    config: Any
    ConfigClass = SourceDetectionConfig
    _DefaultName = "detection"

    def run(self, exposure: Exposure) -> Struct:
        """Find sources of both signs, or of one.

        Parameters
        ----------
        exposure
            The difference.

        Returns
        -------
        Struct
            ``detections``: `Detections`.
        """
        found = of_polarity(detect(exposure, algorithm=self.algorithm()), self.config.thresholdPolarity)
        significance = found.footprints.peaks.significance
        self.metadata["nPositive"] = int((significance > 0).sum())
        self.metadata["nNegative"] = int((significance < 0).sum())
        return Struct(detections=found)

    def algorithm(self) -> MatchedFilter:
        """The detector of the core with the parameters of the config."""
        return options_of(self.config, MatchedFilter)


def of_polarity(detections: Detections, polarity: str) -> Detections:
    """Detections whose footprint holds a peak of the sign; all for ``both``."""
    if polarity == "both":
        return detections
    from dataclasses import replace

    footprints = detections.footprints
    keep = ~(footprints.is_negative if polarity == "positive" else footprints.is_positive)
    return replace(detections, footprints=footprints.select(keep))
