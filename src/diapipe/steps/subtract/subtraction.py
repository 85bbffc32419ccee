"""The subtraction itself, and what every difference is then checked for: its level and its noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.images.box import Box
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.fields import ChebyshevField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.images.masked_image import MaskedImage
from diapipe.images.mesh_field import MeshField
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.steps.subtract.base import AbstractSubtractor, Pair
from diapipe.steps.subtract.excess import excess_noise
from diapipe.steps.subtract.flatten import residual_background
from diapipe.steps.subtract.one_sided import OneSided
from diapipe.steps.subtract.scores import whitened_correlation


def subtract(
    science: Exposure,
    template: Exposure,
    kernel: SpatialKernel,
    background: ChebyshevField,
    *,
    convolved: str,
    whitening: SpatialKernel | None = None,
    relative_error: float = 0.0,
    stars: tuple[FloatArray, FloatArray] | None = None,
    algorithm: AbstractSubtractor | None = None,
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
        Kernel of unit sum to convolve the difference with, or None to leave its noise as it is.
    relative_error
        Error of the matched pixels beyond their noise, as a fraction of their signal; its square times that of the
        signal is part of the variance.
    stars
        x and y of the stars that the match was fitted to, parent pixel coordinates, for an algorithm that looks at
        them itself.
    algorithm
        How; `OneSided` where left out.
    n_threads
        Threads over row bands; they change no bit of the result.

    Returns
    -------
    Difference
        With its variance, mask and PSF, on the box of the science image.

    Raises
    ------
    PsfUndefinedError
        If an image has no PSF.
    """
    algorithm = algorithm or OneSided()
    pair = Pair(
        science=science,
        template=template,
        kernel=kernel,
        background=background,
        convolved=convolved,
        relative_error=relative_error,
        stars=stars,
    )
    found = algorithm.subtracted(pair, whitening=whitening, n_threads=n_threads)
    pixels, mask, variance = found.pixels, found.mask, found.variance
    reference = pair.reference if pair.reference.psf is not None else science
    assert reference.psf is not None
    width = reference.psf.sigma_at(x=science.box.x_center, y=science.box.y_center)
    residual = _flatten(pixels, mask, variance, science.box, psf_sigma_px=width)
    difference = Difference(
        exposure=replace(
            science,
            masked_image=MaskedImage(pixels, mask, variance, science.box),
            psf=found.psf,
            noise_correlation=None,
            aperture_corrections=reference.aperture_corrections or science.aperture_corrections,
            has_variance=True,
            has_mask=True,
        ),
        kernel=kernel,
        background=background,
        convolved=convolved,
        matched_template=found.matched_template,
        whitening=found.whitening,
        template_filter=found.template_filter,
        residual_background=residual,
        relative_error=found.relative_error,
    )
    left = whitened_correlation(difference, science, template)
    bits = int(UNUSABLE_DIFFERENCE)
    excess = excess_noise(pixels, mask, variance, bits, psf_sigma_px=width, correlation=left)
    if excess.variance_factor != 1.0:
        variance *= np.float32(excess.variance_factor)
    for image in (science.masked_image.image, template.masked_image.image):
        pixels.reshape(-1)[found.bad[~np.isfinite(image.reshape(-1)[found.bad])]] = np.nan
    return replace(
        difference,
        exposure=replace(difference.exposure, noise_correlation=excess.correlation),
        variance_factor=excess.variance_factor,
    )


def _flatten(
    pixels: Float32Array, mask: MaskArray, variance: Float32Array, box: Box, *, psf_sigma_px: float
) -> MeshField | None:
    """Take what background is left out of ``pixels``, in place, and say what it was."""
    noise = np.sqrt(variance)
    found = residual_background(pixels / noise, mask, int(UNUSABLE_DIFFERENCE), box, psf_sigma_px=psf_sigma_px)
    if found is not None:
        level = found.over(box)
        level *= noise
        pixels -= level
    return found
