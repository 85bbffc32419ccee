"""The sky of one image above that of the other, where no stars tell it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField, field_terms
from diapipe.images.mask import UNUSABLE
from diapipe.numerics.arrays import BoolArray, RealArray
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.stats import robust_sigma, thinned

CELLS = 8
"""Along each axis."""

SAMPLES = 4000
"""Pixels of a cell that tell its median to 2% of the noise."""

DARK_SIGMA = 2.0
"""Pixels farther than this from their image's median have stars in them, or their wings."""

LEAST_PART = 0.2
"""A cell with a smaller part of usable pixels says nothing."""


def sky_difference(target: Exposure, reference: Exposure, scale: float, *, order: int | None) -> ChebyshevField:
    """A polynomial through the medians of reference minus ``scale`` x target in cells; 0 for the order None.

    A convolution leaves the median of the sky as it is, and a median does not see the stars, which are few pixels.
    """
    box = reference.box
    medians = np.array([_median(target, reference, scale, cell) for cell in _cells(box)])
    known = np.isfinite(medians)
    while order is not None and n_terms(order) > known.sum():
        order = order - 1 if order else None
    if order is None:
        return ChebyshevField.constant(0.0, box)
    x, y = np.array([(cell.x_center, cell.y_center) for cell in _cells(box)])[known].T
    coefficients, *_ = np.linalg.lstsq(field_terms(box, order, x=x, y=y).T, medians[known], rcond=None)
    return ChebyshevField(coefficients, box)


def _cells(box: Box) -> list[Box]:
    """Boxes that tile the image; fewer where it is small."""
    rows, columns = (np.linspace(0, n, min(CELLS, n) + 1).astype(int) for n in box.shape)
    return [
        Box(box.y0 + int(y0), box.y0 + int(y1), box.x0 + int(x0), box.x0 + int(x1))
        for y0, y1 in pairwise(rows)
        for x0, x1 in pairwise(columns)
    ]


def _median(target: Exposure, reference: Exposure, scale: float, cell: Box) -> float:
    """Median of the usable pixels of a cell; NaN where there are few."""
    one, other = target.masked_image[cell], reference.masked_image[cell]
    good = one.usable(UNUSABLE) & other.usable(UNUSABLE)
    if good.mean() < LEAST_PART:
        return float("nan")
    pixels, others = (thinned(image[good], SAMPLES) for image in (one.image, other.image))
    dark = _near_the_median(pixels) & _near_the_median(others)
    return float(np.median((others - scale * pixels)[dark]))


def _near_the_median(values: RealArray) -> BoolArray:
    """Pixels that hold no more light than noise explains."""
    return np.asarray(np.abs(values - np.median(values)) <= DARK_SIGMA * robust_sigma(values))
