"""Lanczos-3 weights: by polynomial for whole rows, exact and stretched for single positions."""

from __future__ import annotations

import math

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.jit import jit

LOBES = 3
"""Half-width of the kernel in source pixels, before it is stretched."""

CLAMP = 1e-5
"""Distance that a position keeps from whole pixels, where sin(πt)/t is 0/0; it costs 1e-5 px."""

_N_COEFFICIENTS = 7


def lanczos(t: FloatArray, *, stretch: float = 1.0) -> FloatArray:
    """Lanczos-3 kernel sinc(t/s) sinc(t/3s) at distances ``t``, zero beyond 3s; not normalised."""
    u = np.asarray(t, dtype=np.float64) / stretch
    return np.where(np.abs(u) < LOBES, np.sinc(u) * np.sinc(u / LOBES), 0.0)


def _fitted_polynomials() -> Float32Array:
    """Coefficients of the normalised weights of taps 0, -1, -2 as polynomials of g = fraction - 1/2.

    Shape (3, 2, n): even and odd part, in powers of g². The weight of tap 1 - i at g is that of tap i at -g, so three
    polynomials give all six weights; dividing by their sum keeps that symmetry, so the normalisation is in the fit.
    """
    g = 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200)
    taps = np.arange(1 - LOBES, LOBES + 1)

    def normalised(at: FloatArray) -> FloatArray:
        values = lanczos(at[None, :] + 0.5 - taps[:, None])
        return np.asarray(values / values.sum(axis=0))

    forward, backward = normalised(g)[2::-1], normalised(-g)[2::-1]
    powers = (g**2)[:, None] ** np.arange(_N_COEFFICIENTS)
    even, *_ = np.linalg.lstsq(powers, 0.5 * (forward + backward).T, rcond=None)
    odd, *_ = np.linalg.lstsq(powers * g[:, None], 0.5 * (forward - backward).T, rcond=None)
    return np.ascontiguousarray(np.stack([even.T, odd.T], axis=1), dtype=np.float32)


POLYNOMIALS = _fitted_polynomials()
"""What `row_weights` takes; right to 1e-7."""


@jit
def row_weights(fraction: Float32Array, polynomials: Float32Array, weights: Float32Array, n: int) -> None:
    """Unit-sum Lanczos-3 weights of taps -2 ... 3 for ``n`` positions.

    Parameters
    ----------
    fraction
        Position past tap 0, less one half: -0.5 to 0.5; shape (≥ n,).
    polynomials
        ``POLYNOMIALS``.
    weights
        Output, shape (6, ≥ n).
    n
        How many positions.
    """
    for pair in range(3):
        e0, e1, e2, e3, e4, e5, e6 = (
            polynomials[pair, 0, 0],
            polynomials[pair, 0, 1],
            polynomials[pair, 0, 2],
            polynomials[pair, 0, 3],
            polynomials[pair, 0, 4],
            polynomials[pair, 0, 5],
            polynomials[pair, 0, 6],
        )
        o0, o1, o2, o3, o4, o5, o6 = (
            polynomials[pair, 1, 0],
            polynomials[pair, 1, 1],
            polynomials[pair, 1, 2],
            polynomials[pair, 1, 3],
            polynomials[pair, 1, 4],
            polynomials[pair, 1, 5],
            polynomials[pair, 1, 6],
        )
        for x in range(n):
            q = fraction[x] * fraction[x]
            even = e0 + q * (e1 + q * (e2 + q * (e3 + q * (e4 + q * (e5 + q * e6)))))
            odd = o0 + q * (o1 + q * (o2 + q * (o3 + q * (o4 + q * (o5 + q * o6)))))
            odd *= fraction[x]
            weights[2 - pair, x] = even + odd
            weights[3 + pair, x] = even - odd


def n_taps(stretch: float) -> int:
    """Taps per axis of the stretched kernel."""
    return 2 * math.ceil(LOBES * stretch)


@jit
def tap_weights(position: float, stretch: float, weights: FloatArray) -> int:
    """Unit-sum weights of the taps around one position, for a kernel stretched by ``stretch`` ≥ 1.

    Parameters
    ----------
    position
        Where, in pixels.
    stretch
        Width of the kernel in units of the plain one.
    weights
        Output, shape (n_taps(stretch),).

    Returns
    -------
    int
        Pixel of the first tap.
    """
    half = len(weights) // 2
    whole = math.floor(position)
    fraction = min(max(position - whole, CLAMP), 1.0 - CLAMP)
    total = 0.0
    for k in range(len(weights)):
        t = math.pi * (fraction + half - 1 - k) / stretch
        weights[k] = math.sin(t) * math.sin(t / LOBES) / (t * t) if abs(t) < LOBES * math.pi else 0.0
        total += weights[k]
    for k in range(len(weights)):
        weights[k] /= total
    return int(whole - half + 1)


def sampled_at(image: FloatArray, *, x: FloatArray, y: FloatArray, stretch: float = 1.0) -> FloatArray:
    """Values of a small image at positions; what lies outside it is zero.

    Parameters
    ----------
    image
        Shape (height, width), all finite.
    x, y
        Array indices, of one shape.
    stretch
        Width of the kernel in units of the plain one.

    Returns
    -------
    FloatArray
        Shape of ``x``.
    """
    values = np.zeros(x.size)
    taps = np.empty((2, n_taps(stretch)))
    flat_x, flat_y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
    _sample(np.ascontiguousarray(image, dtype=np.float64), flat_x.ravel(), flat_y.ravel(), float(stretch), taps, values)
    return values.reshape(x.shape)


@jit
def _sample(
    image: FloatArray, x: FloatArray, y: FloatArray, stretch: float, taps: FloatArray, values: FloatArray
) -> None:
    for k in range(len(x)):
        left, bottom = tap_weights(x[k], stretch, taps[0]), tap_weights(y[k], stretch, taps[1])
        total = 0.0
        for j in range(max(0, -bottom), min(taps.shape[1], image.shape[0] - bottom)):
            for i in range(max(0, -left), min(taps.shape[1], image.shape[1] - left)):
                total += taps[0, i] * taps[1, j] * image[bottom + j, left + i]
        values[k] = total
