"""Convolution of images and of their noise with kernels that vary over the field."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE
from diapipe.numerics import convolution
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.whitening import effective_reach, noise_gain
from diapipe.steps.subtract.cores import Core, rebuild_cores

WHITENING_TOLERANCE = 1e-4
"""Error of a pixel of the whitening kernel: a difference of 10,000 counts is then right to one."""

CORE_HALF_PX = 9
"""Half-size of the part of a large kernel that is applied with all its factors."""

VARIANCE_GRID = 6
"""Positions per axis at which the kernels are squared."""

VARIANCE_TILES = (32, 16)
"""Tiles along y and x over which the squared kernel is constant: as many on a small image, where it varies as much."""


def without_holes(exposure: Exposure) -> tuple[Float32Array, list[Core]]:
    """Pixels ready for a convolution: unusable ones filled from their neighbours, saturated cores from the PSF; and
    those cores.
    """
    image = exposure.masked_image
    good = image.usable(UNUSABLE)
    pixels = image.image if good.all() else convolution.filled(image.image, good)
    return (pixels, []) if exposure.psf is None else rebuild_cores(pixels, image, exposure.psf)


def convolve_pixels(pixels: Float32Array, box: Box, kernel: SpatialKernel, *, n_threads: int = 1) -> Float32Array:
    """Kernel ⊗ finite pixels that lie at ``box``."""
    fields_at = _terms_of(kernel, box)
    core, rest = _core_and_rest(kernel.field.images)
    factored = convolution.factor(core)
    if len(factored.rows) > convolution.RANK_LIMIT:
        return convolution.convolve_fft(pixels, kernel.field.images, fields_at, n_threads=n_threads)
    out = convolution.convolve_separable(pixels, factored, fields_at, n_threads=n_threads)
    if rest is not None:
        out += convolution.convolve_separable(pixels, convolution.factor(rest), fields_at, n_threads=n_threads)
    return out


def whiten(
    pixels: Float32Array, good: BoolArray, box: Box, whitening: SpatialKernel, *, n_threads: int = 1
) -> Float32Array:
    """ψ ⊗ pixels with unusable ones at zero, so that they do not ring; those keep their own unwhitened value.

    ``pixels`` is used up.
    """
    change = whitening.field.images.copy()
    # ψ is almost a delta function: what it adds to the image needs fewer factors than ψ itself
    change[0, whitening.half, whitening.half] -= 1.0
    factored = convolution.factor(change, tolerance=WHITENING_TOLERANCE)
    kept = pixels[~good]
    pixels[~good] = 0.0
    white = convolution.convolve_separable(pixels, factored, _terms_of(whitening, box), n_threads=n_threads)
    white += pixels
    white[~good] = kept
    return white


def _terms_of(kernel: SpatialKernel, box: Box) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Spatial terms of a kernel at rows and columns of an array that lies at ``box``."""

    def fields_at(rows: FloatArray, columns: FloatArray) -> FloatArray:
        y, x = np.broadcast_arrays(rows + box.y0, columns + box.x0)
        return field_terms(kernel.box, kernel.field.order, x=x, y=y)

    return fields_at


def _core_and_rest(images: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """A kernel as its small core and the faint wings around it: the wings have few factors, the core is short."""
    half = images.shape[-1] // 2
    if half <= CORE_HALF_PX + 2:
        return images, None
    cut = slice(half - CORE_HALF_PX, half + CORE_HALF_PX + 1)
    rest = images.copy()
    rest[:, cut, cut] = 0.0
    return images[:, cut, cut], rest


def propagated_variance(
    reference: Exposure, target: Exposure, kernel: SpatialKernel, whitening: SpatialKernel | None, *, n_threads: int
) -> Float32Array:
    """Variance of ψ ⊗ (reference - kernel ⊗ target), each input's noise through its own effective kernel."""

    def of_target(x: float, y: float) -> FloatArray:
        image = kernel.image_at(x=x, y=y)
        if whitening is None:
            return image
        return convolved_in_full(image, whitening.image_at(x=x, y=y))

    carried = _carried_variance(target, of_target, n_threads=n_threads)
    if whitening is None:
        return reference.masked_image.variance + carried
    carried += _carried_variance(reference, lambda x, y: whitening.image_at(x=x, y=y), n_threads=n_threads)
    return carried


def _carried_variance(
    exposure: Exposure, effective: Callable[[float, float], FloatArray], *, n_threads: int
) -> Float32Array:
    """Variance of an exposure's noise after a kernel that is sampled on a grid and made a smooth field of its
    squares.
    """
    image, box = exposure.masked_image, exposure.box
    good = np.isfinite(image.variance) & (image.variance > 0)
    variance = image.variance if good.all() else convolution.filled(image.variance, good)
    at = (np.arange(VARIANCE_GRID) + 0.5) / VARIANCE_GRID
    x, y = (grid.ravel() for grid in np.meshgrid(box.x0 + at * box.width, box.y0 + at * box.height))
    kernels = [effective(*place) for place in zip(x, y, strict=True)]
    squares = np.array([cut**2 * noise_gain(cut, exposure.noise_correlation) for cut in kernels])
    half = squares.shape[-1] // 2
    reach = min(half, effective_reach(squares, lost=1e-3, least=1))
    core = squares[:, half - reach : half + reach + 1, half - reach : half + reach + 1]
    core = core * (squares.sum(axis=(1, 2)) / core.sum(axis=(1, 2)))[:, None, None]
    field = ImageField.fitted(core, x=x, y=y, order=4, box=box)

    def squares_at(column: float, row: float) -> FloatArray:
        # a field through squares may dip below zero where the kernel changes fast
        return np.maximum(field.at(x=column + box.x0, y=row + box.y0), 0.0)

    rows, columns = (max(16, -(-side // n)) for side, n in zip(box.shape, VARIANCE_TILES, strict=True))
    return convolution.propagate_variance(variance, squares_at, tile=(rows, columns), n_threads=n_threads)
