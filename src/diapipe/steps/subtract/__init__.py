"""subtract: science minus matched template, whitened, with variance, mask and PSF carried along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import signal

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.fields import ChebyshevField, ImageField, field_terms
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE, UNUSABLE_DIFFERENCE
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import ConvolvedPsf
from diapipe.numerics import convolution
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.whitening import effective_reach, noise_gain
from diapipe.steps.subtract.cores import rebuild_cores
from diapipe.steps.subtract.flatten import residual_background
from diapipe.steps.subtract.masks import combined_mask

__all__ = ["subtract"]

CORE_HALF_PX = 9
"""Half-size of the part of a large kernel that is applied with all its factors."""

VARIANCE_GRID = 6
"""Positions per axis at which the kernels are squared."""

VARIANCE_TILES = (32, 16)
"""Tiles along y and x over which the squared kernel is constant: as many on a small image, where it varies as much."""

WHITENING_TOLERANCE = 1e-4
"""Error of a pixel of the whitening kernel: a difference of 10,000 counts is then right to one."""


def subtract(
    science: Exposure,
    template: Exposure,
    kernel: SpatialKernel,
    background: ChebyshevField,
    *,
    convolved: str,
    whitening: SpatialKernel | None = None,
    n_threads: int = 1,
) -> Difference:
    """Science minus template, on the science image's grid and flux scale.

    Parameters
    ----------
    science, template
        On one grid, with PSFs.
    kernel, background
        From the match: reference ≈ kernel ⊗ target + background.
    convolved
        Which of the two is the target, ``"template"`` or ``"science"``.
    whitening
        Kernel of unit sum to convolve the difference with, or None to leave its noise correlated.
    n_threads
        Threads over row bands; they change no bit of the result.

    Raises
    ------
    PsfUndefinedError
        If an image has no PSF.

    Notes
    -----
    With the template convolved D = ψ ⊗ (S - K ⊗ T - b), of variance ψ² ⊗ V_S + (ψ ⊗ K)² ⊗ V_T and PSF ψ ⊗ P_S. With the
    science image convolved the same with the roles exchanged, the sign turned and all divided by ΣK.
    """
    target, reference = (template, science) if convolved == "template" else (science, template)
    if reference.psf is None:
        raise PsfUndefinedError(f"{reference.name} has no PSF; the difference would have none")
    scale = np.float32(1.0 if convolved == "template" else -1.0 / kernel.sum)
    good = reference.masked_image.usable() & target.masked_image.usable()
    filled = without_holes(target)
    matched = convolve_pixels(filled, target.box, kernel, n_threads=n_threads)
    matched += background.over(reference.box)
    plain = np.where(good, reference.masked_image.image, np.float32(0.0))
    plain -= matched
    plain *= scale
    variance = propagated_variance(reference, target, kernel, whitening, n_threads=n_threads)
    mask = combined_mask(
        science.masked_image,
        template.masked_image,
        kernel,
        convolved=convolved,
        filled=filled,
        variance=variance,
    )
    variance *= scale**2
    pixels = plain if whitening is None else _whitened(plain, good, science.box, whitening, n_threads)
    sigma = np.sqrt(variance)
    width = reference.psf.sigma_at(x=science.box.x_center, y=science.box.y_center)
    level = residual_background(pixels / sigma, mask, int(UNUSABLE_DIFFERENCE), psf_sigma_px=width)
    if level is not None:
        level *= sigma
        pixels -= level
    pixels[~np.isfinite(science.masked_image.image) | ~np.isfinite(template.masked_image.image)] = np.nan
    return Difference(
        exposure=replace(
            science,
            masked_image=MaskedImage(pixels, mask, variance, science.box),
            psf=reference.psf if whitening is None else ConvolvedPsf(reference.psf, whitening),
            noise_correlation=None,
            has_variance=True,
            has_mask=True,
        ),
        kernel=kernel,
        background=background,
        convolved=convolved,
        matched_template=_template_as_subtracted(template, matched, background, convolved, kernel.sum),
        whitening=whitening,
    )


def without_holes(exposure: Exposure) -> Float32Array:
    """Pixels ready for a convolution: unusable ones filled from their neighbours, saturated cores from the PSF."""
    image = exposure.masked_image
    good = image.usable(UNUSABLE)
    pixels = image.image if good.all() else convolution.filled(image.image, good)
    return pixels if exposure.psf is None else rebuild_cores(pixels, image, exposure.psf)


def convolve_pixels(pixels: Float32Array, box: Box, kernel: SpatialKernel, *, n_threads: int = 1) -> Float32Array:
    """Kernel ⊗ finite pixels that lie at ``box``."""

    def fields_at(rows: FloatArray, columns: FloatArray) -> FloatArray:
        y, x = np.broadcast_arrays(rows + box.y0, columns + box.x0)
        return field_terms(kernel.box, kernel.field.order, x=x, y=y)

    core, rest = _core_and_rest(kernel.field.images)
    factored = convolution.factor(core)
    if len(factored.rows) > convolution.RANK_LIMIT:
        return convolution.convolve_fft(pixels, kernel.field.images, fields_at, n_threads=n_threads)
    out = convolution.convolve_separable(pixels, factored, fields_at, n_threads=n_threads)
    if rest is not None:
        out += convolution.convolve_separable(pixels, convolution.factor(rest), fields_at, n_threads=n_threads)
    return out


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
        return np.asarray(signal.fftconvolve(image, whitening.image_at(x=x, y=y)), dtype=np.float64)

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


def _whitened(plain: Float32Array, good: BoolArray, box: Box, whitening: SpatialKernel, n_threads: int) -> Float32Array:
    """ψ ⊗ difference with unusable pixels at zero, so that they do not ring; they keep their own unwhitened value."""
    quiet = np.where(good, plain, np.float32(0.0))
    change = whitening.field.images.copy()
    middle = whitening.half
    # ψ is almost a delta function: what it adds to the image needs fewer factors than ψ itself
    change[0, middle, middle] -= 1.0
    factored = convolution.factor(change, tolerance=WHITENING_TOLERANCE)

    def fields_at(rows: FloatArray, columns: FloatArray) -> FloatArray:
        y, x = np.broadcast_arrays(rows + box.y0, columns + box.x0)
        return field_terms(whitening.box, whitening.field.order, x=x, y=y)

    white = convolution.convolve_separable(quiet, factored, fields_at, n_threads=n_threads)
    white += quiet
    np.copyto(white, plain, where=~good)
    return white


def _template_as_subtracted(
    template: Exposure, matched: Float32Array, background: ChebyshevField, convolved: str, kernel_sum: float
) -> MaskedImage:
    """The template on the science flux scale: convolved and with the background, or scaled where science was
    convolved.
    """
    if convolved == "template":
        return replace(template.masked_image, image=matched)
    pixels = (template.masked_image.image - background.over(template.box)) / np.float32(kernel_sum)
    return replace(template.masked_image, image=pixels)
