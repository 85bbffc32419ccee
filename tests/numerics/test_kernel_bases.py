"""Kernel bases: the normalisation of SPEC C.2, and stamps convolved with them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from diapipe.numerics.kernel_bases import (
    KernelBasis,
    StampConvolver,
    delta_basis,
    gaussian_basis,
    noise_products,
    smoothness_penalty,
)

BASES = [gaussian_basis((0.7, 1.5, 3.0), (4, 2, 2), half=10), delta_basis(half=3)]


@pytest.mark.parametrize("basis", BASES)
def test_normalisation(basis: KernelBasis) -> None:
    """ΣB0 = 1; all others sum to zero and have unit norm."""
    sums = basis.images.sum(axis=(1, 2))
    norms = (basis.images[1:] ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(sums[0], 1.0, atol=1e-12)
    np.testing.assert_allclose(sums[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(norms, 1.0, atol=1e-12)


def test_counts() -> None:
    """15 + 6 + 6 Gaussians times polynomials; one delta function a pixel."""
    assert [len(basis) for basis in BASES] == [27, 49]


@pytest.mark.parametrize("basis", BASES)
def test_profiles_make_the_images(basis: KernelBasis) -> None:
    rebuilt = np.einsum("nvu,vy,ux->nyx", basis.weights, basis.profiles, basis.profiles)
    np.testing.assert_allclose(rebuilt, basis.images, atol=1e-12)


@pytest.mark.parametrize("basis", BASES)
def test_stamps_are_convolved(basis: KernelBasis, rng: np.random.Generator) -> None:
    """Every basis image against scipy's direct convolution, to the rounding of float32."""
    stamp = rng.normal(size=(15 + basis.size - 1,) * 2).astype(np.float32)
    found = StampConvolver(basis, 15)(stamp).reshape(len(basis), 15, 15)
    for image, expected in zip(found, basis.images, strict=True):
        np.testing.assert_allclose(image, signal.convolve2d(stamp, expected, mode="valid"), atol=3e-5)


def test_penalty_is_the_squared_laplacian(rng: np.random.Generator) -> None:
    """Of any kernel: Σ (∇²K)² = aᵀ H a, with K zero outside."""
    basis = BASES[1]
    coefficients = rng.normal(size=len(basis))
    kernel = np.tensordot(coefficients, basis.images, axes=1)
    laplacian = signal.convolve2d(kernel, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], mode="full")
    penalty = smoothness_penalty(basis)
    np.testing.assert_allclose(coefficients @ penalty @ coefficients, (laplacian**2).sum(), rtol=1e-10)


@pytest.mark.parametrize("basis", BASES)
def test_noise_products_are_covariances(basis: KernelBasis) -> None:
    """Noise of autocorrelation ρ through B_i and B_j covaries as Σ_uv B_i(u) ρ(u - v) B_j(v); white: B_i · B_j."""
    lag = np.exp(-0.5 * np.arange(-2, 3) ** 2 / 0.8**2)
    correlation = np.outer(lag, lag)
    offset = np.arange(basis.size)
    apart = offset[:, None] - offset
    along = np.where(np.abs(apart) <= 2, lag[np.clip(apart + 2, 0, 4)], 0.0)
    flat = basis.images.reshape(len(basis), -1)
    expected = np.einsum("iyx,yv,xu,jvu->ij", basis.images, along, along, basis.images, optimize=True)
    np.testing.assert_allclose(noise_products(basis, correlation), expected, atol=1e-12)
    np.testing.assert_allclose(noise_products(basis, None), flat @ flat.T, atol=1e-12)
