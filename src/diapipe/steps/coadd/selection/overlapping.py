"""Overlapping: all images on the patch."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.coadd.selection.base import AbstractVisitSelector, taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlapping(AbstractVisitSelector):
    """Every image that shares sky with the patch (``WcsSelectImagesTask`` of LSST)."""

    def reasons(self, images: VisitImages, overlaps: BoolArray) -> TextArray:
        """Nothing is against any of them."""
        return taken(images)
