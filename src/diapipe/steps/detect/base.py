"""What a detector gives, and the one method that it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from diapipe.images import Exposure, Footprints, MaskedImage


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Detections:
    """What changed: where, and how significantly.

    Attributes
    ----------
    footprints
        Regions above threshold, grown, with their peaks; one DIA source a peak.
    score
        Significance of a point source at every pixel, in sigma, of unit variance; NaN where too few usable pixels tell.
        Its mask is that of the difference with DETECTED and DETECTED_NEGATIVE set in the footprints.
    threshold_sigma
        The |score| above which a peak counts.
    """

    footprints: Footprints
    score: MaskedImage
    threshold_sigma: float


class AbstractDetector(ABC):
    """A way to find sources on a difference image."""

    @abstractmethod
    def detect(self, difference: Exposure, *, n_threads: int = 1) -> Detections:
        """Find what changed.

        Parameters
        ----------
        difference
            With its PSF.
        n_threads
            Threads to use; the result does not depend on it.
        """
