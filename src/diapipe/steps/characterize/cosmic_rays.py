"""Cosmic rays of an image that brought no mask."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.images import MaskPlane
from diapipe.numerics import cosmic_rays
from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRays(Limited):
    """How cosmic rays are recognised.

    Attributes
    ----------
    floor_sigma
        Least signal-to-noise of the first pixel of a hit.
    sharpness_sigma
        Certainty that it is sharper than a star.
    sharpness
        How much of a perfect star's contrast with its neighbours is allowed to remain.
    """

    may_be_zero = ("sharpness_sigma", "sharpness")

    floor_sigma: float = 6.0
    sharpness_sigma: float = 3.0
    sharpness: float = 0.6


def flag_cosmic_rays(
    image: Float32Array, variance: Float32Array, mask: MaskArray, *, psf_sigma: float, options: CosmicRays
) -> tuple[MaskArray, int]:
    """Mask with CR set on the hits, and the number of pixels flagged; the given mask stays as it is."""
    flagged = mask.copy()
    skip = MaskPlane.SAT | MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.EDGE
    n = cosmic_rays.flag_cosmic_rays(
        image,
        variance=variance,
        mask=mask,
        skip_bits=int(skip),
        out=flagged,
        bit=int(MaskPlane.CR),
        ratios=cosmic_rays.neighbour_ratios(psf_sigma, sharpness=options.sharpness),
        floor_sigma=options.floor_sigma,
        n_sigma=options.sharpness_sigma,
        grow_sigma=0.5 * options.floor_sigma,
    )
    return flagged, n
