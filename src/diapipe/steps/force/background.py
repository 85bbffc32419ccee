"""The level around a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diapipe.images import UNUSABLE_DIFFERENCE
from diapipe.images.planes import Planes
from diapipe.numerics.annuli import annulus_means
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.force.apertures import aperture_name
from diapipe.steps.force.options import LocalBackground
from diapipe.steps.force.places import Places


class Level(NamedTuple):
    """Level of a pixel around each place and its error, in counts; NaN where no pixel tells it."""

    value: FloatArray
    error: FloatArray

    def columns(self) -> dict[str, NDArray[Any]]:
        """As columns."""
        return {
            "localBackground": self.value,
            "localBackgroundErr": self.error,
            "localBackground_flag": ~np.isfinite(self.value),
        }


def level_around(planes: Planes, places: Places, *, correlation: FloatArray | None, of: LocalBackground) -> Level:
    """Clipped means of annuli; correlated noise multiplies their variance by Σρ, as that of any wide sum."""
    means = annulus_means(
        *planes.arrays,
        bits=int(UNUSABLE_DIFFERENCE),
        x=places.x,
        y=places.y,
        inner=of.inner_fwhm * places.fwhm,
        outer=of.outer_fwhm * places.fwhm,
        n_sigma=of.clip_sigma,
    )
    factor = 1.0 if correlation is None else max(float(correlation.sum()), 0.0)
    return Level(means[:, 0], np.sqrt(factor * means[:, 1]))


def subtracted(
    columns: Mapping[str, NDArray[Any]], level: Level, response: FloatArray, radii: tuple[float, ...]
) -> dict[str, NDArray[Any]]:
    """Fluxes less what the level adds to them, its error in theirs; as they are where there is no level.

    ``response`` is what a level of 1 adds to the PSF fluxes; to a flux in a circle it adds its area.
    """
    known = np.isfinite(level.value)
    value, error = np.where(known, level.value, 0.0), np.where(known, level.error, 0.0)
    adds = {"psfFlux": response} | {aperture_name(radius): np.pi * radius**2 for radius in radii}
    less: dict[str, NDArray[Any]] = {}
    for name, per_count in adds.items():
        less[name] = columns[name] - value * per_count
        less[f"{name}Err"] = np.hypot(columns[f"{name}Err"], error * per_count)
    return less
