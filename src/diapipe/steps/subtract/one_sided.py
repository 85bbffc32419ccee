"""OneSided: one image is convolved with the matching kernel, the difference whitened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import ConvolvedPsf
from diapipe.numerics.arrays import Float32Array, IntArray
from diapipe.steps.subtract.base import AbstractSubtractor, Pair, Subtracted
from diapipe.steps.subtract.convolve import convolve_pixels, propagated_variance, whiten, without_holes
from diapipe.steps.subtract.masks import combined_mask
from diapipe.steps.subtract.settle import settle_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSided(AbstractSubtractor):
    """The matching kernel carries the sharper image to the PSF of the other (Alard & Lupton 1998).

    Notes
    -----
    With the template convolved D = ψ ⊗ (S - K ⊗ T - b), of variance ψ² ⊗ V_S + (ψ ⊗ K)² ⊗ V_T and PSF ψ ⊗ P_S. With the
    science image convolved the same with the roles exchanged, the sign turned and all divided by ΣK. An error f of the
    match adds f² (K ⊗ T)² to the variance of the reference: it is taken to differ from pixel to pixel.
    """

    whitens: ClassVar[bool] = False

    def subtracted(self, pair: Pair, *, whitening: SpatialKernel | None, n_threads: int) -> Subtracted:
        """Match, subtract, whiten."""
        science, template, target, reference = pair.science, pair.template, pair.target, pair.reference
        kernel, background = pair.kernel, pair.background
        if reference.psf is None:
            raise PsfUndefinedError(f"{reference.name} has no PSF; the difference would have none")
        scale = np.float32(1.0 if pair.convolved == "template" else -1.0 / kernel.sum)
        of_target = target.masked_image.usable()
        filled, cores = without_holes(target, of_target)
        good = np.logical_and(of_target, reference.masked_image.usable(), out=of_target)
        bad = np.flatnonzero(~good)
        matched = convolve_pixels(filled, target.box, kernel, n_threads=n_threads)
        uncertain = _with_error(reference, matched, pair.relative_error)
        matched += background.over(reference.box)
        settle_cores(matched, filled, cores, kernel, reference=reference.masked_image, good=good)
        variance = propagated_variance(uncertain, target, kernel, whitening, n_threads=n_threads)
        mask = combined_mask(
            science.masked_image,
            template.masked_image,
            kernel,
            convolved=pair.convolved,
            filled=filled,
            variance=variance,
        )
        del filled
        if scale != 1.0:
            variance *= scale**2
        pixels = _plain(reference, matched, bad, scale)
        if whitening is not None:
            pixels = whiten(pixels, bad, science.box, whitening, n_threads=n_threads)
        return Subtracted(
            pixels=pixels,
            mask=mask,
            variance=variance,
            bad=bad,
            psf=reference.psf if whitening is None else ConvolvedPsf(reference.psf, whitening),
            matched_template=_template_as_subtracted(template, matched, background, pair.convolved, kernel.sum),
            whitening=whitening,
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
