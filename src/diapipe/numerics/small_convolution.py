"""Convolution of small images with each other: a PSF with a kernel, a kernel with a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def convolved_in_full[T: np.floating[Any]](image: NDArray[T], kernel: NDArray[T]) -> NDArray[T]:
    """Image ⊗ kernel wherever the two overlap, by FFT; each axis as long as both together, less one.

    Of several images, shape (n, height, width), each is convolved.

    ``scipy.signal`` has the same, at the price of a second and a half for its import.
    """
    shape = tuple(n + m - 1 for n, m in zip(image.shape[-2:], kernel.shape, strict=True))
    sizes = tuple(fft.next_fast_len(n, real=True) for n in shape)
    product = fft.irfft2(fft.rfft2(image, sizes) * fft.rfft2(kernel, sizes), sizes)
    return np.asarray(product[..., : shape[0], : shape[1]])


def convolved_within[T: np.floating[Any]](stamps: NDArray[T], kernels: NDArray[np.floating[Any]]) -> NDArray[T]:
    """Each stamp ⊗ its own kernel, where the kernel lies wholly on the stamp.

    Parameters
    ----------
    stamps
        Shape (n, side, side).
    kernels
        Shape (n, size, size), size odd and at most ``side``.

    Returns
    -------
    NDArray
        Shape (n, side - size + 1, side - size + 1).
    """
    side, size = stamps.shape[-1], kernels.shape[-1]
    n = fft.next_fast_len(side, real=True)
    # what wraps around falls on the first size - 1 rows and columns
    product = fft.irfft2(fft.rfft2(stamps, (n, n)) * fft.rfft2(kernels.astype(stamps.dtype), (n, n)), (n, n))
    return np.asarray(product[:, size - 1 : side, size - 1 : side])
