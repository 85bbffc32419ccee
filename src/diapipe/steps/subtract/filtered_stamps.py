"""Stamps around stars of two images, each through its filter: what an agreement about the stars is fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from diapipe.images.box import Box
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.kernel_bases import KernelBasis, StampConvolver
from diapipe.numerics.model_error import relative_error
from diapipe.numerics.small_convolution import convolved_within
from diapipe.numerics.stamp_sums import StampSums, offsets
from diapipe.numerics.stats import median, thinned
from diapipe.numerics.whitening import centred_spectrum, noise_power

LARGEST_VARIANCE = 1e6
"""A variance so many times the median says that the pixel is unusable."""

LEAST_GOOD = 0.7
"""Part of a stamp that must be usable."""

MODEL_FLOOR = 0.002
"""Error allowed to κ as a fraction of the pixel: keeps a few very bright stars from ruling the fit."""

ERROR_SIGMA = 5.0
"""The relative error of what is left counts where it is this significant."""


class Side(NamedTuple):
    """One image of the two.

    ``pixels`` finite, ``variance`` of each as far as known, the ``filter`` that the image is to be convolved with, and
    the autocorrelation of its noise, None for white.
    """

    pixels: Float32Array
    variance: Float32Array
    filter: SpatialKernel
    correlation: FloatArray | None


@dataclass(frozen=True, slots=True, eq=False)
class FilteredStamps:
    """Filtered stamps around the stars; shapes (n, n_pixels) but for ``regressors``, (n, n_basis + 1, n_pixels)."""

    x: FloatArray
    y: FloatArray
    basis: KernelBasis
    regressors: Float32Array
    difference: Float32Array
    light: Float32Array
    variance: Float32Array
    good: BoolArray
    noises: tuple[Float32Array, Float32Array]
    """Variance of either filtered image."""
    shared: tuple[FloatArray, FloatArray]
    """What the noise of the difference and that of the regressors have in common, (n, n_basis), a unit of each."""

    @property
    def weighted_variance(self) -> Float32Array:
        """With what is allowed to the model."""
        return self.variance + (np.float32(MODEL_FLOOR) * self.light) ** 2

    @property
    def freedom(self) -> float:
        """A scatter so large that the constant of every stamp is its own."""
        return 1e3 * float(np.sqrt(median(self.variance)))

    def sums(self, good: BoolArray) -> StampSums:
        """Normal matrices, what the images' own noise adds on average to the right-hand side taken out."""
        weight = np.where(good, 1.0 / self.weighted_variance, np.float32(0.0))
        weighted = self.regressors * weight[:, None]
        matrix = np.matmul(weighted, self.regressors.transpose(0, 2, 1)).astype(np.float64)
        vector = np.matmul(weighted, self.difference[:, :, None])[..., 0].astype(np.float64)
        for noise, shared in zip(self.noises, self.shared, strict=True):
            vector[:, :-1] -= (weight * noise).sum(axis=1, dtype=np.float64)[:, None] * shared
        square = (weight * self.difference**2).sum(axis=1, dtype=np.float64)
        # the noise of the mean is half that of the difference, and as white
        own = (weight * self.variance).sum(axis=1, dtype=np.float64) / 4.0
        return StampSums(matrix, vector, square, own, good.sum(axis=1).astype(np.float64))

    def residuals(self, local: FloatArray, plain: StampSums) -> Float32Array:
        """Difference less κ ⊗ M and the constant."""
        found = local.copy()
        found[:, -1] += offsets(plain, local)[0]
        model = np.matmul(found[:, None].astype(np.float32), self.regressors)[:, 0]
        return np.asarray(self.difference - model, dtype=np.float32)

    def relative_error(self, local: FloatArray, plain: StampSums, kept: IntArray, good: BoolArray) -> float:
        """What is left, as a fraction of the light."""
        left = self.residuals(local, plain)
        found = relative_error(left[kept], self.light[kept], self.variance[kept], good[kept])
        return found.value if found.significance > ERROR_SIGMA else 0.0


def usable_stars(good: BoolArray, box: Box, *, x: FloatArray, y: FloatArray, half: int) -> IntArray:
    """Indices of the stars whose stamps of ``2 half + 1`` pixels lie in the box and are good enough."""
    rows, columns = _pixels(box, x, y)
    # a stamp that reaches over the border would count pixels twice
    inside = (columns >= half) & (columns < box.width - half) & (rows >= half) & (rows < box.height - half)
    return np.flatnonzero(inside & (_stack(good, rows, columns, half).mean(axis=(1, 2)) > LEAST_GOOD))


def cut_filtered(
    sides: tuple[Side, Side],
    good: BoolArray,
    box: Box,
    basis: KernelBasis,
    *,
    x: FloatArray,
    y: FloatArray,
    half: int,
) -> FilteredStamps:
    """Stamps of both images through their filters, around at least one star; arguments as of `usable_stars`."""
    rows, columns = _pixels(box, x, y)
    reach, side, n = basis.size // 2, 2 * half + 1, len(x)
    filtered, noises, shared = [], [], []
    for sign, image in zip((0.5, -0.5), sides, strict=True):
        filters = np.array([image.filter.image_at(x=at_x, y=at_y) for at_x, at_y in zip(x, y, strict=True)])
        wide = _stack(image.pixels, rows, columns, half + reach + image.filter.half)
        filtered.append(convolved_within(wide, filters))
        gains, products = _noise(filters, image.correlation, basis)
        own = convolved_within(
            _without_gaps(_stack(image.variance, rows, columns, half + image.filter.half)), filters**2
        )
        noises.append((own * gains.astype(np.float32)[:, None, None]).reshape(n, -1))
        shared.append(sign * products)
    mean, inner = 0.5 * (filtered[0] + filtered[1]), np.s_[:, reach : reach + side, reach : reach + side]
    convolve = StampConvolver(basis, side)
    regressors = np.ones((n, len(basis) + 1, side * side), np.float32)
    for k in range(n):
        regressors[k, :-1] = convolve(np.ascontiguousarray(mean[k]))
    return FilteredStamps(
        x=x,
        y=y,
        basis=basis,
        regressors=regressors,
        difference=(filtered[0] - filtered[1])[inner].reshape(n, -1),
        light=np.clip(mean[inner], 0.0, None).reshape(n, -1),
        variance=np.maximum(noises[0] + noises[1], np.finfo(np.float32).tiny),
        good=_stack(good, rows, columns, half).reshape(n, -1),
        noises=(noises[0], noises[1]),
        shared=(shared[0], shared[1]),
    )


def _pixels(box: Box, x: FloatArray, y: FloatArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pixels nearest to positions."""
    rows, columns = (np.floor(at + 0.5).astype(np.int64) - first for at, first in ((y, box.y0), (x, box.x0)))
    return rows, columns


def _stack[T: np.generic](plane: NDArray[T], rows: IntArray, columns: IntArray, half: int) -> NDArray[T]:
    """Squares around pixels, shape (n, 2 half + 1, 2 half + 1); the plane is continued by reflection."""
    offset = np.arange(-half, half + 1)
    y, x = (_reflected(at[:, None] + offset, n) for at, n in zip((rows, columns), plane.shape, strict=True))
    return np.asarray(plane[y[:, :, None], x[:, None, :]])


def _without_gaps(variance: Float32Array) -> Float32Array:
    """Variance of stamps, the median where there is none that noise could have."""
    known = np.isfinite(variance) & (variance > 0)
    usual = np.float32(median(thinned(variance[known], 10_000)) if known.any() else 1.0)
    return np.where(known & (variance < LARGEST_VARIANCE * usual), variance, usual)


def _reflected(index: IntArray, n: int) -> IntArray:
    """Index of the pixel that stands in for one beyond the border of ``n``."""
    folded = np.mod(index, 2 * n)
    return np.asarray(np.minimum(folded, 2 * n - 1 - folded))


def _noise(filters: FloatArray, correlation: FloatArray | None, basis: KernelBasis) -> tuple[FloatArray, FloatArray]:
    """By what correlated noise is louder than white noise through each filter, shape (n,); and the filtered noise,
    of unit variance, times that of its convolution with the basis images, shape (n, n_basis).
    """
    n = next_fast_len(filters.shape[-1] + basis.size + (1 if correlation is None else len(correlation)), real=True)
    spectra = np.array([np.abs(centred_spectrum(image, n)) ** 2 for image in filters])
    auto = np.fft.irfft2(spectra * noise_power(correlation, n), (n, n))
    reach = np.arange(-(basis.size // 2), basis.size // 2 + 1)
    near = auto[:, reach[:, None], reach[None, :]] / auto[:, :1, :1]
    return auto[:, 0, 0] / (filters**2).sum(axis=(1, 2)), np.einsum("kvu,nvu->kn", near, basis.images)
