"""detect: what changed on a difference image, and how significantly."""

from __future__ import annotations

from diapipe.images import Detections, Exposure
from diapipe.steps.detect.base import AbstractDetector
from diapipe.steps.detect.matched_filter import MatchedFilter
from diapipe.steps.family import Family

__all__ = ["DETECTORS", "AbstractDetector", "Detections", "MatchedFilter", "detect"]

DETECTORS: Family[AbstractDetector] = Family("detect", {"matched_filter": MatchedFilter})

_DEFAULT = MatchedFilter()


def detect(difference: Exposure, *, algorithm: AbstractDetector = _DEFAULT, n_threads: int = 1) -> Detections:
    """Find what changed.

    Parameters
    ----------
    difference
        Science minus template with mask, variance and the PSF of a source on it.
    algorithm
        Member of `DETECTORS`.
    n_threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Detections
        Footprints with peaks of both signs, and the score image.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF, or one that is defined nowhere on it.
    """
    return algorithm.detect(difference, n_threads=n_threads)
