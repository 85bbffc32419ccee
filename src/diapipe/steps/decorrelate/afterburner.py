"""Afterburner: one whitening filter applied to the finished difference, following the kernel over the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.images.cells import cells_of, nearest_known, sky_variance
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics import whitening
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.polynomials import n_terms
from diapipe.steps.decorrelate.base import AbstractDecorrelator

DFT_SIDE = 128
"""Side of the DFT that the filter is computed on, for kernels of the usual sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Afterburner(AbstractDecorrelator):
    """Decorrelation by the local noise power (Reiss & Lupton 2016), sampled on a grid and made a smooth field.

    Attributes
    ----------
    cells
        Positions per axis at which kernel and variances are taken.
    order
        Polynomial order of the whitening kernel over the image.
    """

    may_be_zero = ("order",)

    cells: int = 6
    order: int = 3

    def whitening(self, convolved: Exposure, other: Exposure, kernel: SpatialKernel) -> SpatialKernel:
        """Whitening kernel for (other - kernel ⊗ convolved)."""
        box = other.box
        cells = cells_of(box, self.cells)
        samples = [_whitening_in(cell, convolved, other, kernel) for cell in cells]
        if all(sample is None for sample in samples):
            return SpatialKernel.constant(np.ones((1, 1)), box)
        x, y = np.array([cell.x_center for cell in cells]), np.array([cell.y_center for cell in cells])
        stack = nearest_known(samples, x, y)
        reach, half = whitening.effective_reach(stack), stack.shape[-1] // 2
        cut = stack[:, half - reach : half + reach + 1, half - reach : half + reach + 1]
        cut = cut / cut.sum(axis=(1, 2), keepdims=True)
        order = 0 if kernel.field.order == 0 and self.cells == 1 else self.order
        while order > 0 and n_terms(order) > len(cut):
            order -= 1
        return SpatialKernel(ImageField.fitted(cut, x=x, y=y, order=order, box=box))


def _whitening_in(cell: Box, convolved: Exposure, other: Exposure, kernel: SpatialKernel) -> FloatArray | None:
    """Whitening kernel for the middle of a cell, from its sky variances; None where there are none."""
    t, s = sky_variance(convolved.masked_image, cell), sky_variance(other.masked_image, cell)
    if not (np.isfinite(t) and np.isfinite(s)):
        return None
    return whitening.whitening_kernel(
        kernel.image_at(x=cell.x_center, y=cell.y_center),
        convolved_variance=t,
        other_variance=s,
        convolved_correlation=convolved.noise_correlation,
        other_correlation=other.noise_correlation,
        n=max(DFT_SIDE, 2 * kernel.size),
    )
