"""Adaptive moments: position, flux and shape of sources under a Gaussian weight that takes the source's own shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray, RealArray
from diapipe.numerics.jit import inlined, jit

MAX_ITERATIONS = 30
WEIGHT_REACH = 4.0
"""The weight is cut where it has fallen to exp(-8)."""

CONVERGED, FAILED_TO_CONVERGE, WANDERED, COLLAPSED, NO_SIGNAL = 0, 1, 2, 4, 8
"""Flags of a measurement: still moving at the last iteration; centroid left the start by more than allowed; the shape
stopped being a shape (negative or enormous moments); no positive flux or no good pixel."""


class AdaptiveMoments(NamedTuple):
    """One entry a source; errors hold for a Gaussian profile in white noise.

    ``flux`` is that of the Gaussian of the found shape and position that fits best: right for a Gaussian source, a
    constant factor off for stars of one PSF. ``flag`` is 0 for a good measurement, else a sum of the constants above.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    ixx: FloatArray
    ixy: FloatArray
    iyy: FloatArray
    x_err: FloatArray
    y_err: FloatArray
    flux_err: FloatArray
    ixx_err: FloatArray
    ixy_err: FloatArray
    iyy_err: FloatArray
    flag: IntArray


@inlined
def _weighted_sums(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    bad_bits: int,
    state: FloatArray,
    radius: int,
    sums: FloatArray,
) -> int:
    """Sums of image x weight and its moments around the current centre; returns the number of good pixels.

    ``state`` is x, y, ixx, ixy, iyy, flux; ``sums`` gets ΣgI, ΣgIx, ΣgIy, ΣgIxx, ΣgIxy, ΣgIyy, Σg², Σg²V, g =
    exp(-q/2). A bad pixel takes the value that the current Gaussian predicts, so that holes do not pull the moments.
    """
    x0, y0, ixx, ixy, iyy, flux = state[0], state[1], state[2], state[3], state[4], state[5]
    determinant = ixx * iyy - ixy * ixy
    a, b, c = iyy / determinant, -ixy / determinant, ixx / determinant
    height = flux / (2.0 * np.pi * np.sqrt(determinant))
    reach_x, reach_y = min(radius, WEIGHT_REACH * np.sqrt(ixx) + 1.0), min(radius, WEIGHT_REACH * np.sqrt(iyy) + 1.0)
    y_first, y_last = max(0, int(np.ceil(y0 - reach_y))), min(image.shape[0] - 1, int(np.floor(y0 + reach_y)))
    x_first, x_last = max(0, int(np.ceil(x0 - reach_x))), min(image.shape[1] - 1, int(np.floor(x0 + reach_x)))
    for i in range(len(sums)):
        sums[i] = 0.0
    n_good = 0
    step = np.exp(-a)
    for y in range(y_first, y_last + 1):
        dy = y - y0
        dx = x_first - x0
        weight = np.exp(-0.5 * (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy))
        ratio = np.exp(-a * (dx + 0.5) - b * dy)
        s, sx, sxx, g2, g2v = 0.0, 0.0, 0.0, 0.0, 0.0
        for x in range(x_first, x_last + 1):
            dx = x - x0
            spread = np.float64(variance[y, x])
            good = spread > 0.0 and (mask[y, x] & bad_bits) == 0
            value = weight * (np.float64(image[y, x]) if good else height * weight)
            s += value
            sx += value * dx
            sxx += value * dx * dx
            squared = weight * weight
            g2 += squared if good else 0.0
            g2v += squared * spread if good else 0.0
            n_good += 1 if good else 0
            weight *= ratio
            ratio *= step
        sums[0] += s
        sums[1] += sx
        sums[2] += s * dy
        sums[3] += sxx
        sums[4] += sx * dy
        sums[5] += s * dy * dy
        sums[6] += g2
        sums[7] += g2v
    return n_good


@inlined
def _next_state(state: FloatArray, sums: FloatArray, damping: float) -> int:
    """Update centre, shape and flux in place; returns a flag, 0 if all is well.

    For a Gaussian source of covariance C under a Gaussian weight W the weighted moments M obey 1/M = 1/C + 1/W, and the
    first moment is displaced by half the offset when C = W (Bernstein & Jarvis 2002, section 3.1).
    """
    if not sums[0] > 0.0:
        return NO_SIGNAL
    mx, my = sums[1] / sums[0], sums[2] / sums[0]
    mxx, mxy = sums[3] / sums[0] - mx * mx, sums[4] / sums[0] - mx * my
    myy = sums[5] / sums[0] - my * my
    weighted = mxx * myy - mxy * mxy
    current = state[2] * state[4] - state[3] * state[3]
    if not (weighted > 0.0 and mxx > 0.0):
        return COLLAPSED
    pxx, pxy, pyy = myy / weighted - state[4] / current, -mxy / weighted + state[3] / current, 0.0
    pyy = mxx / weighted - state[2] / current
    precision = pxx * pyy - pxy * pxy
    if not (precision > 0.0 and pxx > 0.0):
        return COLLAPSED
    state[0] += 2.0 * damping * mx
    state[1] += 2.0 * damping * my
    state[2] += damping * (pyy / precision - state[2])
    state[3] += damping * (-pxy / precision - state[3])
    state[4] += damping * (pxx / precision - state[4])
    return 0


@inlined
def _measure(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    bad_bits: int,
    start: FloatArray,
    radius: int,
    max_shift: float,
    state: FloatArray,
    sums: FloatArray,
) -> tuple[int, float]:
    """Iterate one source to convergence; ``state`` gets the result. Returns the flag and the flux error."""
    for i in range(len(state)):
        state[i] = start[i]
    flux_err = np.nan
    largest = (0.5 * radius) ** 2
    for _ in range(MAX_ITERATIONS):
        n_good = _weighted_sums(image, variance, mask, bad_bits, state, radius, sums)
        if n_good < 6 or not sums[6] > 0.0:
            return NO_SIGNAL, flux_err
        root = np.sqrt(state[2] * state[4] - state[3] * state[3])
        area = 2.0 * np.pi * root
        state[5] = area * sums[0] / (np.pi * root)
        flux_err = area * np.sqrt(sums[7]) / sums[6]
        x, y, trace, difference, cross = state[0], state[1], state[2] + state[4], state[2] - state[4], state[3]
        flag = _next_state(state, sums, 1.0)
        if flag != 0:
            return flag, flux_err
        trace_now = state[2] + state[4]
        if not (trace_now < 2.0 * largest) or state[2] < 0.04 or state[4] < 0.04:
            return COLLAPSED, flux_err
        if abs(state[0] - start[0]) > max_shift or abs(state[1] - start[1]) > max_shift:
            return WANDERED, flux_err
        still = abs(state[0] - x) < 3e-4 and abs(state[1] - y) < 3e-4 and abs(trace_now - trace) < 3e-4 * trace
        change = abs(state[2] - state[4] - difference) + 2.0 * abs(state[3] - cross)
        if still and change < 6e-4 * trace:
            return CONVERGED, flux_err
    return FAILED_TO_CONVERGE, flux_err


@jit
def _measure_all(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    bad_bits: int,
    x: FloatArray,
    y: FloatArray,
    sigma_start: float,
    radius: int,
    max_shift: float,
    states: FloatArray,
    flux_err: FloatArray,
    flags: IntArray,
) -> None:
    """Fill states, shape (n, 6), flux errors and flags."""
    start, sums = np.empty(6), np.empty(8)
    for i in range(len(x)):
        start[0], start[1], start[3], start[5] = x[i], y[i], 0.0, 0.0
        start[2] = start[4] = sigma_start * sigma_start
        flags[i], flux_err[i] = _measure(image, variance, mask, bad_bits, start, radius, max_shift, states[i], sums)


def adaptive_moments(
    image: Float32Array,
    variance: Float32Array,
    x: RealArray | IntArray,
    y: RealArray | IntArray,
    *,
    sigma_start: float,
    radius: int = 12,
    max_shift: float = 2.5,
    mask: MaskArray | None = None,
    bad_bits: int = 0,
) -> AdaptiveMoments:
    """Centroid, flux and second moments of many sources by Gaussian-weighted adaptive moments.

    Parameters
    ----------
    image
        Background-subtracted, shape (rows, columns).
    variance
        Same shape; 0 (or less) marks pixels to leave out, whose value the fitted Gaussian then supplies.
    x, y
        Starting positions in array coordinates, shape (n,).
    sigma_start
        Width of the first weight in pixels: that of the PSF.
    radius
        Pixels farther than this from the centre along an axis are not looked at; shapes beyond half of it are refused.
    max_shift
        Farthest that a centroid may move from its start, along each axis, in pixels.
    mask, bad_bits
        Pixels with any of these bits are left out too; None: no others.

    Returns
    -------
    AdaptiveMoments
        Arrays of shape (n,); a flagged source has the values of its last iteration, NaN where there are none.

    Notes
    -----
    Errors are those of a maximum-likelihood fit of a Gaussian in white noise. With ν the signal-to-noise of the flux at
    known shape, Var(flux) = 2 flux² / ν², because the size is free, Var(x) = 2 ixx / ν² and
    Cov(M_ij, M_kl) = 4 (M_ik M_jl + M_il M_jk) / ν² (inverse of the Fisher matrix).
    """
    flags = np.zeros(image.shape, np.int32) if mask is None else mask
    n = len(x)
    states, flux_err, flag = np.full((n, 6), np.nan), np.full(n, np.nan), np.zeros(n, np.int64)
    _measure_all(
        image,
        variance,
        flags,
        int(bad_bits),
        np.ascontiguousarray(x, np.float64),
        np.ascontiguousarray(y, np.float64),
        float(sigma_start),
        int(radius),
        float(max_shift),
        states,
        flux_err,
        flag,
    )
    at_x, at_y, ixx, ixy, iyy, flux = np.ascontiguousarray(states.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(flux_err / flux)
        return AdaptiveMoments(
            at_x,
            at_y,
            flux,
            ixx,
            ixy,
            iyy,
            x_err=np.sqrt(2.0 * ixx) * relative,
            y_err=np.sqrt(2.0 * iyy) * relative,
            flux_err=np.sqrt(2.0) * flux_err,
            ixx_err=np.sqrt(8.0) * ixx * relative,
            ixy_err=2.0 * np.sqrt(ixx * iyy + ixy * ixy) * relative,
            iyy_err=np.sqrt(8.0) * iyy * relative,
            flag=flag,
        )
