"""Scores made of a finished difference: its correlation with its own PSF, and S and S_corr of a proper one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.subtract.convolve import KernelAt, convolve_pixels, variance_through, without_holes
from diapipe.steps.subtract.left_correlation import left_correlation
from diapipe.steps.subtract.score_image import as_score, field_through


class ProperScores(NamedTuple):
    """Images of one shape, NaN where too few pixels of the difference are usable.

    ``score`` is S, the difference correlated with its own PSF, in counts; ``corrected`` is S_corr, of unit scatter
    where nothing changed, on bright stars as on the sky.
    """

    score: Float32Array
    corrected: Float32Array


def proper_scores(
    difference: Difference,
    science: Exposure,
    template: Exposure,
    *,
    science_astrometry_px: tuple[float, float] = (0.0, 0.0),
    template_astrometry_px: tuple[float, float] = (0.0, 0.0),
    n_threads: int = 1,
) -> ProperScores:
    """The score images of a proper difference (Zackay, Ofek & Gal-Yam 2016, eqs. 12, 25 to 33); as `correlated`.

    Raises
    ------
    InputError
        If the difference was made in another way than by `Zogy`.
    PsfUndefinedError
        If it has no PSF.
    """
    if difference.whitening is None or difference.template_filter is None:
        raise InputError(
            "S_corr needs a proper difference (ZOGY); this one was made with a matching kernel on one side"
        )
    planes = correlated(
        difference,
        science,
        template,
        science_astrometry_px=science_astrometry_px,
        template_astrometry_px=template_astrometry_px,
        n_threads=n_threads,
    ).masked_image
    return ProperScores(planes.image, np.asarray(planes.image / np.sqrt(planes.variance), dtype=np.float32))


def correlated(
    difference: Difference,
    science: Exposure,
    template: Exposure,
    *,
    preconvolution: SpatialKernel | None = None,
    science_astrometry_px: tuple[float, float] = (0.0, 0.0),
    template_astrometry_px: tuple[float, float] = (0.0, 0.0),
    n_threads: int = 1,
) -> Exposure:
    """Score image of a difference: correlated with its own PSF, with the variance that the noise of both inputs has.

    Parameters
    ----------
    difference
        Made in any way.
    science, template
        What it was made of.
    preconvolution
        The filter that stands for the science image's mirrored PSF, if it is not that; the whitening is added.
    science_astrometry_px, template_astrometry_px
        Scatter along x and y with which the images are registered to each other; adds σ_x² (∂S_S/∂x)² + σ_y²
        (∂S_S/∂y)² to the variance, S_S being the part of the score that an image contributes.
    n_threads
        Threads over rows of tiles; they change no bit of the result.

    Returns
    -------
    Exposure
        In counts of the science image: a source of flux F has the value F Σ Q P with the filter Q and the PSF P of the
        difference, its PSF is what a source looks like on it, of unit sum.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF.

    Notes
    -----
    For a difference ψ ⊗ (S - K ⊗ T - b) of Alard & Lupton this is ψ ⊗ ψ ⊗ (P̄ ⊗ S - κ ⊗ T - b) with κ = P̄ ⊗ K: the
    template matched to the pre-convolved science image, and decorrelated without a square root, ψ̂² = (s + t k0²) /
    (s + t |κ̂|² / |P̂|²) (Reiss & Lupton 2016, DMTN-021), with nothing divided by a PSF that has ended.
    """
    box = difference.box
    of_science, of_template = input_filters(difference)
    seen_at = _filter_of(difference, preconvolution)

    def through(kernel_at: KernelAt) -> KernelAt:
        return lambda x, y: convolved_in_full(kernel_at(x, y), seen_at(x, y))

    of_psf = SpatialKernel(field_through(seen_at, box))
    score = _correlated(difference, of_psf, n_threads)
    through_science, through_template = through(of_science), through(of_template)
    variance = variance_through(
        [(_uncertain(science, difference), through_science), (template, through_template)], n_threads=n_threads
    )
    for exposure, kernel_at, scatter in (
        (science, through_science, science_astrometry_px),
        (template, through_template, template_astrometry_px),
    ):
        if any(scatter):
            part = convolve_pixels(
                without_holes(exposure, exposure.masked_image.usable())[0],
                box,
                SpatialKernel(field_through(kernel_at, box)),
                n_threads=n_threads,
            )
            for sigma, axis in zip(scatter, (1, 0), strict=True):
                variance += (np.float32(sigma) * np.gradient(part, axis=axis)) ** 2
    response = field_through(through(_psf_at(difference)), box)
    profile = of_psf.image_at(x=box.x_center, y=box.y_center)[::-1, ::-1]
    left = whitened_correlation(difference, science, template)
    return as_score(score, variance, difference, profile=profile, response=response, counted=left)


def _psf_at(difference: Difference) -> KernelAt:
    """PSF images of a difference by position."""
    psf = difference.exposure.psf
    if psf is None:
        raise PsfUndefinedError(f"{difference.exposure.name} has no PSF; a score needs one")
    return lambda x, y: psf.kernel_image(x=x, y=y)


def _filter_of(difference: Difference, preconvolution: SpatialKernel | None) -> KernelAt:
    """The filter that a difference is convolved with, by position: its own PSF mirrored, or another one whitened."""
    psf_at, whitening = _psf_at(difference), difference.whitening
    if preconvolution is None:
        return lambda x, y: psf_at(x, y)[::-1, ::-1]
    if whitening is None:
        return lambda x, y: preconvolution.image_at(x=x, y=y)
    margin = whitening.half
    inner = slice(margin, margin + preconvolution.size)

    def whitened(x: float, y: float) -> FloatArray:
        return convolved_in_full(preconvolution.image_at(x=x, y=y), whitening.image_at(x=x, y=y))[inner, inner]

    return whitened


def _uncertain(science: Exposure, difference: Difference) -> Exposure:
    """The science image with the error of the matched pixels in its variance: it differs from pixel to pixel as noise
    does.
    """
    matched = difference.matched_template
    if difference.relative_error == 0.0 or matched is None:
        return science
    error = np.float32(difference.relative_error) * np.clip(matched.image, 0.0, None)
    planes = science.masked_image
    return replace(science, masked_image=replace(planes, variance=planes.variance + error**2))


def _correlated(difference: Difference, of_psf: SpatialKernel, n_threads: int) -> Float32Array:
    """The difference through a kernel, unusable pixels and those beyond its border at zero."""
    planes, wide = difference.exposure.masked_image, difference.box.dilated(of_psf.half)
    clean = np.where(planes.usable(UNUSABLE_DIFFERENCE), planes.image, np.float32(0.0))
    seen = convolve_pixels(np.pad(clean, of_psf.half), wide, of_psf, n_threads=n_threads)
    return np.ascontiguousarray(seen[difference.box.slices_in(wide)])


def whitened_correlation(difference: Difference, science: Exposure, template: Exposure) -> FloatArray | None:
    """Noise autocorrelation of a whitened difference, as its inputs make it; None for noise as good as white, and
    where nothing was to whiten it.
    """
    if difference.whitening is None:
        return None
    of_science, of_template = input_filters(difference)
    assert difference.exposure.psf is not None
    return left_correlation(((science, of_science), (template, of_template)), difference.exposure.psf)


def input_filters(difference: Difference) -> tuple[KernelAt, KernelAt]:
    """What science image and template went through, by position: the A and B of D = A ⊗ S - B ⊗ T."""
    kernel, whitening, own = difference.kernel, difference.whitening, difference.template_filter

    def plain(x: float, y: float) -> FloatArray:
        return np.ones((1, 1)) if whitening is None else whitening.image_at(x=x, y=y)

    def matching(x: float, y: float) -> FloatArray:
        return convolved_in_full(kernel.image_at(x=x, y=y), plain(x, y))

    if own is not None:
        return plain, lambda x, y: own.image_at(x=x, y=y)
    if difference.convolved == "template":
        return plain, matching
    scale = 1.0 / kernel.sum
    return (lambda x, y: scale * matching(x, y)), (lambda x, y: scale * plain(x, y))
