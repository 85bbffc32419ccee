"""The filter that makes the noise of a difference white again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.small_convolution import convolved_in_full

POWER_FLOOR = 1e-3
"""Least noise power, relative to that at zero frequency: bounds the gain at 30 where an input has none."""


def centred_spectrum(image: FloatArray, n: int) -> NDArray[np.complex128]:
    """Real DFT of a small odd image whose centre is the origin, on an ``n`` by ``n`` grid; complex, shape (n, n //
    2 + 1).
    """
    half = image.shape[0] // 2
    padded = np.zeros((n, n))
    padded[: image.shape[0], : image.shape[1]] = image
    return np.fft.rfft2(np.roll(padded, (-half, -half), axis=(0, 1)))


def whitening_kernel(
    kernel: FloatArray,
    *,
    convolved_variance: float,
    other_variance: float,
    convolved_correlation: FloatArray | None = None,
    other_correlation: FloatArray | None = None,
    n: int = 128,
) -> FloatArray:
    """Kernel ψ of unit sum that whitens the noise of other - K ⊗ convolved.

    Parameters
    ----------
    kernel
        Matching kernel K, shape (size, size), size odd and below ``n``.
    convolved_variance, other_variance
        Variance of a sky pixel of the image that K convolves and of the other.
    convolved_correlation, other_correlation
        Their noise autocorrelations, 1 at the centre; None for white noise.
    n
        Side of the DFT.

    Returns
    -------
    FloatArray
        Shape (n - 1, n - 1), centred.

    Notes
    -----
    ψ̂(k) = √(N(0) / N(k)) with the noise power N = s N_s + t |K̂|² N_t: Reiss & Lupton (2016, DMTN-021), eq. 4, with the
    autocorrelation of the inputs taken into account. ψ̂(0) = 1, so fluxes keep their scale.
    """
    power = convolved_variance * np.abs(centred_spectrum(kernel, n)) ** 2 * noise_power(convolved_correlation, n)
    power = power + other_variance * noise_power(other_correlation, n)
    gain = np.sqrt(power[0, 0] / np.maximum(power, POWER_FLOOR * power[0, 0]))
    image = np.fft.fftshift(np.fft.irfft2(gain, (n, n)))
    return np.asarray(image[1:, 1:], dtype=np.float64)


def noise_power(correlation: FloatArray | None, n: int) -> FloatArray | float:
    """Noise power spectrum of an autocorrelation, positive; 1 for white noise."""
    if correlation is None:
        return 1.0
    spectrum = centred_spectrum(correlation, n).real
    return np.maximum(spectrum, 1e-2 * spectrum.max())


def effective_reach(images: FloatArray, *, lost: float = 2e-3, least: int = 7) -> int:
    """Half-size within which all but the fraction ``lost`` of Σ|image| lies, for every one of the images (n, size,
    size).
    """
    half = int(images.shape[-1] // 2)
    total = np.abs(images).sum(axis=(1, 2))
    for reach in range(least, int(half)):
        cut = slice(half - reach, half + reach + 1)
        if np.all(np.abs(images[:, cut, cut]).sum(axis=(1, 2)) >= (1.0 - lost) * total):
            return reach
    return half


def noise_covariance(kernel: FloatArray, correlation: FloatArray | None) -> FloatArray:
    """Autocovariance of noise of unit variance after a kernel, (K ⋆ K) ⊗ ρ, wherever it is not 0."""
    covariance = convolved_in_full(kernel, kernel[::-1, ::-1])
    return covariance if correlation is None else convolved_in_full(covariance, correlation)


def noise_gain(kernel: FloatArray, correlation: FloatArray | None) -> float:
    """Variance of noise after a kernel, in units of ΣK² times its own: ΣK (ρ ⊗ K) / ΣK²; 1 for white noise."""
    if correlation is None:
        return 1.0
    half = correlation.shape[0] // 2
    seen = convolved_in_full(kernel, correlation)[half : half + kernel.shape[0], half : half + kernel.shape[1]]
    return float((kernel * seen).sum() / (kernel**2).sum())
