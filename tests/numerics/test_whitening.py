"""Whitening: noise that a kernel has correlated becomes white, fluxes keep their scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, signal

from diapipe.numerics import whitening
from diapipe.numerics.interpolant import lanczos_weights


def gaussian(sigma: float, half: int = 10) -> np.ndarray:
    u = np.arange(-half, half + 1)
    profile = np.exp(-0.5 * (u / sigma) ** 2)
    return np.outer(profile, profile) / profile.sum() ** 2


@pytest.mark.parametrize("template_variance", [0.1, 1.0, 100.0])
def test_noise_becomes_white(template_variance: float, rng: np.random.Generator) -> None:
    """Neighbours are uncorrelated: 500 x 500 pixels tell to 0.002, four of it allowed; at 100 to 0.01 (the gain is
    floored).

    The original's bar for noise of 1 and 100 is 0.1 (SPEC N).
    """
    kernel = gaussian(1.5)
    other = rng.normal(size=(540, 540))
    convolved = rng.normal(size=(540, 540)) * np.sqrt(template_variance)
    plain = other - signal.fftconvolve(convolved, kernel, mode="same")
    psi = whitening.whitening_kernel(kernel, convolved_variance=template_variance, other_variance=1.0)
    white = signal.fftconvolve(plain, psi, mode="same")[20:-20, 20:-20]
    assert np.std(white) ** 2 == pytest.approx(1.0 + template_variance, rel=0.05)
    for lag in (1, 2, 3):
        correlation = np.mean(white[:, lag:] * white[:, :-lag]) / np.mean(white**2)
        assert abs(correlation) < (0.01 if template_variance < 10 else 0.02)


def test_sum_is_one() -> None:
    """ψ̂(0) = 1: the flux of a source is not changed."""
    psi = whitening.whitening_kernel(gaussian(2.0), convolved_variance=1.0, other_variance=1.0)
    assert psi.sum() == pytest.approx(1.0, abs=1e-3)


def test_without_noise_in_the_convolved_image_nothing_is_done() -> None:
    psi = whitening.whitening_kernel(gaussian(2.0), convolved_variance=0.0, other_variance=1.0)
    expected = np.zeros(psi.shape)
    expected[psi.shape[0] // 2, psi.shape[1] // 2] = 1.0
    np.testing.assert_allclose(psi, expected, atol=1e-12)


def test_correlated_input_is_whitened_too(rng: np.random.Generator) -> None:
    """Noise smoothed before (as by a resampling) is white after, given its autocorrelation."""
    smoothing = gaussian(0.6, half=3)
    other = ndimage.convolve(rng.normal(size=(600, 600)), smoothing, mode="wrap")
    correlation = signal.convolve2d(smoothing, smoothing, mode="full")
    correlation /= correlation.max()
    kernel = np.zeros((5, 5))
    kernel[2, 2] = 1.0
    psi = whitening.whitening_kernel(kernel, convolved_variance=0.0, other_variance=1.0, other_correlation=correlation)
    white = signal.fftconvolve(other, psi, mode="same")[50:-50, 50:-50]
    before = np.mean(other[:, 1:] * other[:, :-1]) / np.mean(other**2)
    after = np.mean(white[:, 1:] * white[:, :-1]) / np.mean(white**2)
    assert before > 0.3
    assert abs(after) < 0.15 * before


def test_noise_of_a_resampling_is_white_to_its_statistics(rng: np.random.Generator) -> None:
    """An image interpolated at 0.4 px along x, its autocorrelation known: each lag is 0 to 4 / 460 on
    460 x 460 pixels, where the plain image has 0.2 and more. A taper on the autocorrelation would leave 0.1 at lag 2.
    """
    weights = lanczos_weights(0.4)
    correlation = np.zeros((11, 11))
    correlation[5] = np.correlate(weights, weights, mode="full") / (weights**2).sum()
    image = ndimage.convolve1d(rng.normal(size=(600, 600)), weights[::-1], axis=1, mode="wrap")
    psi = whitening.whitening_kernel(
        np.ones((1, 1)), convolved_variance=0.0, other_variance=1.0, other_correlation=correlation
    )
    white = signal.fftconvolve(image, psi, mode="same")[70:-70, 70:-70]
    assert np.mean(image[:, 1:] * image[:, :-1]) / np.mean(image**2) > 0.2
    for dy, dx in ((0, 1), (0, 2), (0, 3), (0, 5), (1, 0), (1, 1)):
        there, here = white[dy:, dx:], white[: white.shape[0] - dy, : white.shape[1] - dx]
        assert abs(np.mean(there * here) / np.mean(white**2)) < 4 / white.shape[0]


def test_noise_gain_of_correlated_noise(rng: np.random.Generator) -> None:
    """Variance after a kernel, measured on 10^6 pixels of correlated noise: right to its 0.5% scatter, four of it."""
    smoothing = gaussian(0.8, half=4)
    correlation = signal.convolve2d(smoothing, smoothing, mode="full")
    correlation /= correlation.max()
    kernel = gaussian(1.2, half=6)
    noise = ndimage.convolve(rng.normal(size=(1000, 1000)), smoothing, mode="wrap")
    measured = np.var(signal.fftconvolve(noise, kernel, mode="same")) / np.var(noise)
    predicted = whitening.noise_gain(kernel, correlation) * (kernel**2).sum()
    assert measured == pytest.approx(predicted, rel=0.02)


@pytest.mark.parametrize("size", [1, 3, 9])
def test_noise_gain_of_a_kernel_narrower_than_the_correlation(size: int, rng: np.random.Generator) -> None:
    """Σ_ij K_i K_j ρ(i - j) / ΣK² as it stands, to rounding, with lags of five: nothing wraps around."""
    kernel, correlation = rng.normal(size=(size, size)), gaussian(1.5, half=5) / gaussian(1.5, half=5).max()
    y, x = (grid.ravel() for grid in np.mgrid[:size, :size])
    dy, dx = y[:, None] - y, x[:, None] - x
    near = (abs(dy) <= 5) & (abs(dx) <= 5)
    rho = np.where(near, correlation[np.clip(dy, -5, 5) + 5, np.clip(dx, -5, 5) + 5], 0.0)
    expected = kernel.ravel() @ rho @ kernel.ravel() / (kernel**2).sum()
    assert whitening.noise_gain(kernel, correlation) == pytest.approx(expected, rel=1e-9)
