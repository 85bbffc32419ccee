"""Grid: the pixels on which a template is made, and where they lie on what it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from diapipe.images import Box
from diapipe.images.pixel_map import PixelMap
from diapipe.images.sky import between
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.template.registration import Registration

MARGIN_PX = 8
"""Pixels around a patch in which its outline, known at some points, may really lie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Pixels on which a template is made.

    Attributes
    ----------
    box, wcs
        The pixels, and where they lie.
    registration
        Displacement of the template found on this grid, in its pixels; applied if it is significant.
    """

    box: Box
    wcs: WCS
    registration: Registration | None = None

    def found_px(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Displacement (x, y) of the template at positions: 0 where none was found."""
        if self.registration is None or not self.registration.is_significant:
            return np.zeros_like(x), np.zeros_like(y)
        along, up = self.registration.displacement
        return along.at(x=x, y=y), up.at(x=x, y=y)

    def margin_px(self, shift: tuple[float, float] = (0.0, 0.0)) -> int:
        """How far from where the WCSs put it a patch may come to lie."""
        box = self.box
        x, y = np.meshgrid(np.linspace(box.x0, box.x1, 9), np.linspace(box.y0, box.y1, 9))
        farthest = max(float(np.abs(part).max()) for part in self.found_px(x, y))
        return MARGIN_PX + math.ceil(farthest + max(abs(shift[0]), abs(shift[1])))

    def map_of(self, source: WCS, box: Box, *, dx: float = 0.0, dy: float = 0.0) -> PixelMap:
        """Source positions of the pixels of ``box``; (dx, dy) moves what is there by so many pixels of the grid."""
        positions = between(self.wcs, source)

        def moved(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
            along, up = self.found_px(x, y)
            return positions(x + along - dx, y + up - dy)

        return PixelMap.sampled(moved, box)
