"""Saturated stars settled: the brightness of a rebuilt core is what makes its surroundings subtract.

The wings on one image tell the brightness of a clipped core only as well as the PSF's wings are known, and the kernel
carries the error of it around the star. The other image shows the same surroundings: what is left there is
regressed on what the kernel carries out of the core, and on its slopes for an error of its place.
"""

from __future__ import annotations

import numpy as np

from diapipe.images.box import Box
from diapipe.images.kernel import SpatialKernel
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.subtract.cores import Core

LEAST_CARRIED = 1.0
"""Pixels count into which the kernel carries this many sigma of the core's light."""

MIN_PIXELS = 30
"""Pixels that a regression needs."""

MATCH_ERROR = 0.02
"""Relative error allowed to the match of bright pixels, so that the innermost do not outvote the others."""

CLIP = 4.0
"""Pixels this many robust scatters off are left out of the second of two rounds: a neighbour that varies."""

LARGEST_CHANGE = 1.0
"""A core is made fainter or brighter by at most this part of its light."""


def settle_cores(
    matched: Float32Array,
    filled: Float32Array,
    cores: list[Core],
    kernel: SpatialKernel,
    *,
    reference: MaskedImage,
    good: BoolArray,
) -> None:
    """Correct what rebuilt cores contribute to the matched image, in place.

    Parameters
    ----------
    matched
        Kernel ⊗ filled target + background; changed around the cores.
    filled
        The target that was convolved; its cores are changed.
    cores
        The light that was put into each.
    kernel
        Matching kernel.
    reference
        The image that is matched.
    good
        Pixels that both images have.
    """
    frame = Box.from_shape(matched.shape)
    for core in cores:
        x, y = core.box.x_center, core.box.y_center
        image = kernel.image_at(x=x + reference.box.x0, y=y + reference.box.y0)
        wide = core.box.dilated(image.shape[0] // 2)
        inside = wide.intersect(frame)
        if inside is None:
            continue
        carried = convolved_in_full(core.light, image)[inside.slices_in(wide)]
        here = inside.slices_in(frame)
        regressors = np.stack([carried, -np.gradient(carried, axis=1), -np.gradient(carried, axis=0)])
        change = _regressed(
            reference.image[here] - matched[here], reference.variance[here], matched[here], regressors, good[here]
        )
        matched[here] += np.tensordot(change, regressors, axes=1).astype(np.float32)
        own = core.light > 0
        filled[core.box.slices_in(frame)][own] += (change[0] * core.light[own]).astype(np.float32)


def _regressed(
    residual: FloatArray | Float32Array,
    variance: Float32Array,
    light: Float32Array,
    regressors: FloatArray,
    good: BoolArray,
) -> FloatArray:
    """Coefficients of the carried light and its slopes, by weighted least squares with a constant; zeros if too few."""
    noise = np.sqrt(np.where(good, variance + (MATCH_ERROR * light) ** 2, 1.0))
    use = good & (np.abs(regressors[0]) > LEAST_CARRIED * noise)
    solution = np.zeros(len(regressors) + 1)
    for _ in range(2):
        if np.count_nonzero(use) < MIN_PIXELS:
            return np.zeros(len(regressors))
        design = np.concatenate([regressors[:, use], np.ones((1, np.count_nonzero(use)))]) / noise[use]
        solution, *_ = np.linalg.lstsq(design.T, residual[use] / noise[use], rcond=None)
        left = (residual - np.tensordot(solution[:-1], regressors, axes=1) - solution[-1]) / noise
        spread = max(1.0, 1.4826 * float(np.median(np.abs(left[use]))))
        use &= np.abs(left) < CLIP * spread
    return np.clip(solution[:-1], -LARGEST_CHANGE, LARGEST_CHANGE)
