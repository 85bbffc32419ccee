"""Principal components of kernels: the few images of which all kernels of a field are nearly made."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray


class Components(NamedTuple):
    """Mean and principal components of images.

    Attributes
    ----------
    mean
        What was subtracted, shape (size, size); zero if nothing was.
    eigenvalues
        Mean square of the images along every component, largest first; shape (n_images,).
    images
        Components of unit norm, shape (n_components, size, size).
    weights
        images = weights · (given images - mean), shape (n_components, n_images).
    """

    mean: FloatArray
    eigenvalues: FloatArray
    images: FloatArray
    weights: FloatArray


NULL = 1e-12
"""Eigenvalues below this fraction of the mean square of the images are rounding."""


def principal_components(
    images: FloatArray, *, n_components: int, subtract_mean: bool = True, counts: FloatArray | None = None
) -> Components:
    """Components of images from the eigenvectors of their Gram matrix, R_ij = I_i · I_j / n (SPEC C.6).

    Parameters
    ----------
    images
        Shape (n_images, size, size).
    n_components
        How many at the most; components without any variance are left out.
    subtract_mean
        Components of what differs from the mean, or of the images themselves.
    counts
        As how many each image counts, in mean and components, shape (n_images,); None counts each once.
    """
    n = len(images)
    share = np.full(n, 1.0 / n) if counts is None else counts / counts.sum()
    mean = np.tensordot(share, images, axes=1) if subtract_mean else np.zeros_like(images[0])
    root = np.sqrt(share)
    flat = root[:, None] * (images - mean).reshape(n, -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    scale = float(share @ (images.reshape(n, -1) ** 2).sum(axis=1))
    values[values <= NULL * scale] = 0.0
    kept = np.flatnonzero(values > 0)[:n_components]
    weights = vectors[:, kept].T / np.sqrt(values[kept])[:, None]
    return Components(mean, values, (weights @ flat).reshape(-1, *images.shape[1:]), weights * root)
