"""What two PSF models lack, told by the stars: a small kernel with which two filtered images agree about them.

S' = A ⊗ S and T' = B ⊗ T are alike at constant stars but for the errors of the PSF models that A and B were made of.
With M their mean,

    S' - T' = κ ⊗ M + a constant in every stamp

is solved for a smooth κ over stamps around stars. Half of it goes to each side, so that nothing tells the images apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from diapipe.images.box import Box
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.kernel_bases import KernelBasis, StampConvolver, gaussian_basis, noise_products
from diapipe.numerics.kernel_fit import held_out, solve
from diapipe.numerics.model_error import relative_error
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.small_convolution import convolved_within
from diapipe.numerics.stamp_sums import StampSums, chi_squares, loosened, offsets
from diapipe.numerics.stats import median, robust_sigma, thinned
from diapipe.numerics.whitening import centred_spectrum, noise_power

POINT_SIGMA_PX = 0.1
"""A Gaussian so narrow is one pixel: the first basis image of κ, by which the fluxes of the models are off."""

WIDTHS = (0.7, 1.4)
DEGREES = (2, 2)
"""The others, in sigma of the sharper PSF: place, width and ellipticity of the cores, and of what lies around them."""

LEAST_WIDTH_PX = 0.8

HIGHEST_ORDER = 2
"""Of κ over the image."""

LARGEST_VARIANCE = 1e6
"""A variance so many times the median says that the pixel is unusable."""

STAMP_SIGMAS = 5.0
"""Half-size of the stamps, in sigma of the wider PSF."""

LEAST_STARS, MOST_STARS = 10, 300
"""With fewer stars the models are taken as they are; of more, evenly many are left out."""

STARS_PER_TERM = 4

LEAST_GOOD = 0.7
"""Part of a stamp that must be usable."""

MODEL_FLOOR = 0.002
"""Error allowed to κ as a fraction of the pixel: keeps a few very bright stars from ruling the fit."""

RESTRAINT = 10.0
"""Quadratic penalty on κ, in units of the noise that it would carry into the stamps: the sharpest parts of κ, of which
smooth stars say nothing, stay near zero. With 0 neighbouring pixels correlated by 0.007, with 3 by 0.0014, with 10 by
0.001, as they do without κ; what it makes of a crowded field is the same.
"""

N_ROUNDS = 3
PIXEL_CLIP, STAMP_CLIP = 5.0, 5.0
"""Pixels and stamps that lie this many sigma off are left out of the next round."""

ORDER_SIGMA = 1.0
"""More freedom must lower the held-out χ² by this many standard errors, or there is none."""

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


class Agreement(NamedTuple):
    """``kernel`` is κ, or None where the stars do not ask for one; ``relative_error`` what is left, as a fraction of
    the light, from stars that κ was not fitted to; 0 where that is not significant.
    """

    kernel: SpatialKernel | None
    relative_error: float


def agreement(
    sides: tuple[Side, Side],
    good: BoolArray,
    box: Box,
    *,
    x: FloatArray,
    y: FloatArray,
    sharper_px: float,
    wider_px: float,
) -> Agreement | None:
    """Find κ; None if there are too few stars to tell.

    Parameters
    ----------
    sides
        Science and template, of one shape.
    good
        Pixels that count.
    box
        Where they lie.
    x, y
        Stars, parent pixel coordinates.
    sharper_px, wider_px
        Gaussian sigmas of the two PSFs.
    """
    every = max(1, -(-len(x) // MOST_STARS))
    stamps = _cut(sides, good, box, x[::every], y[::every], sharper_px=sharper_px, wider_px=wider_px)
    if len(stamps.x) < LEAST_STARS:
        return None
    products = np.diag(noise_products(stamps.basis, None))
    kept, clean_pixels = np.arange(len(stamps.x)), stamps.good.copy()
    terms = field_terms(box, HIGHEST_ORDER, x=stamps.x, y=stamps.y)
    for last in (False,) * (N_ROUNDS - 1) + (True,):
        plain = stamps.sums(clean_pixels)
        sums = loosened(plain, stamps.freedom).select(kept)
        penalty = np.diag(RESTRAINT * float(sums.noise.sum()) * np.r_[0.0, products[1:]])
        limits, unseen = _best(sums, terms[:, kept], penalty)
        solved = solve(sums, terms[:, kept], terms[:0, kept], penalty=penalty, max_terms=limits)
        local = solved.local(terms, terms[:0]) if limits.any() else np.zeros(plain.vector.shape)
        if not last:
            kept = _clipped(stamps, plain, local, kept, clean_pixels)
            if len(kept) < LEAST_STARS:
                return None
    every_unseen = local.copy()
    every_unseen[kept] = unseen
    error = stamps.relative_error(every_unseen, plain, kept, clean_pixels)
    if not limits.any():
        return Agreement(None, error)
    images = np.einsum("nt,nvu->tvu", solved.kernel, stamps.basis.images)
    return Agreement(SpatialKernel(ImageField(images, box)), error)


@dataclass(frozen=True, slots=True, eq=False)
class _Stamps:
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


def _cut(
    sides: tuple[Side, Side],
    good: BoolArray,
    box: Box,
    x: FloatArray,
    y: FloatArray,
    *,
    sharper_px: float,
    wider_px: float,
) -> _Stamps:
    """Stamps of both images through their filters."""
    widths = tuple(max(width * sharper_px, LEAST_WIDTH_PX) for width in WIDTHS)
    basis = gaussian_basis((POINT_SIGMA_PX, *widths), (0, *DEGREES), half=int(np.ceil(2.5 * max(widths))))
    half, reach = int(np.ceil(STAMP_SIGMAS * wider_px)), basis.size // 2
    columns, rows = (np.floor(at + 0.5).astype(np.int64) - first for at, first in ((x, box.x0), (y, box.y0)))
    usable = _stack(good, rows, columns, half)
    # a stamp that reaches over the border would count pixels twice
    inside = (columns >= half) & (columns < box.width - half) & (rows >= half) & (rows < box.height - half)
    chosen = np.flatnonzero(inside & (usable.mean(axis=(1, 2)) > LEAST_GOOD))
    x, y, rows, columns, usable = x[chosen], y[chosen], rows[chosen], columns[chosen], usable[chosen]
    side, n = 2 * half + 1, len(chosen)
    filtered, noises, shared = [], [], []
    for sign, image in zip((0.5, -0.5), sides, strict=True):
        filters = np.array([image.filter.image_at(x=at_x, y=at_y) for at_x, at_y in zip(x, y, strict=True)])
        filters = filters.reshape(n, image.filter.size, image.filter.size)
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
    return _Stamps(
        x=x,
        y=y,
        basis=basis,
        regressors=regressors,
        difference=(filtered[0] - filtered[1])[inner].reshape(n, -1),
        light=np.clip(mean[inner], 0.0, None).reshape(n, -1),
        variance=np.maximum(noises[0] + noises[1], np.finfo(np.float32).tiny),
        good=usable.reshape(n, -1),
        noises=(noises[0], noises[1]),
        shared=(shared[0], shared[1]),
    )


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
    spectra = np.array([np.abs(centred_spectrum(image, n)) ** 2 for image in filters]).reshape(-1, n, n // 2 + 1)
    auto = np.fft.irfft2(spectra * noise_power(correlation, n), (n, n))
    reach = np.arange(-(basis.size // 2), basis.size // 2 + 1)
    near = auto[:, reach[:, None], reach[None, :]] / auto[:, :1, :1]
    return auto[:, 0, 0] / (filters**2).sum(axis=(1, 2)), np.einsum("kvu,nvu->kn", near, basis.images)


def _best(sums: StampSums, terms: FloatArray, penalty: FloatArray) -> tuple[IntArray, FloatArray]:
    """Spatial terms of every basis image, all 0 where the models do as well as they are; and every star's own κ from
    the fit to the others.
    """
    n_stars, n_basis = len(sums.matrix), sums.matrix.shape[1] - 1
    affordable = [n_terms(order) for order in range(HIGHEST_ORDER + 1) if STARS_PER_TERM * n_terms(order) <= n_stars]
    tried = [np.r_[1, np.full(n_basis - 1, count)] for count in (0, *affordable)]
    found = [np.zeros(sums.vector.shape), *held_out(sums, terms, terms[:0], penalty=penalty, max_terms=tried)]
    scores = [chi_squares(sums, local) / np.maximum(sums.n_pixels, 1.0) for local in found]
    chosen = 0
    for index in range(1, len(found)):
        gain = np.sort(scores[chosen] - scores[index])
        # one variable star must not choose
        gain = gain[len(gain) // 40 : len(gain) - len(gain) // 40]
        if gain.mean() > ORDER_SIGMA * gain.std() / np.sqrt(len(gain)):
            chosen = index
    return tried[chosen - 1] if chosen else np.zeros(n_basis, np.int64), found[chosen]


def _clipped(stamps: _Stamps, plain: StampSums, local: FloatArray, kept: IntArray, good: BoolArray) -> IntArray:
    """The stamps that agree with the others; pixels that do not are taken out of ``good``."""
    left = stamps.residuals(local, plain)
    weight = np.where(good, 1.0 / stamps.weighted_variance, np.float32(0.0))
    reduced = (weight * left**2).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    level = float(np.median(reduced[kept]))
    good &= np.abs(left) < PIXEL_CLIP * np.sqrt(stamps.weighted_variance * max(level, 1.0))
    highest = level + STAMP_CLIP * (1.0 + LEAST_STARS / len(kept)) * max(robust_sigma(reduced[kept]), 0.05 * level)
    return np.asarray(kept[reduced[kept] <= highest])
