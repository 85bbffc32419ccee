"""What of a trail fit is compiled: spectra of trails, their derivatives and sums, and where a line of light may lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.dipole_kernels import sum_products
from diapipe.numerics.jit import inlined, jit

type Complex64Array = NDArray[np.complex64]
type ComplexArray = NDArray[np.complex128]

N_IMAGES = 5
"""The trail for unit flux, and how it changes as its middle moves along x and y and its extent grows along x and y."""

_ALL = np.array([0, N_IMAGES])

MARGIN = 2
"""Pixels around a stamp that the derivatives need."""

GAIN, SHIFT, LENGTH, ANGLE = range(4)
"""What `best_lines` tells of each source."""

_DIP_SHARE, _DIP_SIGMA = 0.4, 3.0
"""A line of light ends where the score is below this share of its mean so far, less so many sigma."""


@inlined
def _frequency(index: int, size: int) -> float:
    """Angular frequency of an entry of a discrete Fourier transform, per pixel."""
    return 2.0 * np.pi * (index if 2 * index <= size else index - size) / size


@inlined
def _fill_phases(shift: float, half_extent: float, size: int, out: ComplexArray) -> None:
    """Fill the rows of ``out`` with exp(-i k shift) and exp(i k half_extent) at the frequencies k of one axis."""
    for j in range(out.shape[1]):
        k = _frequency(j, size)
        out[0, j] = complex(np.cos(k * shift), -np.sin(k * shift))
        out[1, j] = complex(np.cos(k * half_extent), np.sin(k * half_extent))


@jit
def fill_spectra(psfs: Complex64Array, middle: FloatArray, extent: FloatArray, out: Complex64Array) -> None:
    """Spectra of the trails ``T`` of unit flux and of their first moments ``G``; ``out`` is (n, 2, N, N // 2 + 1).

    With P̂ the spectra of the PSFs (n, N, N // 2 + 1), c the middles (n, 2) and d the extents (n, 2), z = k · d / 2,

        T = ∫ P(u - c - s d) ds,    T̂ = P̂ exp(-i k · c) sin z / z,
        G = ∫ s P(u - c - s d) ds,  Ĝ = -i P̂ exp(-i k · c) (sin z / z - cos z) / 2 z,

    s from -1/2 to 1/2, so that T changes by -∇T with c and by -∇G with d.
    """
    size, width = psfs.shape[1], psfs.shape[2]
    across, along = np.empty((2, width), np.complex128), np.empty((2, size), np.complex128)
    for s in range(len(psfs)):
        half_x, half_y = 0.5 * extent[s, 0], 0.5 * extent[s, 1]
        _fill_phases(middle[s, 0], half_x, size, across)
        _fill_phases(middle[s, 1], half_y, size, along)
        for i in range(size):
            z_row = half_y * _frequency(i, size)
            for j in range(width):
                z, turned = z_row + half_x * _frequency(j, size), along[1, i] * across[1, j]
                near = abs(z) < 1e-3
                safe = 1.0 if near else z
                even = 1.0 - z * z / 6.0 if near else turned.imag / safe
                odd = z / 6.0 if near else (even - turned.real) / (2.0 * safe)
                carried = psfs[s, i, j] * (along[0, i] * across[0, j])
                out[s, 0, i, j] = even * carried
                out[s, 1, i, j] = complex(odd * carried.imag, -odd * carried.real)


@inlined
def _unwrap(drawn: Float32Array, wide: Float32Array) -> None:
    """Copy the pixels around the first one of a periodic image, those before it from the end, to a square."""
    size, half = drawn.shape[0], wide.shape[0] // 2
    for r in range(wide.shape[0]):
        row = drawn[(r - half) % size]
        for c in range(half):
            wide[r, c] = row[size - half + c]
        for c in range(half + 1):
            wide[r, half + c] = row[c]


@jit
def sum_trails(
    drawn: Float32Array,
    values: Float32Array,
    weights: Float32Array,
    which: IntArray,
    images: Float32Array,
    matrices: FloatArray,
    sides: FloatArray,
) -> None:
    """Normal equations (n, 5, 5) and (n, 5) for unit fluxes of the sources ``which``.

    ``drawn`` (n, 2, N, N) holds T and G around their first pixels, ``values`` and ``weights`` (any, pixels) the stamps;
    ``images`` (1, 5, m, m), or (n, 5, m, m) to keep them all, gets T and its derivatives.
    """
    side_px = images.shape[2]
    wide = np.empty((side_px + 2 * MARGIN, side_px + 2 * MARGIN), np.float32)
    weighed = np.empty(side_px * side_px)
    eight, twelfth = np.float32(8.0), np.float32(1.0 / 12.0)
    for k in range(len(which)):
        out = images[min(k, images.shape[0] - 1)]
        for part in range(2):
            _unwrap(drawn[k, part], wide)
            first = 1 + 2 * part
            for r in range(side_px):
                for c in range(side_px):
                    if part == 0:
                        out[0, r, c] = wide[r + 2, c + 2]
                    far, near = wide[r + 2, c + 4] - wide[r + 2, c], wide[r + 2, c + 3] - wide[r + 2, c + 1]
                    out[first, r, c] = twelfth * (far - eight * near)
                    far, near = wide[r + 4, c + 2] - wide[r, c + 2], wide[r + 3, c + 2] - wide[r + 1, c + 2]
                    out[first + 1, r, c] = twelfth * (far - eight * near)
        flat = out.reshape(N_IMAGES, side_px * side_px)
        sum_products(flat, values[which[k]], weights[which[k]], _ALL[0], _ALL[1], weighed, matrices[k], sides[k])


@jit
def eliminate_flux(
    matrices: FloatArray,
    sides: FloatArray,
    flux: FloatArray,
    response: FloatArray,
    gain: FloatArray,
    downhill: FloatArray,
    reduced: FloatArray,
) -> None:
    """Solve for the flux of every source and eliminate it; as `dipole_kernels.eliminate` does for dipoles."""
    for k in range(len(matrices)):
        matrix, side = matrices[k], sides[k]
        norm = matrix[0, 0] if matrix[0, 0] > 0.0 else 1.0
        flux[k], largest = side[0] / norm, 0.0
        gain[k] = flux[k] * side[0]
        for p in range(4):
            downhill[k, p] = flux[k] * (side[p + 1] - flux[k] * matrix[0, p + 1])
            response[k, p] = -flux[k] * matrix[0, p + 1] / norm
            for q in range(4):
                seen = matrix[p + 1, q + 1] - matrix[0, p + 1] * matrix[0, q + 1] / norm
                reduced[k, p, q] = flux[k] * flux[k] * seen
            reduced[k, 4, p] = flux[k] * flux[k] * matrix[p + 1, p + 1]
            largest = max(largest, reduced[k, 4, p])
        for p in range(4):
            reduced[k, 4, p] = max(reduced[k, 4, p], 1e-6 * largest + 1e-30)


@inlined
def _cubic(before: float, here: float, after: float, beyond: float, t: float) -> float:
    """Catmull and Rom's cubic through four samples, ``t`` behind the second."""
    slope, bend = after - before, 2.0 * before - 5.0 * here + 4.0 * after - beyond
    return here + 0.5 * t * (slope + t * (bend + t * (3.0 * (here - after) + beyond - before)))


@inlined
def _along_row(row: Float32Array, column: int, t: float) -> float:
    """`_cubic` through four samples of a row, ``t`` behind ``column``."""
    before, here = np.float64(row[column - 1]), np.float64(row[column])
    after, beyond = np.float64(row[column + 1]), np.float64(row[column + 2])
    return _cubic(before, here, after, beyond, t)


@inlined
def _score_at(score: Float32Array, x: float, y: float) -> float:
    """Bicubic value; NaN near the edge and beyond."""
    column, row = int(np.floor(x)), int(np.floor(y))
    if column < 1 or row < 1 or column + 2 >= score.shape[1] or row + 2 >= score.shape[0]:
        return np.nan
    u, v = x - column, y - row
    before, here = _along_row(score[row - 1], column, u), _along_row(score[row], column, u)
    after, beyond = _along_row(score[row + 1], column, u), _along_row(score[row + 2], column, u)
    return float(_cubic(before, here, after, beyond, v))


@inlined
def _follow(
    score: Float32Array, x: float, y: float, step_x: float, step_y: float, sign: float, first: float, sums: FloatArray
) -> int:
    """Fill the running sums of the score, without the first value; returns how many steps the light goes on."""
    sums[0] = 0.0
    for k in range(1, len(sums)):
        value = sign * _score_at(score, x + k * step_x, y + k * step_y)
        if not value > _DIP_SHARE * (first + sums[k - 1]) / k - _DIP_SIGMA:
            return k - 1
        sums[k] = sums[k - 1] + value
    return len(sums) - 1


@jit
def best_lines(
    score: Float32Array,
    x: FloatArray,
    y: FloatArray,
    signs: FloatArray,
    step: float,
    n_angles: int,
    spread: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out`` (n, 4) with the most significant line of light through each source.

    Along ``n_angles`` directions the score is summed over every run of samples, ``step`` pixels apart, that holds the
    source; ``spread[k]`` is the variance of a sum of k. Told are how much the best run's squared significance exceeds
    that of the source alone, how far along its direction its middle lies, its length, and the angle from x towards y.
    """
    n_steps = (len(spread) - 2) // 2
    forth, back = np.empty(n_steps + 1), np.empty(n_steps + 1)
    for s in range(len(x)):
        first = signs[s] * _score_at(score, x[s], y[s])
        best = max(first * first, 0.0)
        out[s, GAIN], out[s, SHIFT], out[s, LENGTH], out[s, ANGLE] = 0.0, 0.0, 0.0, 0.0
        if not first > 0.0:
            continue
        for a in range(n_angles):
            angle = np.pi * a / n_angles
            along_x, along_y = step * np.cos(angle), step * np.sin(angle)
            n_forth = _follow(score, x[s], y[s], along_x, along_y, signs[s], first, forth)
            n_back = _follow(score, x[s], y[s], -along_x, -along_y, signs[s], first, back)
            for i in range(n_forth + 1):
                for j in range(n_back + 1):
                    total = first + forth[i] + back[j]
                    gain = total * total / spread[i + j + 1]
                    if gain > best:
                        best = gain
                        out[s, GAIN], out[s, ANGLE] = gain - first * first, angle
                        out[s, SHIFT], out[s, LENGTH] = 0.5 * step * (i - j), step * (i + j)
