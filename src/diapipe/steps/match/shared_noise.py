"""How much of the convolved image's noise is the other's too: all of it on a template that the science image went into.

The noise of the convolved image is taken out of the normal equations because it is nobody else's. What both share is
told by the pixels, and not by how well a kernel fits: that changed its mind with a few pixels, and all with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from diapipe.images.box import Box
from diapipe.images.mask import MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.common_noise import noise_correlation

CELL_PX = 128
"""Side of the squares that are looked at."""

CELLS = 16
"""At the most: a quarter of a million pixels, of which half are dark, tell the correlation to 0.005."""

DOUBT_SIGMA = 2.0
"""Less than so many errors is nothing; what is far beyond them stands."""


def shared_part(target: MaskedImage, reference: MaskedImage, flux_ratio: float, bad_planes: MaskPlane) -> float:
    """Part of the target's noise variance that comes from noise of the reference, from 0 to 1.

    A mean T of images of which R is one has the noise w R / k + the others'. Its covariance with R's own is w V_R / k,
    and with weights w by the inverse variances that is all of k V_T: the part is ρ √(V_R / V_T) / k.

    Parameters
    ----------
    target, reference
        The image to be convolved, and the other, on one grid.
    flux_ratio
        k, flux in the reference over flux in the target.
    bad_planes
        Pixels with any of these do not count.
    """
    parts, errors = [], []
    for cell in _cells(target.box):
        one, other = target[cell], reference[cell]
        good = one.usable(bad_planes) & other.usable(bad_planes)
        if not good.any():
            continue
        found = noise_correlation(one.image, other.image, good)
        scale = float(np.sqrt(np.median(other.variance[good]) / np.median(one.variance[good]))) / max(flux_ratio, 1e-30)
        parts.append(found.value * scale)
        errors.append(found.error * scale)
    weight = 1.0 / np.square(errors)
    if not weight.any():
        return 0.0
    part, error = float(weight @ parts / weight.sum()), 1.0 / float(np.sqrt(weight.sum()))
    doubt = DOUBT_SIGMA * error
    return min(part - doubt**2 / part, 1.0) if part > doubt else 0.0


def _cells(box: Box) -> Iterator[Box]:
    """Squares that tile the image, or are spread over a large one."""
    per_axis = int(np.sqrt(CELLS))
    starts = [
        np.unique(np.linspace(0, max(n - CELL_PX, 0), min(per_axis, -(-n // CELL_PX))).astype(int)) for n in box.shape
    ]
    for y in starts[0].tolist():
        for x in starts[1].tolist():
            y0, x0 = box.y0 + y, box.x0 + x
            yield Box(y0, min(y0 + CELL_PX, box.y1), x0, min(x0 + CELL_PX, box.x1))
