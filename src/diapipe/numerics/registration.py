"""The shift between two lists of points, and the smooth displacement between matched ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial import cKDTree

from diapipe.numerics import polynomials
from diapipe.numerics.arrays import BoolArray, FloatArray

PARAMETER_COST = 1.0
"""What a parameter must lower χ² by, beyond the one or two by which it lowers the left-out points' χ² by chance."""

MAX_LOOSENESS = 4.0
"""Largest variance of a fit over the rectangle around its points, in units of that at the points."""

RAYLEIGH_MEDIAN_SQUARED = 2.0 * np.log(2.0)
"""Median of the squared length of a 2-D vector whose components are unit Gaussians."""


class Offset(NamedTuple):
    """A shift that many pairs of points agree on; ``significance`` in sigma above chance."""

    dx: float
    dy: float
    n_pairs: int
    significance: float


@dataclass(frozen=True, slots=True, eq=False)
class DisplacementFit:
    """Two polynomials of one order fitted to the displacements of matched points.

    Attributes
    ----------
    order
        Highest total degree; -1 where no displacement predicts left-out points best.
    x, y
        Coefficients, shape (n_terms(order),); empty for order -1.
    kept
        Points that survived the clipping.
    extra_sigma
        Scatter per axis found on top of the given errors.
    rms_before, rms_after
        Weighted root mean square per axis of the displacements and of the residuals of the points kept.
    error
        Root mean square error per axis of the fitted displacement at the points, from the covariance of the fit.
    significance
        Sigma of a Gaussian that is exceeded as rarely as chance lets χ² fall so much (Wilson & Hilferty 1931).
    """

    order: int
    x: FloatArray
    y: FloatArray
    kept: BoolArray
    extra_sigma: float
    rms_before: float
    rms_after: float
    error: float
    significance: float


def coarse_offset(points: FloatArray, targets: FloatArray, *, radius: float, bin_width: float = 2.0) -> Offset | None:
    """The shift, up to ``radius``, that brings most points onto targets.

    Parameters
    ----------
    points, targets
        Shape (n, 2) and (m, 2).
    radius
        Largest shift along either axis that is looked for.
    bin_width
        Cell of the vote; the peak is three cells wide, so a rotation or a scale may spread the pairs by that much.

    Returns
    -------
    Offset or None
        ``targets - points`` of the pairs in the peak (their median); None if no two points are so near.
    """
    near = cKDTree(points).sparse_distance_matrix(cKDTree(targets), radius * np.sqrt(2.0), output_type="coo_matrix")
    difference = targets[near.col] - points[near.row]
    difference = difference[(np.abs(difference) < radius).all(axis=1)]
    if len(difference) == 0:
        return None
    n_bins = max(3, int(np.ceil(2.0 * radius / bin_width)))
    edges = np.linspace(-radius, radius, n_bins + 1)
    votes, _, _ = np.histogram2d(difference[:, 1], difference[:, 0], bins=(edges, edges))
    padded = np.pad(votes, 1)
    smooth = sliding_window_view(padded, (3, 3)).sum(axis=(2, 3))
    row, column = np.unravel_index(np.argmax(smooth), smooth.shape)
    expected = 9.0 * len(difference) / n_bins**2
    centre = 0.5 * (edges[1:] + edges[:-1])[[column, row]]
    inside = difference[(np.abs(difference - centre) <= 1.5 * (edges[1] - edges[0])).all(axis=1)]
    dx, dy = np.median(inside, axis=0)
    return Offset(float(dx), float(dy), len(inside), float((len(inside) - expected) / np.sqrt(expected + 1.0)))


def fit_displacement(
    u: FloatArray,
    v: FloatArray,
    displacement: FloatArray,
    sigma: FloatArray,
    *,
    max_order: int = 5,
    n_sigma: float = 4.0,
) -> DisplacementFit:
    """Robust polynomial fit of a displacement field, of the order that predicts left-out points best.

    Parameters
    ----------
    u, v
        Positions scaled to [-1, 1], shape (n,).
    displacement
        Shape (n, 2).
    sigma
        Error per axis of each displacement, shape (n,), positive.
    max_order
        Highest order tried; each order needs five points per term (order 0 needs three).
    n_sigma
        Points farther off than this, in units of the error of a component, are clipped.

    Returns
    -------
    DisplacementFit
        The clipping and the extra scatter come from the highest order that the number of points allows. The order has
        the least sum of squared leave-one-out residuals r/(1 - h), h the leverage (Allen 1974, PRESS), with
        `PARAMETER_COST` added for each parameter; orders that the points leave loose somewhere in the rectangle around
        them are not taken.
    """
    highest = max((k for k in range(max_order + 1) if len(u) >= _least_points(k)), default=-1)
    if highest < 0:
        nothing = np.empty(0)
        return DisplacementFit(-1, nothing, nothing, np.zeros(len(u), bool), 0.0, np.nan, np.nan, np.nan, 0.0)
    kept, extra = _clipped(polynomials.chebyshev_terms(u, v, highest).T, displacement, sigma, n_sigma)
    weight = 1.0 / (sigma[kept] ** 2 + extra**2)
    data = displacement[kept]
    zero = float((weight * (data**2).sum(axis=1)).sum())
    scores = {-1: zero}
    for order in range(highest + 1):
        if kept.sum() >= _least_points(order):
            terms = polynomials.chebyshev_terms(u[kept], v[kept], order).T
            coefficients, leverage = _solved(terms, data, weight)
            residual = (data - terms @ coefficients) / (1.0 - leverage)[:, None]
            if order > 0 and _looseness(u[kept], v[kept], order, weight) > MAX_LOOSENESS:
                break
            scores[order] = float((weight * (residual**2).sum(axis=1)).sum() + 2.0 * PARAMETER_COST * terms.shape[1])
    best = min(scores, key=lambda order: scores[order])
    return _described(best, u, v, data, weight, kept, extra)


def _looseness(u: FloatArray, v: FloatArray, order: int, weight: FloatArray) -> float:
    """Mean variance of a fit over the rectangle around its points, in units of that at the points."""
    grid_u, grid_v = np.meshgrid(np.linspace(u.min(), u.max(), 12), np.linspace(v.min(), v.max(), 12))
    terms = polynomials.chebyshev_terms(u, v, order).T
    _, triangle = np.linalg.qr(terms * np.sqrt(weight)[:, None])
    inverse = np.linalg.pinv(triangle)
    over_grid = polynomials.chebyshev_terms(grid_u.ravel(), grid_v.ravel(), order).T @ inverse
    return float((over_grid**2).sum(axis=1).mean() / ((terms @ inverse) ** 2).sum(axis=1).mean())


def _least_points(order: int) -> int:
    return max(3, 5 * polynomials.n_terms(order)) if order > 0 else 3


def _described(
    order: int, u: FloatArray, v: FloatArray, data: FloatArray, weight: FloatArray, kept: BoolArray, extra: float
) -> DisplacementFit:
    """The fit of one order to the points kept, with what it says about itself."""
    rms_before = _rms(data, weight)
    if order < 0:
        nothing = np.empty(0)
        return DisplacementFit(-1, nothing, nothing, kept, extra, rms_before, rms_before, 0.0, 0.0)
    terms = polynomials.chebyshev_terms(u[kept], v[kept], order).T
    coefficients, leverage = _solved(terms, data, weight)
    residual = data - terms @ coefficients
    drop = float((weight * ((data**2).sum(axis=1) - (residual**2).sum(axis=1))).sum())
    n_parameters = 2 * terms.shape[1]
    error = float(np.sqrt((leverage / weight).mean()))
    significance = fall_significance(drop, n_parameters)
    return DisplacementFit(
        order,
        *(coefficients[:, 0].copy(), coefficients[:, 1].copy(), kept, extra),
        *(rms_before, _rms(residual, weight), error, significance),
    )


def fall_significance(drop: float, n_parameters: int) -> float:
    """Sigma of a Gaussian that is exceeded as rarely as chance lets χ² fall by ``drop`` for so many parameters."""
    spread = 2.0 / (9.0 * n_parameters)
    return float((np.cbrt(drop / n_parameters) - (1.0 - spread)) / np.sqrt(spread))


def _rms(vectors: FloatArray, weight: FloatArray) -> float:
    return float(np.sqrt((weight * (vectors**2).sum(axis=1)).sum() / (2.0 * weight.sum())))


def _solved(terms: FloatArray, data: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least-squares coefficients, shape (n_terms, 2), and the leverage of each point, below 1."""
    root = np.sqrt(weight)
    q, r = np.linalg.qr(terms * root[:, None])
    coefficients, *_ = np.linalg.lstsq(r, q.T @ (data * root[:, None]), rcond=None)
    return coefficients, np.minimum((q**2).sum(axis=1), 0.99)


def _clipped(terms: FloatArray, data: FloatArray, sigma: FloatArray, n_sigma: float) -> tuple[BoolArray, float]:
    """Points that agree with a fit of these terms, and the scatter found on top of their errors."""
    distance = np.hypot(*(data - np.median(data, axis=0)).T)
    kept = distance <= 2.0 * n_sigma * max(float(np.median(distance)), float(np.median(sigma)))
    extra = 0.0
    for _ in range(10):
        coefficients, _ = _solved(terms[kept], data[kept], 1.0 / (sigma[kept] ** 2 + extra**2))
        squared = ((data - terms @ coefficients) ** 2).sum(axis=1)
        extra = _extra_sigma(squared[kept], sigma[kept], terms.shape[1])
        now = squared <= n_sigma**2 * (sigma**2 + extra**2)
        if now.sum() < max(3, terms.shape[1]) or (now == kept).all():
            break
        kept = now
    return kept, extra


def _extra_sigma(squared: FloatArray, sigma: FloatArray, n_terms: int) -> float:
    """Scatter that makes the median of r²/(σ² + extra²) that of a 2-D Gaussian; 0 if the errors are large enough."""
    goal = RAYLEIGH_MEDIAN_SQUARED * max(1.0 - n_terms / len(squared), 0.1)
    low, high = 0.0, float(np.sqrt(np.median(squared) / goal))
    if np.median(squared / sigma**2) <= goal:
        return 0.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        if np.median(squared / (sigma**2 + middle**2)) > goal:
            low = middle
        else:
            high = middle
    return high
