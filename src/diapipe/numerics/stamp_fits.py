"""Linear fits of a few images to each of many stamps at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray

_RIDGE = 1e-9
"""Part of the diagonal added to it: images that are nearly alike have a solution."""


class StampFits(NamedTuple):
    """Coefficients, shape (n, k), and how much each fit lowers χ², shape (n,)."""

    coefficients: FloatArray
    explained: FloatArray


def fit_stamps(data: FloatArray, images: FloatArray) -> StampFits:
    """Least squares of stamps with unit noise.

    Parameters
    ----------
    data
        Shape (n, m): pixels over their noise, 0 where they do not count.
    images
        Shape (n, k, m): what is fitted, over the same noise, 0 where pixels do not count.
    """
    normal = images @ images.transpose(0, 2, 1)
    right = images @ data[:, :, None]
    diagonal = np.einsum("nii->ni", normal)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    normal = normal * scale[:, :, None] * scale[:, None, :]
    k = images.shape[1]
    normal[:, np.arange(k), np.arange(k)] = np.where(diagonal > 0.0, 1.0 + _RIDGE, 1.0)
    right = right * scale[:, :, None]
    solution = np.linalg.solve(normal, right)
    explained = (solution * right).sum(axis=(1, 2))
    return StampFits(solution[:, :, 0] * scale, explained)


def slopes(images: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Central differences along x and y of stamps of shape (n, side, side); 0 on their border."""
    along_x, along_y = np.zeros_like(images), np.zeros_like(images)
    along_x[:, :, 1:-1] = 0.5 * (images[:, :, 2:] - images[:, :, :-2])
    along_y[:, 1:-1] = 0.5 * (images[:, 2:] - images[:, :-2])
    return along_x, along_y


def bends(images: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Second differences xx, yy, xy of stamps of shape (n, side, side); 0 on their border."""
    xx, yy, xy = np.zeros_like(images), np.zeros_like(images), np.zeros_like(images)
    xx[:, :, 1:-1] = images[:, :, 2:] - 2.0 * images[:, :, 1:-1] + images[:, :, :-2]
    yy[:, 1:-1] = images[:, 2:] - 2.0 * images[:, 1:-1] + images[:, :-2]
    xy[:, 1:-1, 1:-1] = 0.25 * (images[:, 2:, 2:] - images[:, 2:, :-2] - images[:, :-2, 2:] + images[:, :-2, :-2])
    return xx, yy, xy
