"""Levels of images of one sky that are to agree: smooth fields, one an image, from medians in cells.

The median m_ic of image i in cell c is the level s_c of the sky there, whatever it is, plus what is the image's own, a
polynomial p_i. Least squares,

    min Σ_ic n_ic (m_ic - s_c - p_i(c))²,

where s_c is the weighted mean of m_ic - p_i(c) and can be left out of the unknowns. What all images have in common
cannot be told from the sky: of all solutions the one of least Σ_i ω_i p_i² is taken, with the weights ω_i that the
images have in their mean. Then Σ ω_i p_i = 0, and where all images are that mean is what it was.
"""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray


def matched_levels(
    medians: FloatArray, weights: FloatArray, terms: FloatArray, n_terms: list[int], shares: FloatArray
) -> list[FloatArray]:
    """Coefficients of the fields by which the levels of images differ.

    Parameters
    ----------
    medians
        Shape (n_images, n_cells); where the weight is 0 any number.
    weights
        Of the medians, 0 or more; the same shape.
    terms
        Of the polynomial at the cells, shape (n_terms, n_cells).
    n_terms
        How many of the terms each image has; 0 for none.
    shares
        Weight of each image in their mean, positive; shape (n_images,).

    Returns
    -------
    list of FloatArray
        One for each image, shape (n_terms[i],).
    """
    shared = (weights > 0).sum(axis=0) > 1
    weight = np.where(shared, weights, 0.0)
    total = weight.sum(axis=0)
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    values = np.where(weight > 0, medians, 0.0)
    starts = np.concatenate([[0], np.cumsum(n_terms)])
    normal, right = np.zeros((starts[-1], starts[-1])), np.zeros(starts[-1])
    sky = (share * values).sum(axis=0)
    for i, n in enumerate(n_terms):
        own = slice(starts[i], starts[i] + n)
        right[own] = terms[:n] @ (weight[i] * (values[i] - sky))
        for k, m in enumerate(n_terms[: i + 1]):
            other = slice(starts[k], starts[k] + m)
            product = weight[i] * ((1.0 if i == k else 0.0) - share[k])
            normal[own, other] = (terms[:n] * product) @ terms[:m].T
            normal[other, own] = normal[own, other].T
    scale = 1.0 / np.sqrt(np.repeat(shares / shares.max(), n_terms))
    found = scale * (np.linalg.pinv(scale[:, None] * normal * scale, rcond=1e-9, hermitian=True) @ (scale * right))
    return [found[starts[i] : starts[i] + n] for i, n in enumerate(n_terms)]
