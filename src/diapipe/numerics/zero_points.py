"""Zero points of many images from the stars that they share: robust, sparse least squares.

The logarithm of the counts c of star j on image i is

    ln c_ij = m_j + a_i · p + noise,   variance σ_ij² + s_i²

with the star's magnitude m_j, a row a_i that picks the parameters p of the image (its zero point; or those of its visit
and of its detector), the error σ of the flux and a scatter s of the image that its stars show beyond their errors. The
magnitudes are eliminated, which leaves the normal equations

    (Aᵀ W A - Aᵀ W G (Gᵀ W G)⁻¹ Gᵀ W A + P) p = Aᵀ W (ln c - m̄)

with the membership G of stars and a weak prior P, solved by conjugate gradients: a step costs as much as there are
measurements, whatever the number of images. Where an image shares stars with few others, as in a mosaic, the matrix is
sparse and its factors precondition: else a zero point would travel one field a step. What no star tells, the zero of
each group of images that share stars, stays where it starts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, cg, splu

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

MAD_TO_SIGMA = 1.4826
"""Sigma of a Gaussian in units of its median absolute deviation."""

HUBER = 2.0
"""Residuals beyond so many sigma get less weight,"""

OUTLIER = 5.0
"""and beyond so many none."""

FIRST_SCATTER = 0.02
"""Scatter of the logarithms beyond their errors before any is known."""

LEAST_FREEDOM = 0.1
"""A measurement that makes up more than the rest of its star's mean says nothing of its own scatter."""

FEWEST = 5
"""Stars of which a scatter can be told."""

SPARSE = 50.0
"""Times that a star is seen, on average, up to which the normal matrix is sparse."""

RIDGE = 1e-9
"""Part of the diagonal that makes the factors of a singular matrix possible."""

MOST_STEPS = 1000
"""Of the conjugate gradients."""

_TOLERANCE = 1e-10


class ZeroPoints(NamedTuple):
    """Solution of `zero_points`.

    Attributes
    ----------
    parameters
        Shape (n_parameters,).
    scatter
        Of each image beyond the errors of its fluxes, shape (n_images,).
    residuals
        ln c less the model, over √(1 - its weight in the mean of its star), shape (n,); NaN for a star put aside.
    weights
        The final ones, 0 for what was put aside; shape (n,).
    """

    parameters: FloatArray
    scatter: FloatArray
    residuals: FloatArray
    weights: FloatArray


def zero_points(
    flux: FloatArray,
    error: FloatArray,
    *,
    star: IntArray,
    image: IntArray,
    design: csr_array,
    prior: FloatArray,
    least_snr: float,
    n_rounds: int = 8,
) -> ZeroPoints:
    """Fit the zero points.

    Parameters
    ----------
    flux, error
        Counts and their errors, positive, shape (n,).
    star, image
        Which star on which image, from 0, shape (n,).
    design
        The row a_i of each image; shape (n_images, n_parameters).
    prior
        Inverse variance with which each parameter is 0; shape (n_parameters,).
    least_snr
        Measurements that the fit expects below this signal-to-noise ratio are left out: by what is expected and not by
        what was measured, lest a star count where it came out too bright alone.
    n_rounds
        Times that weights, scatters and outliers are found anew.
    """
    n_stars, n_images = int(star.max(initial=-1)) + 1, design.shape[0]
    relative = error / flux
    values = np.log(flux) + 0.5 * relative**2
    rows = design[image]
    variable = np.zeros(n_stars, np.bool_)
    weights = 1.0 / (relative**2 + FIRST_SCATTER**2)
    scatter, parameters = np.zeros(n_images), np.zeros(design.shape[1])
    for turn in range(n_rounds):
        parameters = _solve(values, weights, star, rows, prior, n_stars, parameters)
        fitted = _fitted(values, weights, star, rows @ parameters, n_stars)
        usable = np.exp(np.minimum(fitted.expected, 700.0)) > least_snr * error
        usable &= np.isfinite(fitted.residuals) & ~variable[star]
        usable &= np.bincount(star, usable, n_stars)[star] >= 2
        scatter = _scatters(fitted.residuals, relative, image, usable, n_images)
        sigma = np.hypot(relative, scatter[image])
        pull = np.abs(fitted.residuals) / sigma
        if turn >= 2:
            variable |= _variables(pull, star, usable, n_stars)
            usable &= ~variable[star]
        huber = np.minimum(1.0, HUBER / np.maximum(pull, 1e-9))
        weights = np.where(usable & (pull < (OUTLIER if turn else np.inf)), huber / sigma**2, 0.0)
    parameters = _solve(values, weights, star, rows, prior, n_stars, parameters)
    fitted = _fitted(values, weights, star, rows @ parameters, n_stars)
    return ZeroPoints(parameters, scatter, fitted.residuals, weights)


class _Fitted(NamedTuple):
    """What the model expects, and residuals widened by the share that each has in the mean of its star."""

    expected: FloatArray
    residuals: FloatArray


def _fitted(values: FloatArray, weights: FloatArray, star: IntArray, of_image: FloatArray, n_stars: int) -> _Fitted:
    """Compare with the weighted mean of each star; NaN where it has no weight."""
    total = np.bincount(star, weights, n_stars)[star]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(star, weights * (values - of_image), n_stars)[star] / total
        freedom = np.maximum(1.0 - weights / total, LEAST_FREEDOM)
    return _Fitted(means + of_image, (values - of_image - means) / np.sqrt(freedom))


def _solve(
    values: FloatArray,
    weights: FloatArray,
    star: IntArray,
    rows: csr_array,
    prior: FloatArray,
    n_stars: int,
    start: FloatArray,
) -> FloatArray:
    """Parameters of least squares, the magnitudes of the stars eliminated."""
    total = np.bincount(star, weights, n_stars)
    share = np.divide(1.0, total, out=np.zeros(n_stars), where=total > 0.0)
    transposed = rows.T.tocsr()

    def centred(observed: FloatArray) -> FloatArray:
        means = np.bincount(star, weights * observed, n_stars) * share
        return np.asarray(transposed @ (weights * (observed - means[star])))

    n = rows.shape[1]
    own = np.asarray(transposed @ weights) + prior
    matrix = LinearOperator((n, n), matvec=lambda p: centred(rows @ p) + prior * p, dtype=np.float64)
    scale = np.where(own > 0.0, own, 1.0)
    inverse = lambda p: p / scale  # noqa: E731
    if float((np.bincount(star, minlength=n_stars).astype(np.float64) ** 2).sum()) < SPARSE * len(star):
        inverse = splu((normal_matrix(weights, star, rows) + diags_array(prior + RIDGE * scale)).tocsc()).solve
    nearly = LinearOperator((n, n), matvec=inverse, dtype=np.float64)
    found, _ = cg(matrix, centred(values), x0=start, rtol=_TOLERANCE, maxiter=MOST_STEPS, M=nearly)
    return np.asarray(found)


def normal_matrix(weights: FloatArray, star: IntArray, rows: csr_array) -> csr_array:
    """Aᵀ W A - Aᵀ W G (Gᵀ W G)⁻¹ Gᵀ W A; ``rows`` is A, shape (n, n_parameters)."""
    n_stars = int(star.max(initial=-1)) + 1
    total = np.bincount(star, weights, n_stars)
    share = np.divide(1.0, total, out=np.zeros(n_stars), where=total > 0.0)
    weighted = diags_array(weights) @ rows
    member = csr_array((np.ones(len(star)), (star, np.arange(len(star)))), shape=(n_stars, len(star)))
    of_stars = member @ weighted
    return rows.T @ weighted - of_stars.T @ diags_array(share) @ of_stars


def _scatters(
    residuals: FloatArray, relative: FloatArray, image: IntArray, usable: BoolArray, n_images: int
) -> FloatArray:
    """Scatter of each image beyond the errors, 0 where it has few stars."""
    found = np.zeros(n_images)
    order = np.argsort(image[usable], kind="stable")
    at = np.flatnonzero(usable)[order]
    starts = np.searchsorted(image[at], np.arange(n_images + 1))
    for i in range(n_images):
        some = at[starts[i] : starts[i + 1]]
        if len(some) >= FEWEST:
            found[i] = excess_scatter(residuals[some] ** 2, relative[some] ** 2)
    return found


def excess_scatter(squares: FloatArray, variances: FloatArray) -> float:
    """Scatter s for which half of the residuals are within the quartiles of Gaussians of the variances plus s².

    Parameters
    ----------
    squares
        Squared residuals, shape (n,).
    variances
        Squared errors.
    """
    extra = 0.0
    for _ in range(10):
        total = variances + extra
        ratio = float(np.median(squares / total)) * MAD_TO_SIGMA**2
        extra = max(0.0, extra + (ratio - 1.0) * float(np.median(total)))
    return float(np.sqrt(extra))


def _variables(pull: FloatArray, star: IntArray, usable: BoolArray, n_stars: int) -> BoolArray:
    """Stars seen at least four times that scatter by more than 2.5 times what is expected."""
    at = np.flatnonzero(usable)
    order = at[np.lexsort((pull[at], star[at]))]
    counts = np.bincount(star[order], minlength=n_stars)
    ends = np.cumsum(counts)
    middle = np.zeros(n_stars)
    seen = counts >= 4
    middle[seen] = pull[order[(ends - counts + counts // 2)[seen]]]
    return np.asarray(seen & (MAD_TO_SIGMA * middle > 2.5))
