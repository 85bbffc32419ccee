"""AbstractVisitSelector: a way to choose the images of a coadd, by what their visit summaries say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.limits import Limited

BEYOND = "does not overlap the patch"
"""Why most images are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractVisitSelector(Limited, ABC):
    """Choice of images for the coadd of a patch. A limit itself is allowed; None is no limit, 0 is one."""

    @abstractmethod
    def reasons(self, images: VisitImages, overlaps: BoolArray) -> TextArray:
        """Why each image is left out; "" for those that are taken, shape (n,).

        Parameters
        ----------
        images
            All images of the visits that may come in question.
        overlaps
            Which of them share sky with the patch, shape (n,). The others are left out whatever is said of them here.

        Raises
        ------
        InputError
            If the visit summaries lack a column by which this choice is made.
        """


def taken(images: VisitImages) -> TextArray:
    """No reason against any image."""
    return np.zeros(len(images), dtype="U128")


def outside(values: FloatArray, what: str, unit: str, *, least: float | None, most: float | None) -> TextArray:
    """Reasons for values that are below or above a limit, or that nobody knows where there is one."""
    low, high = -np.inf if least is None else least, np.inf if most is None else most
    found = unknown(values, what) if least is not None or most is not None else np.zeros(len(values), dtype="U128")
    for i in np.flatnonzero((values < low) | (values > high)):
        said = f"below {low:.7g}" if values[i] < low else f"above {high:.7g}"
        found[i] = f"{what} {_number(values[i], unit)}, {said}"
    return found


def unknown(values: FloatArray, what: str) -> TextArray:
    """Reasons for values that are NaN."""
    return np.where(np.isnan(values), f"{what} is not known", "").astype("U128")


def first_of(*reasons: TextArray) -> TextArray:
    """The first reason that there is against each."""
    found = reasons[0].astype("U128")
    for more in reasons[1:]:
        found = np.where(found == "", more, found)
    return found


def best_of(
    reasons: TextArray,
    images: VisitImages,
    overlaps: BoolArray,
    values: FloatArray,
    *,
    n: int | None,
    what: str,
    unit: str,
) -> TextArray:
    """The ``n`` smallest values among the images that overlap and have no reason against them; None is all.

    Equal ones are taken in order of visit and detector.
    """
    if n is None:
        return reasons
    order = np.lexsort((images.detector, images.visit, values))
    candidates = order[(reasons[order] == "") & overlaps[order]]
    found = reasons.copy()
    for i in candidates[n:]:
        found[i] = f"{what} {_number(values[i], unit)} is not among the {n} smallest"
    return found


def by_visit(
    images: VisitImages, values: FloatArray, statistic: Callable[[FloatArray], FloatArray | float]
) -> FloatArray:
    """A statistic of the known values of all images of each visit, given to every image of it; shape (n,)."""
    found = np.full(len(images), np.nan)
    order = np.argsort(images.visit, kind="stable")
    _, first = np.unique(images.visit[order], return_index=True)
    for own in np.split(order, first[1:]):
        known = values[own][np.isfinite(values[own])]
        if len(known):
            found[own] = statistic(known)
    return found


def visits_of(images: VisitImages, chosen: BoolArray) -> BoolArray:
    """Which images are of visits of which one is chosen."""
    return np.isin(images.visit, images.visit[chosen])


def _number(value: float, unit: str) -> str:
    return f"{value:.7g} {unit}".rstrip()
