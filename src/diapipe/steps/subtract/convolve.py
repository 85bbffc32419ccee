"""Convolution of images and of their noise with kernels that vary over the field."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics import convolution
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.stats import median, thinned
from diapipe.numerics.whitening import effective_reach, noise_gain
from diapipe.steps.subtract.cores import Core, rebuild_cores

VARIANCE_GRID = 6
"""Positions per axis at which the kernels are squared."""

VARIANCE_ORDER = 3
"""Order of the field through the squares."""

VARIANCE_TOLERANCE = 1e-2
"""Part of the squared kernels that may be left out: measured, a variance is then right to 0.3%."""

LEAST_VARIANCE = np.float32(1e-3)
"""No propagated variance is below this part of the median."""

LARGEST_VARIANCE = 1e6
"""A pixel whose variance is this many times the median says by it that it is unusable; it is filled like others."""


type KernelAt = Callable[[float, float], FloatArray]
"""The image of a kernel at (x, y)."""


def without_holes(exposure: Exposure, good: BoolArray) -> tuple[Float32Array, list[Core]]:
    """Pixels ready for a convolution, those not ``good`` filled from their neighbours and saturated cores from the PSF;
    and those cores.
    """
    image = exposure.masked_image
    pixels = convolution.filled(image.image, good)
    return pixels, [] if exposure.psf is None else rebuild_cores(pixels, image, exposure.psf)


def convolve_pixels(pixels: Float32Array, box: Box, kernel: SpatialKernel, *, n_threads: int = 1) -> Float32Array:
    """Kernel ⊗ finite pixels that lie at ``box``."""
    return convolution.convolve(pixels, kernel.field.images, _terms_of(kernel.field, box), n_threads=n_threads)


def filtered_difference(
    first: tuple[Float32Array, SpatialKernel],
    second: tuple[Float32Array, SpatialKernel],
    box: Box,
    *,
    n_threads: int = 1,
) -> Float32Array:
    """Kernel ⊗ pixels of the first less that of the second, by one transform back; both fields of one order.

    Parameters
    ----------
    first, second
        Finite pixels, each with its kernel.
    box
        Where both lie.
    n_threads
        Threads over rows of tiles; they change no bit of the result.
    """
    kernels = [first[1].field.images, -second[1].field.images]
    # what is left out is measured by both, so that the scale of the pixels does not matter
    tolerance = convolution.TOLERANCE * float(np.sqrt(sum((images[0] ** 2).sum() for images in kernels)))
    terms = _terms_of(first[1].field, box)
    return convolution.convolve_sum([first[0], second[0]], kernels, terms, tolerance=tolerance, n_threads=n_threads)


def whiten(
    pixels: Float32Array, bad: IntArray, box: Box, whitening: SpatialKernel, *, n_threads: int = 1
) -> Float32Array:
    """ψ ⊗ pixels with unusable ones at zero, so that they do not ring; those keep their own unwhitened value.

    ``bad`` holds the indices of unusable pixels in the flattened array; ``pixels`` is used up.
    """
    flat = pixels.reshape(-1)
    kept = flat[bad]
    flat[bad] = 0.0
    white = convolve_pixels(pixels, box, whitening, n_threads=n_threads)
    white.reshape(-1)[bad] = kept
    return white


def _terms_of(field: ImageField, box: Box) -> convolution.FieldsAt:
    """Spatial terms of a field at rows and columns of an array that lies at ``box``."""

    def fields_at(rows: FloatArray, columns: FloatArray) -> FloatArray:
        y, x = np.broadcast_arrays(rows + box.y0, columns + box.x0)
        return field_terms(field.box, field.order, x=x, y=y)

    return fields_at


def difference_inputs(
    reference: Exposure, target: Exposure, kernel: SpatialKernel, whitening: SpatialKernel | None
) -> list[tuple[Exposure, KernelAt]]:
    """The images of ψ ⊗ (reference - kernel ⊗ target), each with the kernel that it goes through, but for its sign."""

    def of_target(x: float, y: float) -> FloatArray:
        image = kernel.image_at(x=x, y=y)
        if whitening is None:
            return image
        return convolved_in_full(image, whitening.image_at(x=x, y=y))

    def of_reference(x: float, y: float) -> FloatArray:
        return np.ones((1, 1)) if whitening is None else whitening.image_at(x=x, y=y)

    return [(target, of_target), (reference, of_reference)]


def variance_through(inputs: Sequence[tuple[Exposure, KernelAt]], *, n_threads: int) -> Float32Array:
    """Variance of a sum of exposures of one grid, each convolved with a kernel of its own that is told by position."""
    box = inputs[0][0].box
    planes = [usable_variance(exposure.masked_image.variance) for exposure, _ in inputs]
    fields = [_squares(exposure, kernel_at) for exposure, kernel_at in inputs]
    tolerance = VARIANCE_TOLERANCE * np.sqrt(sum(float((field.images[0] ** 2).sum()) for field in fields))
    carried = convolution.convolve_sum(
        planes,
        [field.images for field in fields],
        _terms_of(fields[0], box),
        tolerance=float(tolerance),
        n_threads=n_threads,
    )
    # what the brightest pixels leave of the rounding of a transform must not make a variance negative
    return np.maximum(carried, LEAST_VARIANCE * np.float32(median(thinned(carried, 10_000))), out=carried)


def _squares(exposure: Exposure, effective: Callable[[float, float], FloatArray]) -> ImageField:
    """Smooth field through the squares of a kernel, each with the gain that an exposure's correlated noise has."""
    box = exposure.box
    at = (np.arange(VARIANCE_GRID) + 0.5) / VARIANCE_GRID
    x, y = (grid.ravel() for grid in np.meshgrid(box.x0 + at * box.width, box.y0 + at * box.height))
    kernels = [effective(*place) for place in zip(x, y, strict=True)]
    squares = np.array([cut**2 * noise_gain(cut, exposure.noise_correlation) for cut in kernels])
    half = squares.shape[-1] // 2
    reach = min(half, effective_reach(squares, lost=1e-3, least=1))
    core = squares[:, half - reach : half + reach + 1, half - reach : half + reach + 1]
    core = core * (squares.sum(axis=(1, 2)) / core.sum(axis=(1, 2)))[:, None, None]
    return ImageField.fitted(core, x=x, y=y, order=VARIANCE_ORDER, box=box)


def usable_variance(variance: Float32Array) -> Float32Array:
    """A variance plane without values that no noise has."""
    limit = LARGEST_VARIANCE * median(thinned(variance, 10_000))
    good = (variance > 0) & (variance < limit)
    return variance if good.all() else convolution.filled(variance, good)
