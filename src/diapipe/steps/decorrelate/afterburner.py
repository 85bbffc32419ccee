"""Afterburner: one whitening filter applied to the finished difference, following the kernel over the image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics import whitening
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.stats import median, thinned
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
        cells = _cells(box, self.cells)
        samples = [_whitening_in(cell, convolved, other, kernel) for cell in cells]
        if all(sample is None for sample in samples):
            return SpatialKernel.constant(np.ones((1, 1)), box)
        x, y = np.array([cell.x_center for cell in cells]), np.array([cell.y_center for cell in cells])
        stack = _with_neighbours(samples, x, y)
        reach, half = whitening.effective_reach(stack), stack.shape[-1] // 2
        cut = stack[:, half - reach : half + reach + 1, half - reach : half + reach + 1]
        cut = cut / cut.sum(axis=(1, 2), keepdims=True)
        order = 0 if kernel.field.order == 0 and self.cells == 1 else self.order
        while order > 0 and n_terms(order) > len(cut):
            order -= 1
        return SpatialKernel(ImageField.fitted(cut, x=x, y=y, order=order, box=box))


def _whitening_in(cell: Box, convolved: Exposure, other: Exposure, kernel: SpatialKernel) -> FloatArray | None:
    """Whitening kernel for the middle of a cell, from its sky variances; None where there are none."""
    t, s = _sky_variance(convolved.masked_image, cell), _sky_variance(other.masked_image, cell)
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


def _with_neighbours(samples: list[FloatArray | None], x: FloatArray, y: FloatArray) -> FloatArray:
    """Samples, the nearest known one in place of each unknown: a field fitted to a part of the frame alone runs off."""
    known = np.array([k for k, sample in enumerate(samples) if sample is not None])
    nearest = [known[np.argmin((x[known] - x[k]) ** 2 + (y[known] - y[k]) ** 2)] for k in range(len(samples))]
    return np.array([samples[k] for k in nearest], dtype=np.float64)


def _cells(box: Box, per_axis: int) -> list[Box]:
    """Boxes that tile ``box``."""
    rows = np.linspace(box.y0, box.y1, per_axis + 1).astype(int)
    columns = np.linspace(box.x0, box.x1, per_axis + 1).astype(int)
    return [
        Box(int(y0), int(y1), int(x0), int(x1))
        for y0, y1 in pairwise(rows)
        for x0, x1 in pairwise(columns)
        if y1 > y0 and x1 > x0
    ]


def _sky_variance(image: MaskedImage, cell: Box) -> float:
    """Median variance of the usable pixels of a cell; NaN where there are too few to tell."""
    step = max(1, int(np.sqrt(cell.area / 10_000)))
    rows, columns = cell.slices_in(image.box)
    rows, columns = slice(rows.start, rows.stop, step), slice(columns.start, columns.stop, step)
    variance = image.variance[rows, columns]
    good = np.isfinite(variance) & (variance > 0) & np.isfinite(image.image[rows, columns])
    return median(thinned(variance[good], 10_000)) if np.count_nonzero(good) >= 25 else float("nan")
