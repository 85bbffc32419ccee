"""S and S_corr of a proper difference: its matched filter, and that in units of all its noise, of sources too."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images.cells import cells_of
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.fields import ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.matched_filter import correlated_noise_factor
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.subtract.convolve import convolve_pixels, variance_through, without_holes

CELLS = 6
"""Positions per axis at which the PSF of the difference is taken."""

ORDER = 3
"""Order of the field through them."""


class ProperScores(NamedTuple):
    """Images of one shape, NaN where the difference is not usable.

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
    """The score images of a proper difference (Zackay, Ofek & Gal-Yam 2016, eqs. 12, 25 to 33).

    Parameters
    ----------
    difference
        Made by `Zogy`.
    science, template
        What it was made of.
    science_astrometry_px, template_astrometry_px
        Scatter along x and y with which the images are registered to each other; adds σ_x² (∂S_S/∂x)² + σ_y²
        (∂S_S/∂y)² to the variance, S_S being the part of the score that an image contributes.
    n_threads
        Threads over rows of tiles; they change no bit of the result.

    Raises
    ------
    InputError
        If the difference was made in another way.
    PsfUndefinedError
        If it has no PSF.
    """
    psf, a, b = difference.exposure.psf, difference.whitening, difference.template_filter
    if a is None or b is None:
        raise InputError(
            "S_corr needs a proper difference (ZOGY); this one was made with a matching kernel on one side"
        )
    if psf is None:
        raise PsfUndefinedError(f"{difference.exposure.name} has no PSF; a score needs one")
    planes, box = difference.exposure.masked_image, difference.exposure.box

    def mirrored(x: float, y: float) -> FloatArray:
        return psf.kernel_image(x=x, y=y)[::-1, ::-1]

    def through(kernel: SpatialKernel) -> Callable[[float, float], FloatArray]:
        return lambda x, y: convolved_in_full(kernel.image_at(x=x, y=y), mirrored(x, y))

    usable = planes.usable(UNUSABLE_DIFFERENCE)
    of_psf = _field(mirrored, difference)
    score = convolve_pixels(np.where(usable, planes.image, np.float32(0.0)), box, of_psf, n_threads=n_threads)
    variance = variance_through([(science, through(a)), (template, through(b))], n_threads=n_threads)
    middle = mirrored(box.x_center, box.y_center)
    excess = correlated_noise_factor(middle, difference.exposure.noise_correlation)
    variance *= np.float32(difference.variance_factor * excess)
    for exposure, kernel, scatter in ((science, a, science_astrometry_px), (template, b, template_astrometry_px)):
        if any(scatter):
            part = convolve_pixels(
                without_holes(exposure, exposure.masked_image.usable())[0],
                box,
                _field(through(kernel), difference),
                n_threads=n_threads,
            )
            for sigma, axis in zip(scatter, (1, 0), strict=True):
                variance += (np.float32(sigma) * np.gradient(part, axis=axis)) ** 2
    corrected = np.asarray(score / np.sqrt(variance), dtype=np.float32)
    for image in (score, corrected):
        image[~usable] = np.nan
    return ProperScores(score, corrected)


def _field(image_at: Callable[[float, float], FloatArray], difference: Difference) -> SpatialKernel:
    """A smooth kernel through images given by position."""
    box = difference.exposure.box
    cells = cells_of(box, CELLS)
    x, y = np.array([cell.x_center for cell in cells]), np.array([cell.y_center for cell in cells])
    samples = np.array([image_at(*place) for place in zip(x, y, strict=True)])
    return SpatialKernel(ImageField.fitted(samples, x=x, y=y, order=ORDER, box=box))
