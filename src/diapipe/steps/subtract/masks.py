"""The mask of a difference: both images' planes, the convolved one's grown by as much of the kernel as matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE, MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, MaskArray

type IndexArray = NDArray[np.intp]

SPOILED_WEIGHT = 0.3
"""A pixel is masked where bad pixels of the convolved image carry more than this part of the kernel's weight Σ|K|.

They are filled before the convolution, so what they contribute is not wrong by much more than the noise; masking the whole
support of the kernel would blank several per cent of an image for nothing."""

FILL_ERROR = 0.3
"""Relative error of a filled pixel: with `CARRIED_ERROR`, what masks the surroundings of a defect that crosses a star."""

CARRIED_ERROR = 1.0
"""A pixel is masked where the error that filled pixels may carry into it exceeds this many sigma of the difference."""


def combined_mask(
    science: MaskedImage,
    template: MaskedImage,
    kernel: SpatialKernel,
    *,
    convolved: str,
    filled: Float32Array,
    sigma: Float32Array,
) -> MaskArray:
    """Planes of science as they are, those of the template as ``*_TEMPLATE``, and EDGE where the kernel leaves the image.

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
    sigma
        Error of the convolved image's match, in its reference's counts: that of the difference before scaling.
    """
    central = np.abs(kernel.image_at(x=kernel.box.x_center, y=kernel.box.y_center))
    planes = {"science": science.mask.copy(), "template": template.mask.copy()}
    planes[convolved] = _grown(planes[convolved], central, filled, sigma)
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


def _grown(mask: MaskArray, kernel: FloatArray, filled: Float32Array, sigma: Float32Array) -> MaskArray:
    """Add each unusable plane to nearby pixels into which the kernel carries too much of its pixels, or of their error.

    Works on lists of pixels: bad ones are few.
    """
    grown = mask.copy()
    rows, columns = np.nonzero(mask & np.int32(int(UNUSABLE)))
    if len(rows) == 0:
        return grown
    weight = np.abs(kernel) / np.abs(kernel).sum()
    reach = min(weight.shape[0] // 2, 6)
    middle = weight.shape[0] // 2
    weight = weight[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    padded = np.pad(mask, reach, mode="edge")
    error = np.zeros(padded.shape, np.float32)
    error[rows + reach, columns + reach] = FILL_ERROR * np.abs(filled[rows, columns]) * np.abs(kernel).sum()
    y, x = rows, columns
    present = int(np.bitwise_or.reduce(mask[rows, columns]))
    for _ in range(3):
        y, x = _neighbours(y, x, mask.shape)
    spoiled = _carried(error, weight, y, x) > CARRIED_ERROR * sigma[y, x]
    for plane in UNUSABLE:
        if present & int(plane):
            bit = np.int32(int(plane))
            share = _carried((padded & bit) != 0, weight, y, x)
            hit = (share > SPOILED_WEIGHT) | (spoiled & (share > 0.0))
            grown[y[hit], x[hit]] |= bit
    return grown


def _neighbours(rows: IndexArray, columns: IndexArray, shape: tuple[int, int]) -> tuple[IndexArray, IndexArray]:
    """The pixels that touch the given ones, each once."""
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    y = np.concatenate([rows + dy for dy, _ in steps])
    x = np.concatenate([columns + dx for _, dx in steps])
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    flat = np.unique(y[inside] * shape[1] + x[inside])
    return flat // shape[1], flat % shape[1]


def _carried(padded: Float32Array | BoolArray, weight: FloatArray, y: IndexArray, x: IndexArray) -> Float32Array:
    """Σ weight times a plane that is padded by the weight's reach, at each of the given pixels."""
    reach = weight.shape[0] // 2
    carried = np.zeros(len(y), np.float32)
    for v in range(-reach, reach + 1):
        for u in range(-reach, reach + 1):
            carried += np.float32(weight[reach + v, reach + u]) * padded[y - v + reach, x - u + reach]
    return carried
