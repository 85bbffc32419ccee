"""Uneven coverage: where the noise of one image leaps no smooth filter whitens, and errors of fluxes say so.

A coadd has fewer visits in strips and corners, and more noise there. A whitening kernel made for the rest of the image
leaves that noise correlated over the PSF: pixels scatter as their variance says, PSF fluxes by up to 1.2 times as much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.cells import cells_of, nearest_known
from diapipe.images.exposure import Exposure
from diapipe.images.fields import field_terms
from diapipe.images.psf import Psf
from diapipe.images.weight_map import WeightMap
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.convolution import filled
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.stats import median
from diapipe.numerics.threads import over_bands
from diapipe.numerics.whitening import noise_gain
from diapipe.steps.subtract.convolve import VARIANCE_GRID, VARIANCE_ORDER, KernelAt

STEP_PX = 4
"""Variances are compared at every so many pixels along each axis."""

STAR_EXCESS = 1.3
"""Where the variances of both images are this many times their medians stands a star: it says nothing of coverage."""

EVEN_RATIO = 1.25
"""By this factor the ratio of the variances may vary over an image: measured, it does by 1.12 without any edge."""

TAIL_PERCENT = 0.5
"""Part of the samples, at either end, that does not count."""

TOLERANCE = 0.05
"""Where the variance of fluxes is right to this, that of the pixels stays."""


def variance_for_fluxes(
    variance: Float32Array, inputs: Sequence[tuple[Exposure, KernelAt]], psf: Psf, *, n_threads: int = 1
) -> Float32Array:
    """The variance of a difference with which the errors of PSF fluxes are right, also where coverage is uneven.

    Parameters
    ----------
    variance
        Of its pixels; used up.
    inputs
        Two images of one grid with the variances of their own noise, each with the kernel that carries it to the
        difference.
    psf
        Of a source on the difference.
    n_threads
        Threads over row bands; they change no bit of the result.

    Notes
    -----
    A PSF flux is Σ P D / ΣP². Noise of variances Vᵢ that came through kᵢ gives it the variance Σᵢ Aᵢ Vᵢ / ΣP² with
    Aᵢ = Σ (P ⋆ kᵢ)² / ΣP²; taken for white, Σᵢ Bᵢ Vᵢ / ΣP² with Bᵢ = Σ kᵢ². The variance is multiplied by the ratio of
    these, with that ratio of V₁ and V₂ that is there between the stars, smoothed as the PSF smooths it. Where all is
    even, nothing is done.
    """
    box = inputs[0][0].box
    ratio = _ratio(*(exposure.masked_image.variance[::STEP_PX, ::STEP_PX] for exposure, _ in inputs))
    if ratio is None:
        return variance
    width = psf.sigma_at(x=box.x_center, y=box.y_center) / np.sqrt(2.0)
    factor = _factor(ndimage.gaussian_filter(ratio, width / STEP_PX), _sums_of_squares(inputs, psf), box)
    leaps = WeightMap(factor.astype(np.float32), float(box.x0), float(box.y0), float(STEP_PX))
    columns = np.arange(box.x0, box.x1, dtype=np.float64)[None, :]

    def work(first: int, last: int) -> None:
        if (factor[first // STEP_PX : last // STEP_PX + 2] == 1.0).all():
            return
        rows = np.arange(box.y0 + first, box.y0 + last, dtype=np.float64)[:, None]
        variance[first:last] *= leaps.at(x=columns, y=rows)

    over_bands(work, box.height, n_threads=n_threads)
    return variance


def _ratio(first: Float32Array, second: Float32Array) -> Float32Array | None:
    """The second variance over the first, from the surroundings where stars are; None where it does not leap."""
    with np.errstate(invalid="ignore"):
        known = (first > 0) & (second > 0) & (first < np.inf) & (second < np.inf)
    if not known.any():
        return None
    star = (first > STAR_EXCESS * median(first[known])) & (second > STAR_EXCESS * median(second[known]))
    sky = known & ~star
    ratio = np.divide(second, first, out=np.zeros_like(first), where=sky)
    low, high = np.percentile(ratio[sky], (TAIL_PERCENT, 100.0 - TAIL_PERCENT))
    return None if high < EVEN_RATIO * low else filled(ratio, sky)


def _sums_of_squares(inputs: Sequence[tuple[Exposure, KernelAt]], psf: Psf) -> FloatArray:
    """Polynomials over the image for the sums Aᵢ and Bᵢ; shape (n_terms, 2, n_inputs)."""
    box = inputs[0][0].box
    cells = cells_of(box, VARIANCE_GRID)
    x, y = np.array([cell.x_center for cell in cells]), np.array([cell.y_center for cell in cells])
    samples = nearest_known([_sums_at(u, v, inputs, psf) for u, v in zip(x, y, strict=True)], x, y)
    design = field_terms(box, VARIANCE_ORDER, x=x, y=y).T
    fitted, *_ = np.linalg.lstsq(design, samples.reshape(len(samples), -1), rcond=None)
    return fitted.reshape(-1, 2, len(inputs))


def _sums_at(x: float, y: float, inputs: Sequence[tuple[Exposure, KernelAt]], psf: Psf) -> FloatArray | None:
    """The sums at a position; None where there is no PSF."""
    try:
        profile = psf.kernel_image(x=x, y=y)
    except PsfUndefinedError:
        return None
    norm, sums = float((profile**2).sum()), []
    for exposure, kernel_at in inputs:
        kernel, correlation = kernel_at(x, y), exposure.noise_correlation
        seen = convolved_in_full(profile[::-1, ::-1], kernel)
        pairs = ((seen, norm), (kernel, 1.0))
        sums.append([(image**2).sum() * noise_gain(image, correlation) / unit for image, unit in pairs])
    return np.array(sums).T


def _factor(ratio: Float32Array, sums: FloatArray, box: Box) -> FloatArray:
    """Variance of fluxes over that for which the pixels' is taken, at nodes; 1 within `TOLERANCE`."""
    rows, columns = ((STEP_PX * np.arange(n, dtype=np.float64)) for n in ratio.shape)
    y, x = np.broadcast_arrays(box.y0 + rows[:, None], box.x0 + columns[None, :])
    terms = field_terms(box, VARIANCE_ORDER, x=x, y=y)
    of_fluxes, of_pixels = (np.tensordot(sums[:, k].T, terms, axes=1) for k in range(2))
    factor = (of_fluxes[0] + of_fluxes[1] * ratio) / (of_pixels[0] + of_pixels[1] * ratio)
    return np.where(np.abs(factor - 1.0) < TOLERANCE, 1.0, factor)
