"""Detections: what a detector found on a difference, before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from diapipe.images.box import Box
from diapipe.images.footprints import Footprints
from diapipe.images.masked_image import MaskedImage


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Detections:
    """What changed: where, and how significantly.

    Attributes
    ----------
    footprints
        Regions above threshold, grown, with their peaks; one DIA source a peak.
    score
        Significance of a point source at every pixel, in sigma, of unit variance; NaN where too few usable pixels tell.
        Its mask is that of the searched image with DETECTED and DETECTED_NEGATIVE set in the footprints.
    threshold_sigma
        The absolute score above which a peak counts.
    searched
        Which image they were found on.
    """

    footprints: Footprints
    score: MaskedImage
    threshold_sigma: float
    searched: Literal["difference", "score"] = "difference"

    def __getitem__(self, box: Box) -> Detections:
        """The part in ``box``: the score there and the footprints wholly in it; BoundsError if it sticks out."""
        return replace(self, footprints=self.footprints[box], score=self.score[box])
