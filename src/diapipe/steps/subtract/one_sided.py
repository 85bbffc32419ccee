"""OneSided: one image is convolved with the matching kernel, the difference whitened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diapipe.images.exposure import Exposure
from diapipe.images.kernel import SpatialKernel
from diapipe.images.psf import ConvolvedPsf
from diapipe.numerics.arrays import Float32Array, IntArray
from diapipe.steps.subtract.base import AbstractSubtractor, Pair, Subtracted
from diapipe.steps.subtract.convolve import difference_inputs, variance_through, whiten
from diapipe.steps.subtract.masks import combined_mask
from diapipe.steps.subtract.matched import matched_target, template_as_matched
from diapipe.steps.subtract.uneven import variance_for_fluxes


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
        target, kernel, box = pair.target, pair.kernel, pair.science.box
        scale = np.float32(1.0 if pair.convolved == "template" else -1.0 / kernel.sum)
        matched = matched_target(pair, n_threads=n_threads)
        reference, bad = matched.reference, matched.bad
        assert reference.psf is not None
        psf = reference.psf if whitening is None else ConvolvedPsf(reference.psf, whitening)
        variance = variance_through(difference_inputs(reference, target, kernel, whitening), n_threads=n_threads)
        mask = combined_mask(
            pair.science.masked_image,
            pair.template.masked_image,
            kernel,
            convolved=pair.convolved,
            filled=matched.filled,
            variance=variance,
        )
        if whitening is not None:
            inputs = difference_inputs(pair.reference, target, kernel, whitening)
            variance = variance_for_fluxes(variance, inputs, psf, n_threads=n_threads)
        if scale != 1.0:
            variance *= scale**2
        pixels = _plain(reference, matched.pixels, bad, scale)
        if whitening is not None:
            pixels = whiten(pixels, bad, box, whitening, n_threads=n_threads)
        return Subtracted(
            pixels=pixels,
            mask=mask,
            variance=variance,
            bad=bad,
            psf=psf,
            matched_template=template_as_matched(pair, matched.pixels),
            whitening=whitening,
            relative_error=pair.relative_error,
        )


def _plain(reference: Exposure, matched: Float32Array, bad: IntArray, scale: np.float32) -> Float32Array:
    """Reference minus matched target, scaled; of minus the match where a pixel is unusable."""
    plain = reference.masked_image.image - matched
    plain.reshape(-1)[bad] = -matched.reshape(-1)[bad]
    plain *= scale
    return plain
