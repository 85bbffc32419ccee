"""The subtraction itself: image, variance, mask and PSF pass through matching and whitening together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.fields import ChebyshevField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.images.masked_image import MaskedImage
from diapipe.images.mesh_field import MeshField
from diapipe.images.psf import ConvolvedPsf
from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.steps.subtract.convolve import convolve_pixels, propagated_variance, whiten, without_holes
from diapipe.steps.subtract.excess import excess_noise
from diapipe.steps.subtract.flatten import residual_background
from diapipe.steps.subtract.masks import combined_mask
from diapipe.steps.subtract.settle import settle_cores


def subtract(
    science: Exposure,
    template: Exposure,
    kernel: SpatialKernel,
    background: ChebyshevField,
    *,
    convolved: str,
    whitening: SpatialKernel | None = None,
    relative_error: float = 0.0,
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
    relative_error
        Error of the matched pixels beyond their noise, as a fraction of their signal; its square times that of the
        signal is part of the variance.
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

    Notes
    -----
    With the template convolved D = ψ ⊗ (S - K ⊗ T - b), of variance ψ² ⊗ V_S + (ψ ⊗ K)² ⊗ V_T and PSF ψ ⊗ P_S. With the
    science image convolved the same with the roles exchanged, the sign turned and all divided by ΣK. An error f of the
    match adds f² (K ⊗ T)² to the variance of the reference: it is taken to differ from pixel to pixel.
    """
    target, reference = (template, science) if convolved == "template" else (science, template)
    if reference.psf is None:
        raise PsfUndefinedError(f"{reference.name} has no PSF; the difference would have none")
    scale = np.float32(1.0 if convolved == "template" else -1.0 / kernel.sum)
    of_target = target.masked_image.usable()
    filled, cores = without_holes(target, of_target)
    good = np.logical_and(of_target, reference.masked_image.usable(), out=of_target)
    bad = np.flatnonzero(~good)
    matched = convolve_pixels(filled, target.box, kernel, n_threads=n_threads)
    uncertain = _with_error(reference, matched, relative_error)
    matched += background.over(reference.box)
    settle_cores(matched, filled, cores, kernel, reference=reference.masked_image, good=good)
    variance = propagated_variance(uncertain, target, kernel, whitening, n_threads=n_threads)
    mask = combined_mask(
        science.masked_image,
        template.masked_image,
        kernel,
        convolved=convolved,
        filled=filled,
        variance=variance,
    )
    del filled
    if scale != 1.0:
        variance *= scale**2
    pixels = _plain(reference, matched, bad, scale)
    if whitening is not None:
        pixels = whiten(pixels, bad, science.box, whitening, n_threads=n_threads)
    width = reference.psf.sigma_at(x=science.box.x_center, y=science.box.y_center)
    residual = _flatten(pixels, mask, variance, science.box, psf_sigma_px=width)
    excess = excess_noise(pixels, mask, variance, int(UNUSABLE_DIFFERENCE), psf_sigma_px=width)
    if excess.variance_factor != 1.0:
        variance *= np.float32(excess.variance_factor)
    for image in (science.masked_image.image, template.masked_image.image):
        pixels.reshape(-1)[bad[~np.isfinite(image.reshape(-1)[bad])]] = np.nan
    return Difference(
        exposure=replace(
            science,
            masked_image=MaskedImage(pixels, mask, variance, science.box),
            psf=reference.psf if whitening is None else ConvolvedPsf(reference.psf, whitening),
            noise_correlation=excess.correlation,
            has_variance=True,
            has_mask=True,
        ),
        kernel=kernel,
        background=background,
        convolved=convolved,
        matched_template=_template_as_subtracted(template, matched, background, convolved, kernel.sum),
        whitening=whitening,
        residual_background=residual,
        variance_factor=excess.variance_factor,
    )


def _with_error(reference: Exposure, matched: Float32Array, relative_error: float) -> Exposure:
    """The reference with the error of the matched pixels in its variance."""
    if relative_error == 0.0:
        return reference
    planes = reference.masked_image
    error = np.float32(relative_error) * np.clip(matched, 0.0, None)
    return replace(reference, masked_image=replace(planes, variance=planes.variance + error**2))


def _plain(reference: Exposure, matched: Float32Array, bad: IntArray, scale: np.float32) -> Float32Array:
    """Reference minus matched target, scaled; of minus the match where a pixel is unusable."""
    plain = reference.masked_image.image - matched
    plain.reshape(-1)[bad] = -matched.reshape(-1)[bad]
    plain *= scale
    return plain


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
