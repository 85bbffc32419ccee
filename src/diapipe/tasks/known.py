"""known: a visit image and the table of its stars as the steps want them, without characterizing it again."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.single_visit_stars import FINDINGS, stars_of
from diapipe.errors import InputError
from diapipe.images import Exposure, MeshField
from diapipe.steps.characterize import Characterized

_NEEDED = (
    "gaussianFlux",
    "gaussianFluxErr",
    "dp_peak",
    "dp_isIsolated",
    "calib_psf_used",
    "pixelFlags_saturatedCenter",
)
"""Columns that tell a ``single_visit_star`` of ours from other tables of sources."""


def is_known(exposure: Exposure, stars: Table | None) -> bool:
    """Whether an image and a table of sources are those of `CharacterizeTask`: all is said, nothing to be measured."""
    return (
        stars is not None
        and all(name in stars.colnames for name in _NEEDED)
        and exposure.psf is not None
        and exposure.has_variance
        and exposure.has_mask
    )


def known(exposure: Exposure, stars: Table) -> Characterized:
    """What `characterize` would find on a visit image, had it not been written: everything is known of it.

    Parameters
    ----------
    exposure
        A ``visit_image``: with PSF, variance and mask, in the counts in which its stars were measured.
    stars
        Its ``single_visit_star``; the summary is in its metadata, which the Butler gives only where it is asked to
        (`diapipe.tasks.characterize.WITH_METADATA`), and is empty otherwise.

    Raises
    ------
    InputError
        If these are not the image and the table that `CharacterizeTask` writes, or they are in different units.
    """
    if not is_known(exposure, stars):
        raise InputError(
            f"{exposure.name} and its sources are not what CharacterizeTask writes: a PSF, variance and mask, and the "
            f"columns {', '.join(_NEEDED)} are needed"
        )
    unit = stars["psfFlux"].unit
    if unit is not None and str(unit) != exposure.unit:
        raise InputError(f"the stars of {exposure.name} are in {unit}, its pixels in {exposure.unit}; they must agree")
    findings: dict[str, Any] = dict(stars.meta.get(FINDINGS, {}))
    return Characterized(
        exposure=exposure,
        stars=stars_of(stars),
        background=_constant(exposure, float(findings.get("sky_level", 0.0))),
        summary=findings,
        is_psf_star=np.array(stars["calib_psf_used"], dtype=np.bool_),
    )


def _constant(exposure: Exposure, level: float) -> MeshField:
    """A sky of one level: of the sky that was subtracted only that is kept."""
    box = exposure.box
    x, y = np.linspace(box.x0, box.x1 - 1, 4), np.linspace(box.y0, box.y1 - 1, 4)
    return MeshField(np.full((4, 4), level), x, y)
