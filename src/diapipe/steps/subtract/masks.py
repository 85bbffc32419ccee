"""The mask of a difference: both images' planes, the convolved one's grown by as much of the kernel as matters."""

from __future__ import annotations

import numpy as np

from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import OF_COADDS, UNUSABLE, MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics import mask_spread
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray

SPOILED_WEIGHT = 0.3
"""A pixel is masked where bad pixels of the convolved image carry more than this part of the kernel's weight Σ|K|.

They are filled before the convolution, so what they contribute is not wrong by much more than the noise; masking
the whole support of the kernel would blank several per cent of an image for nothing."""

FILL_ERROR = 0.3
"""Relative error of a filled pixel: with `CARRIED_ERROR`, what masks the surroundings of a defect that crosses a
star.
"""

CARRIED_ERROR = 1.0
"""A pixel is masked where the error that filled pixels may carry into it exceeds this many sigma of the difference."""

CORE_REACH_PX = 15
"""Beyond this distance a kernel carries too little for its defects to be masked."""


def combined_mask(
    science: MaskedImage,
    template: MaskedImage,
    kernel: SpatialKernel,
    *,
    convolved: str,
    filled: Float32Array,
    variance: Float32Array,
) -> MaskArray:
    """Planes of science as they are, those of the template as ``*_TEMPLATE``, and EDGE where the kernel leaves the
    image.

    Parameters
    ----------
    science, template
        On one grid.
    kernel
        Matching kernel.
    convolved
        Which image it was applied to, ``"template"`` or ``"science"``.
    filled
        The pixels that were convolved, with what unusable ones were filled with.
    variance
        Of the difference, before it is scaled.
    """
    central = np.abs(kernel.image_at(x=kernel.box.x_center, y=kernel.box.y_center))
    planes = {"science": science.mask, "template": template.mask}
    planes[convolved] = grown(planes[convolved], central, filled, variance)
    return joined(planes["science"], planes["template"], border=edge_width(central))


def joined(science: MaskArray, template: MaskArray, *, border: int) -> MaskArray:
    """Planes of science, those of the template under their names for it, and EDGE on ``border`` pixels all around."""
    mask = template & np.int32((1 << 11) - 1)
    mask <<= 11
    mask |= science
    mask |= template & np.int32(OF_COADDS)
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


def grown(mask: MaskArray, kernel: FloatArray, filled: Float32Array, variance: Float32Array) -> MaskArray:
    """Add the unusable planes to nearby pixels into which the kernel carries too much of their pixels, or of their
    error.
    """
    weight = np.abs(kernel)
    middle = weight.shape[0] // 2
    reach = min(middle, CORE_REACH_PX)
    core = weight[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    return mask_spread.spread(
        mask,
        int(UNUSABLE),
        filled,
        core.astype(np.float32),
        variance,
        edge=int(MaskPlane.EDGE),
        max_share=SPOILED_WEIGHT * float(weight.sum()),
        max_error=CARRIED_ERROR / FILL_ERROR,
    )
