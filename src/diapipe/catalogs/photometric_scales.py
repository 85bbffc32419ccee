"""``photometric_scale``: what a count of each image is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from diapipe.catalogs.schema import Column

LEAST_CHANGE = 0.005
"""A scale that changed by less is the same: fluxes of a season are to be on one scale to some 1%."""

PHOTOMETRIC_SCALE: tuple[Column, ...] = (
    Column("visit", "i8", "", "Identifier of the visit"),
    Column("detector", "i8", "", "Number of the detector"),
    Column("nJyPerCount", "f8", "nJy", "Flux of one count; NaN where it could not be found"),
    Column("nJyPerCountErr", "f8", "nJy", "Its error against the other images (relative) or the catalogue (reference)"),
    Column("nStars", "i4", "", "Stars of the image that the scale rests on"),
    Column("chi2", "f8", "", "Robust reduced chi squared of these stars, by the errors of their fluxes alone"),
    Column("scatter", "f8", "mag", "Robust scatter of these stars around the scale"),
    Column("component", "i4", "", "Images of one number share stars, and are on one scale; -1 for none"),
    Column("isReference", "?", "", "Image of the visit whose scale was set, and that all others follow"),
    Column("isAbsolute", "?", "", "The scale is in true nJy, not by a nominal zero point"),
    Column("reason", "U160", "", "Why there is no scale"),
)
"""In their order."""


def rescaled(then: Mapping[str, Any], now: Mapping[str, Any]) -> set[int]:
    """Visits of which an image has another scale than it had.

    Parameters
    ----------
    then, now
        Tables with columns of `PHOTOMETRIC_SCALE`.

    Notes
    -----
    |ln(c' / c)| > max(`LEAST_CHANGE`, √(σ² + σ'²)) with the flux c of a count and its relative error σ. An image that
    had no scale, or has none now, is none of them.
    """
    before, after = _by_image(then), _by_image(now)
    return {image[0] for image in before.keys() & after.keys() if _differ(before[image], after[image])}


def _by_image(table: Mapping[str, Any]) -> dict[tuple[int, int], tuple[float, float]]:
    """Flux of a count and its relative error, by visit and detector; images without a scale are left out."""
    keys = (np.asarray(table[name]).astype(int).tolist() for name in ("visit", "detector"))
    mean, error = (
        np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan) for name in ("nJyPerCount", "nJyPerCountErr")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.nan_to_num(error / mean)
    return {
        (visit, detector): (float(value), float(part))
        for visit, detector, value, part in zip(*keys, mean, relative, strict=True)
        if value > 0.0
    }


def _differ(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two scales are apart by more than their errors."""
    return bool(abs(np.log(other[0] / one[0])) > max(LEAST_CHANGE, np.hypot(one[1], other[1])))
