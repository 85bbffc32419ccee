"""Basis images of a matching kernel: Gaussians times polynomials (Alard & Lupton 1998), or one per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray


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
    profiles, pairs = [], []
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


def delta_basis(*, half: int) -> KernelBasis:
    """One basis image a pixel of the kernel: the central one first, the others with it subtracted."""
    size = 2 * half + 1
    order = sorted(range(size * size), key=lambda k: (k != (size * size) // 2, k))
    weights = np.zeros((size * size, size, size))
    for n, k in enumerate(order):
        weights[n, k // size, k % size] = 1.0
    return _normalised(np.eye(size), weights)


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


def convolve_stamp(stamp: FloatArray, basis: KernelBasis) -> FloatArray:
    """Every basis image convolved with a stamp, where the kernel lies inside it.

    Two banded matrix products through BLAS: all row profiles at once, then all column profiles.

    Parameters
    ----------
    stamp
        Shape (n + size - 1, n + size - 1).

    Returns
    -------
    FloatArray
        Shape (n_basis, n, n), of the stamp's float type.
    """
    n_profiles = len(basis.profiles)
    n = stamp.shape[0] - basis.size + 1
    bands = _bands(basis.profiles, n).astype(stamp.dtype)
    along_x = (stamp @ bands).reshape(stamp.shape[0], n_profiles, n)
    both = bands.T @ along_x.reshape(stamp.shape[0], n_profiles * n)
    products = both.reshape(n_profiles, n, n_profiles, n).transpose(0, 2, 1, 3).reshape(n_profiles**2, n * n)
    weights = basis.weights.reshape(len(basis), n_profiles**2).astype(stamp.dtype)
    used = np.flatnonzero(np.any(weights != 0.0, axis=0))
    return (weights[:, used] @ products[used]).reshape(len(basis), n, n)


def _bands(profiles: FloatArray, n: int) -> FloatArray:
    """Matrix (n + size - 1, n_profiles n) whose product with a row convolves it with every profile."""
    n_profiles, size = profiles.shape
    bands = np.zeros((n + size - 1, n_profiles, n))
    columns = np.arange(n)
    for a in range(size):
        bands[columns + a, :, columns] = profiles[:, size - 1 - a]
    return bands.reshape(n + size - 1, n_profiles * n)
