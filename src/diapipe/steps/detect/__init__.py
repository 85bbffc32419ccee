"""detect: what changed, on a difference or on a score image, and how significantly."""

from __future__ import annotations

from diapipe.images import Detections, Exposure
from diapipe.steps.detect.base import AbstractDetector
from diapipe.steps.detect.matched_filter import MatchedFilter
from diapipe.steps.detect.score_threshold import ScoreThreshold
from diapipe.steps.detect.sky_sources import SkySources, sky_sources
from diapipe.steps.family import Family

__all__ = [
    "DETECTORS",
    "AbstractDetector",
    "Detections",
    "MatchedFilter",
    "ScoreThreshold",
    "SkySources",
    "detect",
    "sky_sources",
]

DETECTORS: Family[AbstractDetector] = Family("detect", {"matched_filter": MatchedFilter, "score": ScoreThreshold})

_DEFAULT = MatchedFilter()


def detect(image: Exposure, *, algorithm: AbstractDetector = _DEFAULT, n_threads: int = 1) -> Detections:
    """Find what changed.

    Parameters
    ----------
    image
        Science minus template, or the score image where the algorithm ``searches`` that; with mask, variance and the
        PSF of a source on it.
    algorithm
        Member of `DETECTORS`.
    n_threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Detections
        Footprints with peaks of both signs, and the score in sigma.

    Raises
    ------
    PsfUndefinedError
        If the image has no PSF, or one that is defined nowhere on it.
    """
    return algorithm.detect(image, n_threads=n_threads)
