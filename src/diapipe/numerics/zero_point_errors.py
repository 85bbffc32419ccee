"""Errors of the zero points of many images against the mean of those that hang together."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.sparse import csr_array

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.zero_points import normal_matrix

EXACT_UP_TO = 1500
"""Parameters up to which the whole covariance is worked out."""


def zero_point_errors(
    weights: FloatArray, *, star: IntArray, image: IntArray, design: csr_array, prior: FloatArray, group: IntArray
) -> FloatArray:
    """Errors of a_i · p of each image, in the model of `diapipe.numerics.zero_points`; NaN where no star counts.

    The normal matrix N has a null vector n for each group of zero points that hang together: their common zero. With it
    fixed by u · p = 0, u the sum of w a over the images of the group with w the summed weights of each, the covariance
    is Π (N + Σ n nᵀ)⁻¹ Πᵀ with the projection Π = 1 - n uᵀ / (u · n). Of more than `EXACT_UP_TO` parameters only
    (Σ w)^(-1/2) is taken, the error of an image against stars that are known: less than the truth where groups hang
    together by a few stars.

    Parameters
    ----------
    weights, star, image, design, prior
        As in `zero_points`, with the final weights.
    group
        Number of the group of each zero point, the first of the parameters, -1 for none; shape (n_zero_points,).
    """
    n_images, n_parameters = design.shape
    rows = design[image]
    own = np.asarray(rows.T @ weights)
    alone = np.asarray(design[:, : len(group)] @ own[: len(group)])
    if n_parameters > EXACT_UP_TO or len(weights) == 0:
        return np.sqrt(np.divide(1.0, alone, out=np.full(n_images, np.nan), where=alone > 0.0))
    matrix = normal_matrix(weights, star, rows).toarray() + np.diag(prior + (own + prior == 0.0))
    of_image, dense = np.bincount(image, weights, n_images), design.toarray()
    projection = np.eye(n_parameters)
    for number in np.unique(group[group >= 0]):
        null = np.zeros(n_parameters)
        null[: len(group)] = group == number
        fixed = (of_image * (dense @ null)) @ dense
        if null @ fixed > 0.0:
            matrix += np.median(own[null > 0]) * np.outer(null, null)
            projection -= np.outer(null, fixed) / (null @ fixed)
    picked = dense @ projection
    variance = np.einsum("ij,jk,ik->i", picked, linalg.pinvh(matrix), picked, optimize=True)
    return np.where(alone > 0.0, np.sqrt(np.maximum(variance, 0.0)), np.nan)
