"""What the stars of the images cannot tell: the zero of each group of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.visit_stars import VisitStars
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

LEAST_WEIGHT = 0.04
"""Part of the largest weight that the reference must have: its zero point is known to five times the smallest error."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """How the relative scale of each image becomes nJy; arrays of shape (m,).

    Attributes
    ----------
    factor
        By which the relative value is to be multiplied; NaN for an image of no group.
    is_reference
        Images of the visit that the others follow.
    is_absolute
        The zero comes from calibrations of files and is not nominal.
    """

    factor: FloatArray
    is_reference: BoolArray
    is_absolute: BoolArray


def anchored(
    stars: VisitStars,
    component: IntArray,
    value: FloatArray,
    weight: FloatArray,
    *,
    reference_visit: int | None,
    nominal_zero_point_mag: float,
) -> Anchors:
    """Set the zero of every group.

    Where files bring calibrations, their median over the group is kept; with a reference visit asked for, that visit's
    own. Where none does, a count of the reference visit is worth what the nominal zero point says. It is the first that
    is known well, not the one that is known best: a better one that comes later must not change the fluxes of a season
    by the transparency of its night.

    Parameters
    ----------
    stars
        With the images.
    component
        Group of each image, -1 for none.
    value
        Relative scale of each image.
    weight
        How well it is known: the reference is the first visit with `LEAST_WEIGHT` of the largest weight.
    reference_visit
        Its number, if it is asked for; a group without it has a reference of its own.
    nominal_zero_point_mag
        AB magnitude of a count.
    """
    m = stars.n_images
    factor, is_reference, is_absolute = np.full(m, np.nan), np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    for number in np.unique(component[component >= 0]):
        of_group = component == number
        asked = of_group & (stars.visit == reference_visit) if reference_visit is not None else np.zeros(m, np.bool_)
        first = stars.visit[of_group & (weight >= LEAST_WEIGHT * weight[of_group].max())].min()
        reference = asked if asked.any() else of_group & (stars.visit == first)
        told = (asked if asked.any() else of_group) & np.isfinite(stars.given)
        if told.any():
            log_factor = float(np.median(np.log(stars.given[told] / value[told])))
        else:
            nominal = np.log(ZERO_POINT_NJY) - 0.4 * np.log(10.0) * nominal_zero_point_mag
            log_factor = float(nominal - np.median(np.log(value[reference])))
        factor[of_group] = np.exp(log_factor)
        is_reference |= reference
        is_absolute[of_group] = told.any()
    return Anchors(factor, is_reference, is_absolute)
