"""Position and flux of point sources by a weighted fit of the PSF, one source after the other.

A source of flux F at p is D = F P(u - p). For a position held fixed,

    F = Σ P w D / Σ P² w,    Var F = Σ_ij P_i w_i C_ij w_j P_j / (Σ P² w)²

with w = 0 on unusable pixels (`diapipe.numerics.weighting`) and C_ij = ρ(i - j) sqrt(V_i V_j) the covariance of the
noise. The position maximises the likelihood (Gauss–Newton, with F eliminated); its covariance is A⁻¹ B A⁻¹ with
A = Jᵀ w J and B = Jᵀ w C w J, the Fisher matrix's inverse where w is the true inverse variance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import jit
from diapipe.numerics.shifting import LOBES, fill_weights
from diapipe.numerics.weighting import MEAN_HALF, load_block, local_weights

FLUX, FLUX_VARIANCE, CHI2, N_USED, N_ON_IMAGE, COVERAGE, X, Y, XX, YY, XY, STATUS = range(12)
N_RESULTS = 12
"""Columns of a result. COVERAGE is the part of ΣP² on usable pixels; STATUS one of the values below."""

FITTED, NOT_FITTED, NO_PIXELS = 0, 1, 2
"""The position is fitted; it is the given one; nothing could be measured."""


class Neighbours(NamedTuple):
    """Which sources touch which, and what an earlier fit found of them.

    Source k has the neighbours ``members[offsets[k]:offsets[k + 1]]``, rows of ``found``: a result of
    `fit_point_sources`.
    """

    offsets: IntArray
    members: IntArray
    found: FloatArray


CORE_PART = 0.65
"""Part of the stamp's half-width on which the position is fitted: with stamps of 2 FWHM, 3 sigma of the PSF."""

_MAX_ITERATIONS = 20
_MAX_STEP = 0.5
_CONVERGED = 1e-4


@jit
def _blend(nodes: FloatArray, index: IntArray, weights: FloatArray, out: FloatArray) -> None:
    """Weighted sum of node images on a stamp of any odd size with the same middle; zero outside the nodes."""
    shift = nodes.shape[1] // 2 - out.shape[0] // 2
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = 0.0
            if 0 <= r + shift < nodes.shape[1] and 0 <= c + shift < nodes.shape[2]:
                for k in range(len(index)):
                    out[r, c] += weights[k] * nodes[index[k], r + shift, c + shift]


@jit
def _add_slopes(bases: FloatArray) -> None:
    """Fill images 1 and 2: how image 0 changes as the star moves towards higher x, y (five-point derivatives)."""
    n = bases.shape[1]
    for r in range(n):
        for c in range(n):
            bases[1, r, c], bases[2, r, c] = 0.0, 0.0
    for r in range(n):
        for c in range(2, n - 2):
            near, far = bases[0, r, c + 1] - bases[0, r, c - 1], bases[0, r, c + 2] - bases[0, r, c - 2]
            bases[1, r, c] = -(8.0 * near - far) / 12.0
    for r in range(2, n - 2):
        for c in range(n):
            near, far = bases[0, r + 1, c] - bases[0, r - 1, c], bases[0, r + 2, c] - bases[0, r - 2, c]
            bases[2, r, c] = -(8.0 * near - far) / 12.0


@jit
def _shift(base: FloatArray, dx: float, dy: float, scratch: FloatArray, out: FloatArray) -> None:
    """Move an image by any amount on to a smaller stamp with the same middle; zero where the image does not reach.

    ``scratch`` has the rows of ``base`` and the columns of ``out``.
    """
    n, m, taps = base.shape[0], out.shape[0], 2 * LOBES
    weights = np.empty(taps)
    whole = int(np.floor(-dy))
    middle = n // 2 - m // 2 + 1 - LOBES
    first_row = middle + whole
    whole = int(np.floor(-dx))
    first = middle + whole
    fill_weights(-dx - whole, weights)
    for r in range(max(first_row, 0), min(first_row + m + taps - 1, n)):
        for c in range(m):
            scratch[r, c] = 0.0
        for k in range(taps):
            weight, start = weights[k], first + k
            low, high = max(0, -start), min(m, n - start)
            if high <= low:
                continue
            source, target = base[r, low + start : high + start], scratch[r, low:high]
            for c in range(high - low):
                target[c] += weight * source[c]
    fill_weights(-dy - np.floor(-dy), weights)
    for r in range(m):
        for c in range(m):
            out[r, c] = 0.0
        for k in range(taps):
            row = first_row + r + k
            if 0 <= row < n:
                weight = weights[k]
                for c in range(m):
                    out[r, c] += weight * scratch[row, c]


@jit
def _normal_matrix(
    model: FloatArray, flux: float, d: Float32Array, w: Float32Array, matrix: FloatArray, gradient: FloatArray
) -> None:
    """A = Jᵀ w J and Jᵀ w (D - F P) of (flux, x, y); ``model`` holds P and its changes with x and y: (3, n, n)."""
    ff, fx, fy, xx, xy, yy, gf, gx, gy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for r in range(w.shape[0]):
        for c in range(w.shape[1]):
            p, px, py, wp = model[0, r, c], model[1, r, c], model[2, r, c], float(w[r, c])
            rest = wp * (d[r, c] - flux * p)
            ff += wp * p * p
            fx += wp * p * px
            fy += wp * p * py
            xx += wp * px * px
            xy += wp * px * py
            yy += wp * py * py
            gf += rest * p
            gx += rest * px
            gy += rest * py
    matrix[0, 0], matrix[0, 1], matrix[0, 2] = ff, flux * fx, flux * fy
    matrix[1, 1], matrix[1, 2], matrix[2, 2] = flux * flux * xx, flux * flux * xy, flux * flux * yy
    matrix[1, 0], matrix[2, 0], matrix[2, 1] = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    gradient[0], gradient[1], gradient[2] = gf, flux * gx, flux * gy


@jit
def _see_noise(
    model: FloatArray, w: Float32Array, v: Float32Array, rho: FloatArray, n_models: int, seen: FloatArray
) -> None:
    """Fill ``seen`` = C w J, with C_ij = rho(i - j) sqrt(V_i V_j), for the first ``n_models`` images of ``model``."""
    n, reach = w.shape[0], rho.shape[0] // 2
    deviation = np.sqrt(v)
    for k in range(n_models):
        for r in range(n):
            for c in range(n):
                seen[k, r, c] = 0.0
            for j in range(max(-reach, -r), min(reach, n - 1 - r) + 1):
                for i in range(-reach, reach + 1):
                    share = rho[reach + j, reach + i]
                    for c in range(max(0, -i), min(n, n - i)):
                        seen[k, r, c] += share * w[r + j, c + i] * deviation[r + j, c + i] * model[k, r + j, c + i]
            for c in range(n):
                seen[k, r, c] *= deviation[r, c]


@jit
def _noise_matrix(
    model: FloatArray,
    flux: float,
    w: Float32Array,
    v: Float32Array,
    rho: FloatArray,
    n_models: int,
    seen: FloatArray,
    matrix: FloatArray,
) -> None:
    """B = Jᵀ w C w J of the first ``n_models`` of (flux, x, y)."""
    _see_noise(model, w, v, rho, n_models, seen)
    for k in range(n_models):
        for m in range(n_models):
            total = 0.0
            for r in range(w.shape[0]):
                for c in range(w.shape[1]):
                    total += w[r, c] * model[k, r, c] * seen[m, r, c]
            matrix[k, m] = total * (flux if k else 1.0) * (flux if m else 1.0)


@jit
def _invert(matrix: FloatArray, inverse: FloatArray) -> bool:
    """Inverse of a symmetric positive definite 3x3 matrix by cofactors; False where it is not."""
    a, b, c = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    d, e, f = matrix[1, 1], matrix[1, 2], matrix[2, 2]
    det = a * (d * f - e * e) - b * (b * f - e * c) + c * (b * e - d * c)
    if not (a > 0.0 and d > 0.0 and f > 0.0 and det > 1e-12 * a * d * f):
        return False
    inverse[0, 0], inverse[1, 1], inverse[2, 2] = (d * f - e * e) / det, (a * f - c * c) / det, (a * d - b * b) / det
    inverse[0, 1], inverse[0, 2], inverse[1, 2] = (c * e - b * f) / det, (b * e - c * d) / det, (b * c - a * e) / det
    inverse[1, 0], inverse[2, 0], inverse[2, 1] = inverse[0, 1], inverse[0, 2], inverse[1, 2]
    return True


@jit
def _linear_flux(p: FloatArray, d: Float32Array, w: Float32Array) -> tuple[float, float]:
    """Σ P w D and Σ P² w."""
    top, bottom = 0.0, 0.0
    for r in range(d.shape[0]):
        for c in range(d.shape[1]):
            top += p[r, c] * w[r, c] * d[r, c]
            bottom += p[r, c] * p[r, c] * w[r, c]
    return top, bottom


@jit
def _place(bases: FloatArray, dx: float, dy: float, n_models: int, scratch: FloatArray, model: FloatArray) -> None:
    """Draw P (and its changes) at a position."""
    for k in range(n_models):
        _shift(bases[k], dx, dy, scratch, model[k])


@jit
def _fit_position(
    bases: FloatArray,
    d: Float32Array,
    w: Float32Array,
    start_x: float,
    start_y: float,
    sign: float,
    max_shift: float,
    found: FloatArray,
) -> bool:
    """Gauss–Newton from a start (offsets from the stamp's middle); False if it runs away, stalls or changes sign."""
    model = np.empty((3, d.shape[0], d.shape[1]))
    scratch = np.empty((bases.shape[1], d.shape[1]))
    matrix, inverse, gradient = np.empty((3, 3)), np.empty((3, 3)), np.empty(3)
    dx, dy, n_models = start_x, start_y, bases.shape[0]
    for _ in range(_MAX_ITERATIONS):
        _place(bases, dx, dy, n_models, scratch, model)
        top, bottom = _linear_flux(model[0], d, w)
        if not bottom > 0.0:
            return False
        flux = top / bottom
        _normal_matrix(model, flux, d, w, matrix, gradient)
        if flux * sign <= 0.0 or not _invert(matrix, inverse):
            return False
        step_x = inverse[1, 1] * gradient[1] + inverse[1, 2] * gradient[2]
        step_y = inverse[2, 1] * gradient[1] + inverse[2, 2] * gradient[2]
        dx += min(max(step_x, -_MAX_STEP), _MAX_STEP)
        dy += min(max(step_y, -_MAX_STEP), _MAX_STEP)
        if np.hypot(dx - start_x, dy - start_y) > max_shift:
            return False
        if abs(step_x) < _CONVERGED and abs(step_y) < _CONVERGED:
            found[0], found[1] = dx, dy
            return True
    return False


@jit
def _sandwich(inverse: FloatArray, noise: FloatArray, product: FloatArray) -> None:
    """Fill ``product`` = A⁻¹ B A⁻¹."""
    for i in range(3):
        for j in range(3):
            product[i, j] = 0.0
            for k in range(3):
                for m in range(3):
                    product[i, j] += inverse[i, k] * noise[k, m] * inverse[m, j]


@jit
def _summarize(
    model: FloatArray,
    d: Float32Array,
    v: Float32Array,
    w: Float32Array,
    rho: FloatArray,
    with_position: bool,
    out: FloatArray,
) -> None:
    """Flux, errors and chi² with the model drawn at its final position."""
    top, bottom = _linear_flux(model[0], d, w)
    flux = top / bottom
    chi2, n, on, all_ = 0.0, 0, 0.0, 0.0
    for r in range(d.shape[0]):
        for c in range(d.shape[1]):
            square = model[0, r, c] ** 2
            all_ += square
            if w[r, c] > 0.0:
                on += square
                n += 1
                chi2 += w[r, c] * (d[r, c] - flux * model[0, r, c]) ** 2
    noise = np.empty((3, 3))
    _noise_matrix(model, flux, w, v, rho, 3 if with_position else 1, np.empty_like(model), noise)
    out[FLUX], out[FLUX_VARIANCE], out[CHI2], out[N_USED] = flux, noise[0, 0] / bottom**2, chi2, n
    out[COVERAGE] = on / all_
    if with_position:
        matrix, inverse = np.empty((3, 3)), np.empty((3, 3))
        _normal_matrix(model, flux, d, w, matrix, np.empty(3))
        if _invert(matrix, inverse):
            _sandwich(inverse, noise, matrix)
            out[XX], out[YY], out[XY] = matrix[1, 1], matrix[2, 2], matrix[1, 2]


@jit
def _remove_neighbours(
    base: FloatArray,
    row: int,
    column: int,
    members: IntArray,
    found: FloatArray,
    scratch: FloatArray,
    values: Float32Array,
) -> None:
    """Take the other sources, as they were fitted before, out of a stamp; their PSF is taken to be this source's."""
    drawn = np.empty((values.shape[0], values.shape[1]))
    for i in range(len(members)):
        k = members[i]
        _shift(base, found[k, X] - column, found[k, Y] - row, scratch, drawn)
        for r in range(values.shape[0]):
            for c in range(values.shape[1]):
                values[r, c] -= np.float32(found[k, FLUX] * drawn[r, c])


@jit
def _measure_one(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    base: FloatArray,
    half: int,
    x: float,
    y: float,
    sign: float,
    max_shift: float,
    rho: FloatArray,
    members: IntArray,
    found_before: FloatArray,
    out: FloatArray,
) -> None:
    """Fit one source; ``max_shift`` 0 keeps the given position."""
    row, column, n = int(np.floor(y + 0.5)), int(np.floor(x + 0.5)), 2 * half + 1
    wide, m = n + 2 * MEAN_HALF, MEAN_HALF
    values = np.empty((wide, wide), np.float32)
    spread, good, w = np.empty_like(values), np.empty_like(values), np.empty((n, n), np.float32)
    scratch = np.empty((base.shape[0], n))
    first_y, first_x = row - half, column - half
    n_bad = load_block(image, mask, variance, bits, first_y - m, first_x - m, values, spread, good)
    local_weights(spread, good, w)
    d, v = values[m : m + n, m : m + n], spread[m : m + n, m : m + n]
    _remove_neighbours(base, row, column, members, found_before, scratch, d)
    inside_rows = min(first_y + n, image.shape[0]) - max(first_y, 0)
    inside_columns = min(first_x + n, image.shape[1]) - max(first_x, 0)
    out[N_ON_IMAGE] = max(inside_rows, 0) * max(inside_columns, 0)
    model = np.zeros((3, n, n))
    bases = np.empty((3, base.shape[0], base.shape[0]))
    bases[0] = base
    _add_slopes(bases)
    found = np.array([x - column, y - row])
    core = min(half, max(2, int(np.ceil(CORE_PART * half))))
    inner = slice(half - core, half + core + 1)
    fitted = (
        n_bad < wide * wide
        and max_shift > 0.0
        and _fit_position(bases, d[inner, inner], w[inner, inner], x - column, y - row, sign, max_shift, found)
    )
    _place(bases, found[0], found[1], 3 if max_shift > 0.0 else 1, scratch, model)
    out[X], out[Y] = column + found[0], row + found[1]
    if not _linear_flux(model[0], d, w)[1] > 0.0:
        return
    out[STATUS] = FITTED if fitted else NOT_FITTED
    _summarize(model, d, v, w, rho, max_shift > 0.0, out)


@jit
def _measure_all(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    bits: int,
    nodes: FloatArray,
    index: IntArray,
    weights: FloatArray,
    half: int,
    x: FloatArray,
    y: FloatArray,
    signs: FloatArray,
    max_shift: float,
    rho: FloatArray,
    offsets: IntArray,
    members: IntArray,
    found: FloatArray,
    first: int,
    last: int,
    out: FloatArray,
) -> None:
    """Fit the sources ``first`` to ``last - 1``."""
    reach = half + LOBES + int(np.ceil(max_shift))
    base = np.empty((2 * reach + 1, 2 * reach + 1))
    for k in range(first, last):
        if len(found) > 0 and offsets[k + 1] == offsets[k]:
            out[k] = found[k]
            continue
        out[k, :] = np.nan
        out[k, N_USED], out[k, N_ON_IMAGE], out[k, COVERAGE], out[k, STATUS] = 0.0, 0.0, 0.0, NO_PIXELS
        out[k, X], out[k, Y] = x[k], y[k]
        if not (np.isfinite(x[k]) and np.isfinite(y[k])) or weights[k].sum() == 0.0:
            continue
        _blend(nodes, index[k], weights[k], base)
        near = members[offsets[k] : offsets[k + 1]]
        _measure_one(image, mask, variance, bits, base, half, x[k], y[k], signs[k], max_shift, rho, near, found, out[k])


def fit_point_sources(
    image: Float32Array,
    mask: MaskArray,
    variance: Float32Array,
    *,
    bits: int,
    nodes: FloatArray,
    index: IntArray,
    weights: FloatArray,
    half: int,
    x: FloatArray,
    y: FloatArray,
    signs: FloatArray | None = None,
    max_shift: float = 0.0,
    correlation: FloatArray | None = None,
    neighbours: Neighbours | None = None,
    first: int = 0,
    last: int | None = None,
) -> FloatArray:
    """Fit the PSF at every position.

    Parameters
    ----------
    image, mask, variance
        C-contiguous planes of one shape.
    bits
        Mask bits of unusable pixels.
    nodes, index, weights
        PSF images and how to blend them at each position (`diapipe.images.psf.lattice`).
    half
        Half-width of the stamps that are fitted.
    x, y
        Positions in array coordinates, shape (n,).
    signs
        Sign of each source's flux; needed where the position is fitted.
    max_shift
        Farthest that a fitted position may lie from the given one, pixels; 0 keeps the positions.
    correlation
        Autocorrelation of the noise, 1 at the centre; None for white noise.
    neighbours
        Sources to be taken out of each other's stamps; one that has none keeps the earlier result. None where left out.
    first, last
        Range of sources to fit.

    Returns
    -------
    FloatArray
        Shape (n, N_RESULTS), columns as named at the top of this module; NaN where not measured.
    """
    rho = np.ones((1, 1)) if correlation is None else np.ascontiguousarray(correlation, np.float64)
    near = (
        Neighbours(np.zeros(len(x) + 1, np.int64), np.empty(0, np.int64), np.empty((0, 0)))
        if neighbours is None
        else neighbours
    )
    out = np.empty((len(x), N_RESULTS))
    signs = np.ones(len(x)) if signs is None else np.asarray(signs, np.float64)
    stop = len(x) if last is None else last
    _measure_all(
        image, mask, variance, bits, nodes, index, weights, half, x, y, signs, max_shift, rho, *near, first, stop, out
    )
    return out[first:stop]
