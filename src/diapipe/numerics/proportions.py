"""Shares with their uncertainty, and how a share rises with what it depends on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtr

from diapipe.numerics.arrays import BoolArray, FloatArray, RealArray

ONE_SIGMA = 0.6827
"""Probability within one sigma of a Gaussian."""
_FEWEST = 8
_ALMOST = 1e-9


class Share(NamedTuple):
    """A part of a number, and the interval that holds the true share; NaN where there is nothing.

    Attributes
    ----------
    n_of, n
        How many of how many.
    value
        ``n_of / n``.
    low, high
        Ends of the interval.
    """

    n_of: int
    n: int
    value: float
    low: float
    high: float


class Rise(NamedTuple):
    """p(x) = top Φ((x - half) / width), with standard errors; NaN where the data do not tell.

    Attributes
    ----------
    half, half_err
        Where half of the top is reached.
    width, width_err
        Of the rise; positive.
    top, top_err
        Far above.
    """

    half: float
    half_err: float
    width: float
    width_err: float
    top: float
    top_err: float


def share(n_of: int, n: int, *, level: float = ONE_SIGMA) -> Share:
    """A share with Jeffreys' interval (Brown, Cai & DasGupta 2001): Beta(k + 1/2, n - k + 1/2), closed at 0 and at 1.

    Parameters
    ----------
    n_of, n
        How many of how many.
    level
        Probability that the interval holds.
    """
    if n == 0:
        return Share(0, 0, np.nan, np.nan, np.nan)
    tail = 0.5 * (1.0 - level)
    a, b = n_of + 0.5, n - n_of + 0.5
    low = 0.0 if n_of == 0 else float(betaincinv(a, b, tail))
    high = 1.0 if n_of == n else float(betaincinv(a, b, 1.0 - tail))
    return Share(int(n_of), int(n), n_of / n, low, high)


def binned_shares(values: RealArray, chosen: BoolArray, edges: FloatArray, *, level: float = ONE_SIGMA) -> list[Share]:
    """The share of the chosen in each bin of ``values``; bins hold their lower edge."""
    index = np.searchsorted(edges, values, side="right") - 1
    inside = (index >= 0) & (index < len(edges) - 1)
    n = np.bincount(index[inside], minlength=len(edges) - 1)
    n_of = np.bincount(index[inside & chosen], minlength=len(edges) - 1)
    return [share(int(k), int(m), level=level) for k, m in zip(n_of, n, strict=True)]


def fit_rise(values: FloatArray, chosen: BoolArray) -> Rise:
    """The likeliest rise of a share, one trial at a time, and errors from the curvature of the likelihood.

    Parameters
    ----------
    values
        What the share depends on, shape (n,).
    chosen
        Outcome of each trial.

    Returns
    -------
    Rise
        NaN throughout where all trials came out alike or there are fewer than eight; ``top`` is at most 1.
    """
    from scipy.optimize import minimize  # half a second to import, for those who judge results

    x, y = np.asarray(values, dtype=np.float64), np.asarray(chosen, dtype=np.bool_)
    if len(x) < _FEWEST or y.all() or not y.any():
        return Rise(*[np.nan] * 6)
    spread = max(float(np.std(x)), 1e-6)
    begin = np.array([0.5 * np.median(x[y]) + 0.5 * np.median(x[~y]), np.log(0.25 * spread), 3.0])
    # weak: they matter where nothing bright was missed, or where a gap parts what was found from what was not
    prior = np.array([spread, 1.5, 10.0])

    def loss(parameters: FloatArray) -> float:
        p = np.clip(_probability(x, parameters), _ALMOST, 1.0 - _ALMOST)
        return float(-np.log(np.where(y, p, 1.0 - p)).sum() + 0.5 * (((parameters - begin) / prior) ** 2).sum())

    found = minimize(loss, begin, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-7, "fatol": 1e-9}).x
    errors = np.sqrt(np.diag(_covariance(x, found, prior)))
    top = _top(found[2])
    width = float(np.exp(found[1]))
    slope = top * (1.0 - top)
    return Rise(float(found[0]), float(errors[0]), width, width * float(errors[1]), top, slope * float(errors[2]))


def _top(parameter: float) -> float:
    """From the whole line to between 0 and 1."""
    return float(1.0 / (1.0 + np.exp(-parameter)))


def _probability(x: FloatArray, parameters: FloatArray) -> FloatArray:
    half, log_width, top = parameters
    return np.asarray(_top(top) * ndtr((x - half) * np.exp(-np.clip(log_width, -50, 50))))


def _covariance(x: FloatArray, parameters: FloatArray, prior: FloatArray) -> FloatArray:
    """Inverse of Fisher's information, with that of Gaussian priors of these widths."""
    p = np.clip(_probability(x, parameters), _ALMOST, 1.0 - _ALMOST)
    steps = np.array([1e-4 * np.exp(parameters[1]), 1e-4, 1e-4])
    slopes = [
        (_probability(x, parameters + step) - _probability(x, parameters - step)) / (2.0 * step.sum())
        for step in np.diag(steps)
    ]
    jacobian = np.stack(slopes)
    information = (jacobian / (p * (1.0 - p))) @ jacobian.T + np.diag(prior**-2.0)
    return np.asarray(np.linalg.inv(information))
