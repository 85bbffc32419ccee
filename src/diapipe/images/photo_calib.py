"""PhotoCalib: from counts to nanojansky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images.fields import ChebyshevField
from diapipe.numerics.arrays import FloatArray, RealArray

ZERO_POINT_NJY = 3.63078054770101e12
"""Flux in nJy of AB magnitude 0: 10^(8.9/2.5) Jy (Oke & Gunn 1983)."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoCalib:
    """Flux in nJy of one count.

    Attributes
    ----------
    mean
        nJy per count, averaged over the image.
    error
        Its uncertainty.
    field
        Relative variation over the image (1 on average), or None for a constant.

    Raises
    ------
    InputError
        If a count is worth nothing, less than nothing or no number.
    """

    mean: float
    error: float = 0.0
    field: ChebyshevField | None = None

    def __post_init__(self) -> None:
        if not 0 < self.mean < np.inf:
            raise InputError(f"a count must be worth a positive flux, not {self.mean} nJy")

    @classmethod
    def from_zero_point(cls, magnitude: float) -> PhotoCalib:
        """Calibration of an image on which one count is a star of this AB magnitude."""
        return cls(ZERO_POINT_NJY * 10.0 ** (-0.4 * magnitude))

    def at(self, *, x: RealArray | float, y: RealArray | float) -> FloatArray:
        """NJy per count at positions; the shape of ``x``."""
        if self.field is None:
            return np.full(np.shape(x), self.mean)
        return self.mean * self.field.at(x=x, y=y)
