"""What whitening leaves: noise that has no power at high frequencies cannot be made white, and errors of fluxes say so.

A template of coarser pixels, brought to the finer grid, has none there, nor has what is convolved to a wider PSF.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.cells import sky_variance
from diapipe.images.exposure import Exposure
from diapipe.images.psf import Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.matched_filter import cropped
from diapipe.numerics.whitening import effective_reach, noise_covariance, noise_gain
from diapipe.steps.subtract.convolve import KernelAt

TOLERANCE = 0.05
"""Noise counts as white where the variance of PSF fluxes then is right to this."""

LARGEST_REACH_PX = 12
LOST = 0.01
"""Part of Σ|ρ| that may lie beyond the reach of the correlation."""


def left_correlation(inputs: Iterable[tuple[Exposure, KernelAt]], psf: Psf) -> FloatArray | None:
    """Noise autocorrelation of a difference between its stars, 1 at the centre; None for noise as good as white.

    Parameters
    ----------
    inputs
        The images with the variances of their own noise, each with the kernel that carries it to the difference.
    psf
        Of a source on the difference.

    Notes
    -----
    Noise of variance Vᵢ and autocorrelation ρᵢ that came through kᵢ has the covariance Vᵢ (kᵢ ⋆ kᵢ) ⊗ ρᵢ. All is taken
    in the middle of the image.
    """
    covariances = []
    for exposure, kernel_at in inputs:
        box = exposure.box
        kernel, variance = kernel_at(box.x_center, box.y_center), sky_variance(exposure.masked_image, box)
        if not np.isfinite(variance):
            return None
        covariances.append(variance * noise_covariance(kernel, exposure.noise_correlation))
    try:
        profile = psf.kernel_image(x=box.x_center, y=box.y_center)
    except PsfUndefinedError:
        return None
    half = min(LARGEST_REACH_PX, *(len(covariance) // 2 for covariance in covariances))
    total = np.sum([cropped(covariance, half) for covariance in covariances], axis=0)
    correlation = total / total[half, half]
    correlation = cropped(correlation, effective_reach(correlation[None], lost=LOST, least=1))
    return correlation if abs(noise_gain(profile, correlation) - 1.0) > TOLERANCE else None
