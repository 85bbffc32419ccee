"""Basis images of a matching kernel: Gaussians times polynomials (Alard & Lupton 1998), or one per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.small_convolution import convolved_in_full


@dataclass(frozen=True, slots=True, eq=False)
class KernelBasis:
    """Basis images B_n of a kernel K = k0 B_0 + Σ_{n>0} a_n B_n: the first has unit sum, the others sum to zero.

    So the kernel sum is k0, and need not vary over the image even where the shape does (Alard 2000).

    Attributes
    ----------
    images
        Shape (n_basis, size, size).
    profiles
        Shape (n_profiles, size): one-dimensional profiles of which all images are sums of products.
    weights
        Shape (n_basis, n_profiles, n_profiles): images[n] = Σ_vu weights[n, v, u] profiles[v] ⊗ profiles[u].
    """

    images: FloatArray
    profiles: FloatArray
    weights: FloatArray

    @property
    def size(self) -> int:
        """Side of the basis images, odd."""
        return int(self.images.shape[-1])

    def __len__(self) -> int:
        return len(self.images)

    def transformed(self, weights: FloatArray) -> KernelBasis:
        """The basis of the images Σ_m weights[n, m] B_m; ``weights`` has shape (n_new, n_basis)."""
        return KernelBasis(
            np.tensordot(weights, self.images, axes=1), self.profiles, np.tensordot(weights, self.weights, axes=1)
        )


def noise_products(basis: KernelBasis, correlation: FloatArray | None) -> FloatArray:
    """Covariance of the basis images' convolutions with noise of unit variance, B_i · (ρ ⊗ B_j).

    Parameters
    ----------
    basis
        The images.
    correlation
        Autocorrelation of the noise, odd sides; None for white noise, which leaves B_i · B_j.

    Returns
    -------
    FloatArray
        Shape (n_basis, n_basis).
    """
    flat = basis.images.reshape(len(basis), -1)
    if correlation is None:
        return np.asarray(flat @ flat.T)
    margin = correlation.shape[0] // 2
    inner = slice(margin, margin + basis.size)
    spread = [convolved_in_full(image, correlation)[inner, inner].ravel() for image in basis.images]
    products = flat @ np.array(spread).T
    return np.asarray(0.5 * (products + products.T))


def gaussian_basis(sigmas: tuple[float, ...], degrees: tuple[int, ...], *, half: int) -> KernelBasis:
    """Gaussians times u^i v^j with i + j <= degree, on a grid of ``2 half + 1`` pixels.

    Parameters
    ----------
    sigmas
        Width of each Gaussian in pixels.
    degrees
        Highest total degree of the polynomial on each.
    half
        Pixels from the centre to the border.

    Notes
    -----
    Normalised as in SPEC C.2: B_0 to unit sum, the others to zero sum by subtracting B_0, then to unit norm.
    """
    u = np.arange(-half, half + 1) / max(half, 1)
    profiles: list[FloatArray] = []
    pairs: list[tuple[int, int]] = []
    for sigma, degree in zip(sigmas, degrees, strict=True):
        gaussian = np.exp(-0.5 * (u * half / sigma) ** 2)
        gaussian /= gaussian.sum()
        first = len(profiles)
        # a power of u over sigma, not over half: the profiles of wide supports stay of the order of one
        profiles += [gaussian * (u * half / sigma) ** i for i in range(degree + 1)]
        pairs += [(first + j, first + i) for i in range(degree + 1) for j in range(degree + 1 - i)]
    stacked = np.array(profiles)
    weights = np.zeros((len(pairs), len(stacked), len(stacked)))
    for n, (v, w) in enumerate(pairs):
        weights[n, v, w] = 1.0
    return _normalised(stacked, weights)


def gaussian_terms(degrees: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Which Gaussian each image of a `gaussian_basis` belongs to, and the total degree of its polynomial."""
    return tuple((n, i + j) for n, d in enumerate(degrees) for i in range(d + 1) for j in range(d + 1 - i))


def delta_basis(*, half: int) -> KernelBasis:
    """One basis image a pixel of the kernel: the central one first, the others with it subtracted."""
    size = 2 * half + 1
    order = sorted(range(size * size), key=lambda k: (k != (size * size) // 2, k))
    weights = np.zeros((size * size, size, size))
    for n, k in enumerate(order):
        weights[n, k // size, k % size] = 1.0
    return _normalised(np.eye(size), weights)


def normalised_weights(weights: FloatArray, basis: KernelBasis) -> FloatArray:
    """Combinations of basis images brought to the form of a basis; shape (n_kept, n_basis).

    The first to unit sum, the others to zero sum by subtracting it and to unit norm; what vanishes thereby is left out.
    The first one must have a sum.
    """
    first = weights[0] / weights[0, 0]  # B_0 alone has a sum
    others = weights[1:] - weights[1:, :1] * first
    flat = basis.images.reshape(len(basis), -1)
    before, norms = (np.linalg.norm(rows @ flat, axis=1) for rows in (weights[1:], others))
    kept = norms > 1e-9 * np.maximum(before, 1e-300)
    return np.vstack([first, others[kept] / norms[kept, None]])


def one_kernel(image: FloatArray) -> KernelBasis:
    """A basis of one image as it is, from its singular vectors: a stamp is convolved with it as with any basis."""
    left, strength, right = np.linalg.svd(image)
    n = len(strength)
    weights = np.zeros((1, 2 * n, 2 * n))
    weights[0, np.arange(n), n + np.arange(n)] = strength
    return KernelBasis(image[None], np.concatenate([left.T, right]), weights)


def _normalised(profiles: FloatArray, weights: FloatArray) -> KernelBasis:
    """Unit sum for the first image, zero sum and unit norm for the others."""
    images = np.einsum("nvu,vy,ux->nyx", weights, profiles, profiles, optimize=True)
    sums = images.sum(axis=(1, 2))
    images[0] /= sums[0]
    weights[0] /= sums[0]
    images[1:] -= sums[1:, None, None] * images[0]
    weights[1:] -= sums[1:, None, None] * weights[0]
    norms = np.sqrt((images[1:] ** 2).sum(axis=(1, 2)))
    images[1:] /= norms[:, None, None]
    weights[1:] /= norms[:, None, None]
    return KernelBasis(images, profiles, weights)


class StampConvolver:
    """Convolves stamps of one size with every basis image, by banded matrix products through BLAS.

    Parameters
    ----------
    basis
        The basis.
    n
        Side of the result in pixels; stamps have a side of ``n + basis.size - 1``.
    """

    def __init__(self, basis: KernelBasis, n: int) -> None:
        n_profiles, size = basis.profiles.shape
        bands = np.zeros((n_profiles, n + size - 1, n), np.float32)
        columns = np.arange(n)
        for a in range(size):
            bands[:, columns + a, columns] = basis.profiles[:, size - 1 - a, None]
        # far out a Gaussian is a denormal number, with which a processor is twenty times slower
        bands[np.abs(bands) < np.finfo(np.float32).tiny] = 0.0
        # only the products that some basis image has
        along_y, self._along_x = np.nonzero(np.any(basis.weights != 0.0, axis=0))
        self._row_bands = bands
        self._column_bands = np.ascontiguousarray(bands.transpose(0, 2, 1))[along_y]
        self._weights = basis.weights[:, along_y, self._along_x].astype(np.float32)

    def __call__(self, stamp: Float32Array) -> Float32Array:
        """Convolve one stamp, shape (n + size - 1, n + size - 1); returns shape (n_basis, n * n)."""
        filtered = np.matmul(stamp, self._row_bands)
        products = np.matmul(self._column_bands, filtered[self._along_x])
        return np.asarray(self._weights @ products.reshape(len(products), -1), dtype=np.float32)


def smoothness_penalty(basis: KernelBasis) -> FloatArray:
    """Squared second differences of the kernel as a quadratic form of its coefficients; shape (n_basis, n_basis).

    The five-point Laplacian of every basis image, with the kernel taken as zero beyond its border (SPEC C.3, central
    differences), so that Σ (∇²K)² = aᵀ H a.
    """
    padded = np.pad(basis.images, ((0, 0), (2, 2), (2, 2)))
    laplacian = (
        padded[:, 2:, 1:-1]
        + padded[:, :-2, 1:-1]
        + padded[:, 1:-1, 2:]
        + padded[:, 1:-1, :-2]
        - 4.0 * padded[:, 1:-1, 1:-1]
    )
    flat = laplacian.reshape(len(basis), -1)
    return np.asarray(flat @ flat.T, dtype=np.float64)
