"""The correction of PSF fluxes that an exposure brings."""

from __future__ import annotations

import numpy as np

from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField
from diapipe.numerics.arrays import FloatArray

_MAPS = ("psfFlux", "base_PsfFlux_instFlux")
"""Names that the correction of PSF fluxes goes by; that of its error ends in ``Err``."""


def correction_at(image: Exposure, *, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Correction of PSF fluxes and its error at parent positions; NaN without a map, error 0 where none is given."""
    maps = image.aperture_corrections
    for name in _MAPS:
        if name in maps:
            error = maps.get(f"{name}Err")
            return _values(maps[name], x, y), np.zeros(len(x)) if error is None else np.abs(_values(error, x, y))
    return np.full(len(x), np.nan), np.full(len(x), np.nan)


def _values(field: ChebyshevField, x: FloatArray, y: FloatArray) -> FloatArray:
    """A field at positions; NaN where a position is none."""
    return np.asarray(field.at(x=np.asarray(x, np.float64), y=np.asarray(y, np.float64)), dtype=np.float64)
