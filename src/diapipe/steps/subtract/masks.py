"""The mask of a difference: both images' planes, the convolved one's grown by as much of the kernel as matters."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE, MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import FloatArray, MaskArray

SPOILED_WEIGHT = 0.2
"""A pixel is masked where bad pixels of the convolved image carry more than this part of the kernel's weight Σ|K|.

They are filled from their neighbours before the convolution, so what they contribute is not wrong by much more than the
noise; masking the whole support of the kernel would blank several per cent of an image for nothing."""


def combined_mask(science: MaskedImage, template: MaskedImage, kernel: SpatialKernel, *, convolved: str) -> MaskArray:
    """Planes of science as they are, those of the template as ``*_TEMPLATE``, and EDGE where the kernel leaves the image.

    Parameters
    ----------
    science, template
        On one grid.
    kernel
        Matching kernel.
    convolved
        Which image it was applied to, ``"template"`` or ``"science"``.
    """
    central = np.abs(kernel.image_at(x=kernel.box.x_center, y=kernel.box.y_center))
    planes = {"science": science.mask.copy(), "template": template.mask.copy()}
    planes[convolved] = _grown(planes[convolved], central)
    mask = planes["science"] | ((planes["template"] & np.int32((1 << 11) - 1)) << 11)
    border = edge_width(central)
    if border:
        edge = np.int32(int(MaskPlane.EDGE))
        mask[:border] |= edge
        mask[-border:] |= edge
        mask[:, :border] |= edge
        mask[:, -border:] |= edge
    return np.asarray(mask, dtype=np.int32)


def edge_width(kernel: FloatArray) -> int:
    """Pixels from the border within which more than `SPOILED_WEIGHT` of the kernel's weight lies outside the image."""
    marginal = kernel.sum(axis=0) + kernel.sum(axis=1)
    outside = np.cumsum(marginal[::-1]) / marginal.sum()
    half = kernel.shape[0] // 2
    # at the d-th pixel from the border the columns beyond d are outside
    return int(np.count_nonzero(outside[:half][::-1] > SPOILED_WEIGHT))


def _grown(mask: MaskArray, kernel: FloatArray) -> MaskArray:
    """Add each unusable plane where its pixels carry more than `SPOILED_WEIGHT` of the kernel."""
    grown = mask.copy()
    half = kernel.shape[0] // 2
    weight = kernel / kernel.sum()
    reach = max(r for r in range(half + 1) if r == 0 or weight[half, half + r] > 1e-3)
    weight = weight[half - reach : half + reach + 1, half - reach : half + reach + 1]
    rows, columns = np.nonzero(mask & np.int32(int(UNUSABLE)))
    if len(rows) == 0:
        return grown
    for plane in UNUSABLE:
        bit = np.int32(int(plane))
        bad = (mask & bit) != 0
        if bad.any():
            near = ndimage.binary_dilation(bad, iterations=1, structure=np.ones((3, 3))) & ~bad
            y, x = np.nonzero(near)
            carried = _carried(bad, weight, y, x)
            hit = carried > SPOILED_WEIGHT
            grown[y[hit], x[hit]] |= bit
    return grown


def _carried(bad: np.ndarray, weight: FloatArray, y: np.ndarray, x: np.ndarray) -> FloatArray:
    """Part of the kernel's weight that lies on bad pixels, at each of the given pixels."""
    reach = weight.shape[0] // 2
    padded = np.pad(bad, reach)
    carried = np.zeros(len(y))
    for v in range(-reach, reach + 1):
        for u in range(-reach, reach + 1):
            carried += weight[reach + v, reach + u] * padded[y - v + reach, x - u + reach]
    return carried
