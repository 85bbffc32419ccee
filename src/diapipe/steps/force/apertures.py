"""Fluxes in circles of given radii."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from diapipe.images import UNUSABLE_DIFFERENCE, Exposure
from diapipe.images.photometry import aperture_columns
from diapipe.images.planes import Planes
from diapipe.steps.force.places import Places


def aperture_name(radius_px: float) -> str:
    """Column of the flux in a circle, as Rubin's data model spells it: ``ap03Flux`` for 3 px, ``ap4p5Flux`` for 4.5."""
    return f"ap{radius_px:02g}Flux".replace(".", "p")


def aperture_columns_of(
    exposure: Exposure, planes: Planes, places: Places, *, radii: tuple[float, ...]
) -> dict[str, NDArray[Any]]:
    """Columns of all radii."""
    columns: dict[str, NDArray[Any]] = {}
    for radius in radii:
        found = aperture_columns(
            planes,
            x=places.x,
            y=places.y,
            bits=UNUSABLE_DIFFERENCE,
            radius=radius,
            correlation=exposure.noise_correlation,
        )
        columns |= {name.replace("apFlux", aperture_name(radius)): values for name, values in found.items()}
    return columns
