"""measured_sources: stars of an exposure with the shapes and flags by which they are selected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.catalogs.flag_names import PIXEL_FLAGS
from diapipe.catalogs.sources import SourceList
from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError
from diapipe.images import UNUSABLE, Exposure
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.moments import adaptive_moments
from diapipe.numerics.surroundings import mask_around

FOOTPRINT_SIGMA = 3.0
"""Half-width of the square that stands for a source's footprint, in units of the PSF's sigma."""


def measured_sources(exposure: Exposure, stars: StarList) -> SourceList:
    """The stars, brightest first, with sky positions, second moments and pixel flags from the exposure.

    Parameters
    ----------
    exposure
        Background subtracted, with a PSF.
    stars
        Its sources, as `characterize` finds them; their positions and fluxes are kept.

    Raises
    ------
    InputError
        If the exposure has no PSF.
    """
    if exposure.psf is None:
        raise InputError(f"{exposure.name} must have a PSF before its sources are measured")
    box, planes = exposure.box, exposure.masked_image
    x, y = stars.x - box.x0, stars.y - box.y0
    sigma = exposure.psf.sigma_at(x=box.x_center, y=box.y_center)
    moments = adaptive_moments(
        np.ascontiguousarray(planes.image),
        np.ascontiguousarray(planes.variance),
        x,
        y,
        sigma_start=sigma,
        mask=np.ascontiguousarray(planes.mask),
        bad_bits=int(UNUSABLE),
    )
    failed = moments.flag != 0
    ixx, ixy, iyy = (np.where(failed, np.nan, moment) for moment in (moments.ixx, moments.ixy, moments.iyy))
    flags = {"centroid_flag": failed} | _pixel_flags(exposure, x, y, half=int(np.ceil(FOOTPRINT_SIGMA * sigma)))
    return replace(SourceList.of_stars(stars, wcs=exposure.wcs), ixx=ixx, ixy=ixy, iyy=iyy, flags=flags)


def _pixel_flags(exposure: Exposure, x: FloatArray, y: FloatArray, *, half: int) -> dict[str, BoolArray]:
    """Columns ``pixelFlags_*``: planes in the square around each source, and in its central 3 x 3 pixels."""
    mask = exposure.masked_image.mask
    around, center = (mask_around(mask, x=x, y=y, half=reach) for reach in (half, 1))
    found: dict[str, BoolArray] = {}
    for name, plane in PIXEL_FLAGS.items():
        found[f"pixelFlags_{name}"] = (around & int(plane)) != 0
        found[f"pixelFlags_{name}Center"] = (center & int(plane)) != 0
    return found
