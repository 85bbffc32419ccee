"""Interpolants: the weights of source pixels at a position between them, the same along each axis.

Two kinds have six taps and are kept as polynomials of the sub-pixel position: the classical Lanczos-3, and the Wiener
interpolant, whose six weights predict best, in the mean square, what the image of stars is there. It keeps the centroid
of every star, which Lanczos-3 moves by up to 0.02 px, and errs less in shape. Its target may be a slightly blurred
image: that costs sharpness, once and the same everywhere, and divides the error, which changes with the sub-pixel
position and so cannot be matched by a kernel, by 1.6 at a blur of 0.3 px, by 4 at 0.5 px. A source finer than the
target is sampled by a stretched Lanczos-3.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit

LOBES = 3
"""Half-width of the kernels in source pixels, before they are stretched."""

CLAMP = 1e-5
"""Distance that a position keeps from whole pixels under a stretched kernel, where sin(πt)/t is 0/0."""

_TAPS = np.arange(1 - LOBES, LOBES + 1)
_N_COEFFICIENTS = 7
_STAR_SIGMAS_PX = (1.1, 1.5, 3.0)
_WHITE = 1e-6


@dataclass(frozen=True, slots=True)
class Interpolant:
    """How values between pixels are made.

    Attributes
    ----------
    blur_px
        Sigma of the Gaussian blur of the Wiener interpolant; None for Lanczos-3.
    stretch
        Width of the kernel in units of the plain one, at least 1; above 1 it is a Lanczos-3.
    """

    blur_px: float | None = None
    stretch: float = 1.0

    @property
    def n_taps(self) -> int:
        """Source pixels along each axis that carry weight."""
        return 2 * math.ceil(LOBES * self.stretch)

    @property
    def polynomials(self) -> FloatArray:
        """Coefficients for `row_weights` and `tap_weights`, shape (3, 2, 7); right to 1e-7."""
        return _polynomials(self.blur_px)

    def weights(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First tap and weights of positions of any shape; shapes (*shape,) and (*shape, n_taps)."""
        flat = np.ascontiguousarray(position, dtype=np.float64).ravel()
        values, first = np.empty((len(flat), self.n_taps)), np.empty(len(flat))
        _weights_of_many(flat, self.polynomials, float(self.stretch), first, values)
        return first.reshape(position.shape), values.reshape(*position.shape, self.n_taps)


LANCZOS = Interpolant()
"""Plain Lanczos-3."""


def lanczos(t: FloatArray) -> FloatArray:
    """Lanczos-3 kernel sinc(t) sinc(t/3) at distances ``t``, zero beyond 3; not normalised."""
    t = np.asarray(t, dtype=np.float64)
    return np.where(np.abs(t) < LOBES, np.sinc(t) * np.sinc(t / LOBES), 0.0)


def lanczos_weights(fraction: float) -> FloatArray:
    """Unit-sum Lanczos-3 weights of taps -2 ... 3 at a position 0 to 1 past tap 0."""
    values = lanczos(fraction - _TAPS.astype(np.float64))
    return np.asarray(values / values.sum(), dtype=np.float64)


def wiener_weights(fraction: float, blur_px: float) -> FloatArray:
    """Weights of taps -2 ... 3 that best predict an image of stars, blurred by ``blur_px``, at 0 to 1 past tap 0.

    Notes
    -----
    They minimise the mean square error over stars at random positions, under unit sum and exact first moment (a
    constant and a slope are kept, so is a star's centroid). A Gaussian star of sigma s has the autocovariance
    exp(-d²/4s²), and with the image blurred by b the covariance s/√(s² + b²/2) exp(-d²/(4s² + 2b²)) (universal kriging;
    e.g. Cressie 1993, section 3.4); summed over stars from sharp to wide.
    """
    separation = (_TAPS[:, None] - _TAPS[None, :]).astype(np.float64)
    distance = fraction - _TAPS
    among, ahead = _WHITE * np.eye(len(_TAPS)), np.zeros(len(_TAPS))
    for s in _STAR_SIGMAS_PX:
        among += np.exp(-(separation**2) / (4.0 * s**2))
        wide = s**2 + 0.5 * blur_px**2
        ahead += s / np.sqrt(wide) * np.exp(-(distance**2) / (4.0 * wide))
    conditions = np.stack([np.ones(len(_TAPS)), _TAPS - 0.5], axis=1)
    system = np.block([[among, conditions], [conditions.T, np.zeros((2, 2))]])
    return np.asarray(np.linalg.solve(system, np.concatenate([ahead, [1.0, fraction - 0.5]]))[: len(_TAPS)])


@functools.lru_cache(maxsize=16)
def _polynomials(blur_px: float | None) -> FloatArray:
    """The weights of taps 0, -1, -2 as polynomials of g = fraction - 1/2: even and odd part, in powers of g².

    The weight of tap 1 - i at g is that of tap i at -g, so three polynomials give all six weights.
    """
    g = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    table = [lanczos_weights(0.5 + t) if blur_px is None else wiener_weights(0.5 + t, blur_px) for t in g]
    forward = np.array(table)[:, 2::-1]
    backward = forward[::-1]
    powers = (g**2)[:, None] ** np.arange(_N_COEFFICIENTS)
    even, *_ = np.linalg.lstsq(powers, 0.5 * (forward + backward), rcond=None)
    odd, *_ = np.linalg.lstsq(powers * g[:, None], 0.5 * (forward - backward), rcond=None)
    return np.ascontiguousarray(np.stack([even.T, odd.T], axis=1))


@inlined
def row_weights(fraction: Float32Array, polynomials: Float32Array, weights: Float32Array, n: int) -> None:
    """Six weights, taps -2 ... 3, for each of ``n`` positions.

    Parameters
    ----------
    fraction
        Position past tap 0, less one half: -0.5 to 0.5; shape (≥ n,).
    polynomials
        Those of the interpolant.
    weights
        Output, shape (6, ≥ n).
    n
        How many positions.
    """
    for pair in range(3):
        e, o = polynomials[pair, 0], polynomials[pair, 1]
        e0, e1, e2, e3, e4, e5, e6 = e[0], e[1], e[2], e[3], e[4], e[5], e[6]
        o0, o1, o2, o3, o4, o5, o6 = o[0], o[1], o[2], o[3], o[4], o[5], o[6]
        for x in range(n):
            q = fraction[x] * fraction[x]
            even = e0 + q * (e1 + q * (e2 + q * (e3 + q * (e4 + q * (e5 + q * e6)))))
            odd = o0 + q * (o1 + q * (o2 + q * (o3 + q * (o4 + q * (o5 + q * o6)))))
            odd *= fraction[x]
            weights[2 - pair, x] = even + odd
            weights[3 + pair, x] = even - odd


@inlined
def tap_weights(position: float, polynomials: FloatArray, stretch: float, weights: FloatArray) -> int:
    """Weights of the taps around one position.

    Parameters
    ----------
    position
        Where, in pixels.
    polynomials, stretch
        Those of the interpolant.
    weights
        Output, shape (n_taps,), of unit sum.

    Returns
    -------
    int
        Pixel of the first tap.
    """
    half = len(weights) // 2
    whole = math.floor(position)
    if stretch == 1.0:
        g = position - whole - 0.5
        for pair in range(3):
            even, odd = 0.0, 0.0
            for k in range(polynomials.shape[2] - 1, -1, -1):
                even = even * g * g + polynomials[pair, 0, k]
                odd = odd * g * g + polynomials[pair, 1, k]
            weights[2 - pair], weights[3 + pair] = even + g * odd, even - g * odd
        return int(whole - half + 1)
    fraction = min(max(position - whole, CLAMP), 1.0 - CLAMP)
    total = 0.0
    for k in range(len(weights)):
        t = math.pi * (fraction + half - 1 - k) / stretch
        weights[k] = math.sin(t) * math.sin(t / LOBES) / (t * t) if abs(t) < LOBES * math.pi else 0.0
        total += weights[k]
    for k in range(len(weights)):
        weights[k] /= total
    return int(whole - half + 1)


@jit
def _weights_of_many(
    position: FloatArray, polynomials: FloatArray, stretch: float, first: FloatArray, weights: FloatArray
) -> None:
    for k in range(len(position)):
        first[k] = tap_weights(position[k], polynomials, stretch, weights[k])


def sampled_at(image: FloatArray, interpolant: Interpolant = LANCZOS, *, x: FloatArray, y: FloatArray) -> FloatArray:
    """Values of small images at positions; what lies outside them is zero.

    Parameters
    ----------
    image
        One or several, shape (..., height, width), all finite.
    interpolant
        How to interpolate.
    x, y
        Array indices, of one shape.

    Returns
    -------
    FloatArray
        Shape (..., *x.shape).
    """
    margin = interpolant.n_taps
    before, (height, width) = image.shape[:-2], image.shape[-2:]
    padded = np.pad(np.asarray(image, dtype=np.float64).reshape(-1, height, width), [(0, 0), *[(margin, margin)] * 2])
    left, along_x = interpolant.weights(np.clip(x, -margin / 2, width - 1 + margin / 2).ravel())
    bottom, along_y = interpolant.weights(np.clip(y, -margin / 2, height - 1 + margin / 2).ravel())
    values = np.empty((len(padded), len(left)))
    _sum_taps(padded, bottom.astype(np.int64) + margin, left.astype(np.int64) + margin, along_y, along_x, values)
    return values.reshape(*before, *x.shape)


@jit
def _sum_taps(
    images: FloatArray, row: IntArray, column: IntArray, along_y: FloatArray, along_x: FloatArray, values: FloatArray
) -> None:
    """Weighted sums of the taps from ``row``, ``column`` on."""
    for i in range(len(images)):
        for k in range(len(row)):
            total = 0.0
            for r in range(along_y.shape[1]):
                along, taps = 0.0, images[i, row[k] + r]
                for c in range(along_x.shape[1]):
                    along += along_x[k, c] * taps[column[k] + c]
                total += along_y[k, r] * along
            values[i, k] = total
