"""select_images: which images of a survey the coadd of a patch is made of, each with the reason if it is not."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from astropy.table import Table

from diapipe.catalogs.visit_images import TextArray, VisitImages
from diapipe.images.tracts import Tract
from diapipe.numerics.arrays import BoolArray
from diapipe.steps.coadd.selection.base import BEYOND, AbstractVisitSelector, first_of, taken
from diapipe.steps.coadd.selection.best_seeing import BestSeeing
from diapipe.steps.coadd.selection.best_seeing_quantile import BestSeeingQuantile
from diapipe.steps.coadd.selection.best_seeing_visits import BestSeeingVisits
from diapipe.steps.coadd.selection.overlapping import Overlapping
from diapipe.steps.coadd.selection.psf_quality import PsfQuality
from diapipe.steps.coadd.selection.time_best_seeing import TimeBestSeeing
from diapipe.steps.coadd.selection.whole_visits import WholeVisits
from diapipe.steps.family import Family

__all__ = [
    "BEYOND",
    "SELECTIONS",
    "AbstractVisitSelector",
    "BestSeeing",
    "BestSeeingQuantile",
    "BestSeeingVisits",
    "Overlapping",
    "PsfQuality",
    "TimeBestSeeing",
    "WholeVisits",
    "select_images",
]

SELECTIONS: Family[AbstractVisitSelector] = Family(
    "select visits",
    {
        "best_seeing_quantile": BestSeeingQuantile,
        "best_seeing_visits": BestSeeingVisits,
        "best_seeing": BestSeeing,
        "time_best_seeing": TimeBestSeeing,
        "psf_wcs": PsfQuality,
        "wcs": Overlapping,
    },
)

NO_SCALE = "has no photometric scale"
OTHER_SCALE = "shares no stars with the {n} that are taken, which are on another flux scale"
OTHER_INSTRUMENT = "is not of {name}, as the {n} that are taken"
BY_HAND = "its visit was kept out by hand"
NOT_LISTED = "its visit is not among those asked for"


def select_images(
    images: VisitImages,
    *,
    tract: Tract,
    patch_index: int,
    selector: AbstractVisitSelector | None = None,
    only_visits: Collection[int] | None = None,
    excluded_visits: Collection[int] = (),
    excluded_detectors: Collection[int] = (),
) -> Table:
    """Choose the images of a coadd by tables alone; no image is opened.

    Parameters
    ----------
    images
        Visit summaries of one band.
    tract, patch_index
        Where the coadd is made; an image must share sky with the outer box of the patch.
    selector
        Which of them are fit; the sharpest third of the visits where left out.
    only_visits
        Visits that may be taken; None is all.
    excluded_visits, excluded_detectors
        What must not be taken. It does not count when the best of the others are chosen.

    Returns
    -------
    astropy.table.Table
        ``template_visits``: a row for every image, in order of instrument, visit and detector, with the reason if it is
        left out. All that are selected are of one instrument and on one flux scale: that of which most are.

    Raises
    ------
    InputError
        If the visit summaries lack a column by which the choice is made.
    """
    selector = selector or BestSeeingQuantile()
    order = np.lexsort((images.detector, images.visit, images.instrument))
    images = VisitImages(images.table[order])
    against = first_of(
        _listed(images, only_visits, excluded_visits, excluded_detectors),
        np.where(_scaled(images), "", NO_SCALE).astype("U128"),
    )
    corners = {"ra_deg": images.column("raCorners"), "dec_deg": images.column("decCorners")}
    overlaps = tract.touched_by(tract.patch(patch_index).outer, **corners)
    found = _of_one_scale(images, overlaps, against == "", selector)
    beyond = np.where(overlaps, "", BEYOND).astype("U128")
    return images.template_visits(first_of(beyond, against, found))


def _of_one_scale(
    images: VisitImages, overlaps: BoolArray, candidates: BoolArray, selector: AbstractVisitSelector
) -> TextArray:
    """Reasons of the selector among the images of each flux scale, and against all but the scale that has the most."""
    found, scales = taken(images), images.flux_scale
    n_taken = dict.fromkeys(np.unique(scales[candidates]).tolist(), 0)
    for scale in n_taken:
        own = candidates & (scales == scale)
        found[own] = selector.reasons(images.rows(own), overlaps[own])
        n_taken[scale] = int((overlaps & own & (found == "")).sum())
    if len(n_taken) > 1:
        best = max(n_taken, key=lambda scale: n_taken[scale])  # the first of equals: true nJy before others
        name = images.instrument[scales == best][0]
        other = OTHER_SCALE.format(n=n_taken[best]), OTHER_INSTRUMENT.format(n=n_taken[best], name=name)
        said = np.where(images.instrument == name, *other)
        found = np.where(candidates & (scales != best) & (found == ""), said, found).astype("U128")
    return found


def _listed(
    images: VisitImages, only: Collection[int] | None, visits: Collection[int], detectors: Collection[int]
) -> TextArray:
    """Reasons of those who ask."""
    found = taken(images)
    if only is not None:
        found[~np.isin(images.visit, list(only))] = NOT_LISTED
    found[np.isin(images.visit, list(visits))] = BY_HAND
    found[np.isin(images.detector, list(detectors))] = "its detector was kept out by hand"
    return found


def _scaled(images: VisitImages) -> BoolArray:
    """Which images have a flux scale, as a mean with others needs; all, where the tables do not speak of it."""
    if not images.has("nJyPerCount"):
        return np.ones(len(images), dtype=np.bool_)
    return np.asarray(images.column("nJyPerCount") > 0)
