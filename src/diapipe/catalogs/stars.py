"""StarList: the sources of one image, as the steps that calibrate on them need them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from diapipe.numerics.arrays import BoolArray, FloatArray

BRIGHT_SIGNAL_TO_NOISE = 200.0
"""Stars above this are the bright ones of a summary: their Poisson noise is below half a percent."""


@dataclass(frozen=True, slots=True, eq=False)
class StarList:
    """Sources of one image, brightest first, one array entry each.

    Attributes
    ----------
    x, y
        Centroid in parent pixel coordinates.
    flux, flux_err
        PSF-like flux and its error, in the unit of the image.
    peak
        Background-subtracted value of the brightest pixel.
    is_star
        Looks like a point source.
    is_saturated
        Has saturated pixels in its core.
    is_isolated
        No neighbour matters within a PSF stamp.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    flux_err: FloatArray
    peak: FloatArray
    is_star: BoolArray
    is_saturated: BoolArray
    is_isolated: BoolArray

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: BoolArray | np.ndarray[tuple[int], np.dtype[np.intp]]) -> StarList:
        """The chosen entries: a boolean mask or indices."""
        return StarList(*(getattr(self, f.name)[which] for f in fields(self)))
