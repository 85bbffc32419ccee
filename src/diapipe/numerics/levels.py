"""Levels of images of one sky that are to agree: smooth fields, one an image, from medians in cells.

The median m_ic of image i in cell c is the level s_c of the sky there, whatever it is, plus what is the image's own, a
polynomial p_i of coefficients a_ik, plus noise of variance v_ic. Where an image covers little of the cells medians do
not determine all of its coefficients, and what all images have in common they never do. What is known of these is that
they are of the size of the others of their degree d,

    m_ic - s_c - p_i(c) ~ N(0, σ² v_ic / f_c),      a_ik ~ N(0, τ_d² / ω_i),

with the weights ω_i that the images have in their mean. Then Σ ω_i p_i = 0, and where all images are that mean is what
it was. The τ_d and σ are those under which the medians are most probable (variance components by restricted maximum
likelihood; Harville 1977, JASA 72, 320), found by the fixed point of MacKay (1992, Neural Computation 4, 415):

    τ_d² = Σ ω_i a_ik² / γ_d,      γ_d = Σ (1 - ω_i Var(a_ik) / τ_d²),

γ_d being the number of coefficients that the medians determine; σ is 1 or more. A coefficient of error e is reduced by
the part e² / (e² + τ_d²/ω_i): one of the usual size by no more than half its error.

The median of a cell in which a bright star stands follows the seeing. The noise of a cell is therefore Student's t of
4 degrees of freedom for all its n_c images together: f_c = (4 + n_c - 1) / (4 + χ²_c) (Lange, Little & Taylor 1989,
JASA 84, 881).
"""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.polynomials import exponents, order_of

_STUDENT = 4.0
_MAX_ROUNDS = 100
_SETTLED = 0.01


def matched_levels(medians: FloatArray, weights: FloatArray, terms: FloatArray, shares: FloatArray) -> FloatArray:
    """Coefficients of the fields by which the levels of images differ.

    Parameters
    ----------
    medians
        Shape (n_images, n_cells); where the weight is 0 any number.
    weights
        Inverse variances of the medians as far as it is noise, 0 where there is none; the same shape.
    terms
        Of a complete polynomial at the cells, shape (n_terms, n_cells).
    shares
        Weight of each image in their mean, positive; shape (n_images,).

    Returns
    -------
    FloatArray
        Shape (n_images, n_terms); 0 for images that share no cell with another.
    """
    shared = (weights > 0).sum(axis=0) > 1
    n, n_terms = len(medians), len(terms)
    if not shared.any():
        return np.zeros((n, n_terms))
    weights, terms = weights[:, shared], terms[:, shared]
    values = np.where(weights > 0, medians[:, shared], 0.0)
    unit = np.sqrt(shares.max() / shares)
    degree = np.tile([sum(pair) for pair in exponents(order_of(n_terms))], n)
    off = _off_common(values, weights)
    prior = np.full(degree.max() + 1, (weights * (off / unit[:, None]) ** 2).sum() / weights.sum())
    others = np.count_nonzero(weights, axis=0) - 1
    factor, noise, found = np.ones(len(others)), 1.0, np.zeros(len(degree))
    for _ in range(_MAX_ROUNDS):
        normal, right = _equations(off, weights * factor, terms, unit)
        width = np.sqrt(prior[degree])
        shrunk = np.linalg.inv(np.eye(len(width)) + width[:, None] * normal * (width / noise))
        before, found = found, width * (shrunk @ (width * right)) / noise
        unknown = np.diag(shrunk)
        if (np.abs(found - before) <= _SETTLED * width * np.sqrt(unknown)).all():
            break
        known = np.bincount(degree, 1.0 - unknown)
        prior = np.divide(np.bincount(degree, found**2), known, out=np.zeros_like(known), where=known > 0)
        left = _off_common(values - unit[:, None] * (found.reshape(n, n_terms) @ terms), weights)
        squares = (weights * left**2).sum(axis=0)
        noise = max(1.0, float(factor @ squares) / max(float(others.sum() - known.sum()), 1.0))
        factor = (_STUDENT + others) / (_STUDENT + squares / noise)
    return unit[:, None] * found.reshape(n, n_terms)


def _off_common(values: FloatArray, weights: FloatArray) -> FloatArray:
    """What the values differ by from the weighted mean of their cell; 0 where the weight is."""
    return np.where(weights > 0, values - (weights * values).sum(axis=0) / weights.sum(axis=0), 0.0)


def _equations(
    off: FloatArray, weights: FloatArray, terms: FloatArray, unit: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Normal equations of all coefficients, in the units of their images, the level of each cell left out of them."""
    n, n_terms = len(off), len(terms)
    weighted = unit[:, None, None] * weights[:, None, :] * terms
    common = (weighted / np.sqrt(weights.sum(axis=0))).reshape(n * n_terms, -1)
    normal = -common @ common.T
    own = unit[:, None, None] * (weighted @ terms.T)
    for i in range(n):
        at = slice(i * n_terms, (i + 1) * n_terms)
        normal[at, at] += own[i]
    return normal, (weighted * off[:, None, :]).sum(axis=-1).ravel()
