"""Images of different seeing brought to one PSF: a round Gaussian wider than all of them.

With P̂ the transform of an image's PSF and Ĝ that of the Gaussian, the image is multiplied by

    K̂ = Ĝ P̂* / (|P̂|² + ε²),

which is Ĝ / P̂ wherever the PSF is known; where |P̂| falls to the error ε of a PSF that stars have drawn, Ĝ is smaller
still if the Gaussian is wide enough. Nothing is deconvolved: K is a smoothing kernel for every image, and near the
matched filter for point sources.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from diapipe.numerics.arrays import Float32Array, FloatArray

PSF_ERROR = 3e-3
"""Error of a PSF's transform, of which the largest value is 1."""

_SMALL = 1e-4
"""Singular values of a kernel below this, relative to the first, are left out: the rest is right to 1e-4."""


class Smoothing(NamedTuple):
    """A kernel K that brings an image to the common PSF.

    Attributes
    ----------
    kernel
        Shape (size, size), of unit sum.
    gain
        Variance of a smoothed pixel over that of the image, for the noise that was given.
    """

    kernel: FloatArray
    gain: float


def noise_equivalent_sigma(image: FloatArray) -> float:
    """Width of the Gaussian with the noise-equivalent area of a PSF of unit sum, pixels."""
    return float(np.sqrt(1.0 / (4.0 * np.pi * (image**2).sum())))


def smoothing_to(psf: FloatArray, sigma: float, correlation: FloatArray | None) -> Smoothing:
    """The kernel that makes a Gaussian of a PSF.

    Parameters
    ----------
    psf
        Of unit sum, shape (n, n), n odd.
    sigma
        Of the Gaussian, in pixels; wider than the PSF.
    correlation
        Autocorrelation of the image's noise, shape (2m + 1, 2m + 1); None for white noise.
    """
    half = max(psf.shape[0] // 2, int(np.ceil(3.5 * sigma)))
    side = fft.next_fast_len(4 * half + 1)
    transform = fft.fft2(_wrapped(psf, side))
    frequency = fft.fftfreq(side)
    wide = np.exp(-2.0 * (np.pi * sigma) ** 2 * (frequency[:, None] ** 2 + frequency**2))
    matching = wide * transform.conj() / (np.abs(transform) ** 2 + PSF_ERROR**2)
    whole = np.roll(fft.ifft2(matching).real, (half, half), (0, 1))
    kernel = whole[: 2 * half + 1, : 2 * half + 1]
    kernel = kernel / kernel.sum()
    return Smoothing(kernel, noise_gain(kernel, correlation))


def noise_gain(kernel: FloatArray, correlation: FloatArray | None) -> float:
    """Σ_l C(l) Σ_i K_i K_(i+l): variance of a convolved pixel for noise of unit variance and autocorrelation C."""
    if correlation is None:
        return float((kernel**2).sum())
    lag, side = correlation.shape[0] // 2, fft.next_fast_len(2 * kernel.shape[0])
    power = np.abs(fft.fft2(kernel, (side, side))) ** 2
    own = np.roll(fft.ifft2(power).real, (lag, lag), (0, 1))[: 2 * lag + 1, : 2 * lag + 1]
    return float((own * correlation).sum())


def smoothed(image: Float32Array, kernel: FloatArray) -> Float32Array:
    """An image times a kernel's transform; zero beyond the border, so pixels within half the kernel of it are less.

    Notes
    -----
    A smooth kernel is the sum of a few products of a column and a row (singular value decomposition), whose transforms
    are those of lines: its transform costs one small matrix product instead of an FFT of the image's size.
    """
    height, width = image.shape
    reach = kernel.shape[0] // 2
    needed = max(height + reach, len(kernel)), max(width + reach, len(kernel))
    shape = fft.next_fast_len(needed[0], real=True), fft.next_fast_len(needed[1], real=True)
    columns, values, rows = np.linalg.svd(kernel)
    n = int(np.count_nonzero(values > _SMALL * values[0]))
    down = _line_transforms(columns[:, :n] * values[:n], shape[0])
    along = _line_transforms(rows[:n].T, shape[1])[: shape[1] // 2 + 1]
    spectrum = fft.rfft2(image, shape, workers=1)
    spectrum *= (down @ along.T).astype(np.complex64)
    return np.asarray(fft.irfft2(spectrum, shape, workers=1)[:height, :width], dtype=np.float32)


def _line_transforms(lines: FloatArray, length: int) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    """Transforms of the columns of ``lines``, whose middle is at 0, over ``length`` pixels."""
    padded = np.zeros((length, lines.shape[1]))
    padded[: len(lines)] = lines
    return np.asarray(fft.fft(np.roll(padded, -(len(lines) // 2), axis=0), axis=0))


def _wrapped(image: FloatArray, side: int) -> FloatArray:
    """A stamp in the corner of a larger square, its middle at (0, 0)."""
    padded = np.zeros((side, side))
    padded[: len(image), : len(image)] = image
    return np.roll(padded, (-(len(image) // 2), -(len(image) // 2)), (0, 1))
