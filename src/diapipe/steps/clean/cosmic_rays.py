"""Cosmic rays that show on a difference only: on top of stars and galaxies, or on images that came without a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import UNUSABLE_DIFFERENCE, Exposure, MaskPlane
from diapipe.numerics import cosmic_rays
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRays(Limited):
    """How cosmic rays are recognised on a difference.

    Attributes
    ----------
    floor_sigma
        Least signal-to-noise of the first pixel of a hit.
    floor_counts
        Least value of it, in the unit of the pixels.
    grow_sigma
        Least signal-to-noise of its further pixels, which must be as sharp once the others are taken away.
    sharpness_sigma
        Certainty that it is sharper than a point source of the difference.
    sharpness
        How much of a point source's ratio to its neighbours is allowed to remain.
    signs
        ``positive``: hits of the science image; ``both``: those of the template too.
    """

    may_be_zero = ("floor_counts", "sharpness_sigma", "sharpness")

    floor_sigma: float = 6.0
    floor_counts: float = 0.0
    grow_sigma: float = 4.0
    sharpness_sigma: float = 2.0
    sharpness: float = 0.35
    signs: Literal["both", "positive"] = "both"


def mask_cosmic_rays(difference: Exposure, *, options: CosmicRays) -> tuple[Exposure, int]:
    """The difference with CR (CR_TEMPLATE where it is negative) on its cosmic rays, and the number of such pixels.

    The pixels keep their values: whoever looks at the mask leaves them out.

    Parameters
    ----------
    difference
        Science minus template, with its PSF: nothing that is as wide as that is flagged.
    options
        What counts as a ray.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF.
    """
    planes, box = difference.masked_image, difference.box
    if difference.psf is None:
        raise PsfUndefinedError(f"{difference.name} has no PSF; cosmic rays are told from stars by it")
    stamp = difference.psf.kernel_image(x=box.x_center, y=box.y_center)
    mask = planes.mask.copy()
    n = 0
    for sign, plane in ((1.0, MaskPlane.CR), (-1.0, MaskPlane.CR_TEMPLATE)):
        if sign < 0 and options.signs == "positive":
            continue
        n += cosmic_rays.flag_cosmic_rays(
            np.ascontiguousarray(planes.image if sign > 0 else -planes.image),
            variance=np.ascontiguousarray(planes.variance),
            mask=np.ascontiguousarray(planes.mask),
            skip_bits=int(UNUSABLE_DIFFERENCE),
            out=mask,
            bit=int(plane),
            ratios=cosmic_rays.ratios_of_psf(stamp, sharpness=options.sharpness),
            floor_sigma=options.floor_sigma,
            floor_value=options.floor_counts,
            n_sigma=options.sharpness_sigma,
            grow_sigma=options.grow_sigma,
        )
    if n == 0:
        return difference, 0
    return replace(difference, masked_image=replace(planes, mask=mask)), n
