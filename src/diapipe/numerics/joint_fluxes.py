"""Fluxes of point sources at given places, each fitted together with those that shine into its stamp.

The pixels around source k are D = Σ_j F_j P_j + noise over k and its neighbours j, linear in the fluxes. With
A_ij = Σ P_i P_j over the usable pixels of the stamp and c the row of A⁻¹ that belongs to k,

    F_k = Σ a D,   a = Σ_j c_j P_j,   Var F_k = Σ_pq a_p C_pq a_q,

with C_pq = ρ(p - q) sqrt(V_p V_q) the covariance of the noise. The estimator a has Σ a P_k = 1 and Σ a P_j = 0, so
that the flux of a neighbour, whatever it is, leaves F_k alone. Without neighbours a = P / ΣP².

All pixels have one weight. With 1/V, which a bright source raises under itself, the error would be up to 15% smaller
where the source outshines the sky; but then what an imperfect P leaves in a flux would depend on the flux, and bright
and faint sources would not be on one scale. So it is a factor, that of the aperture correction of the image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.psf_photometry import blend
from diapipe.numerics.shifting import LOBES, fill_weights, shift_stack
from diapipe.numerics.small_systems import factorize, make_regular, solve_factored
from diapipe.numerics.weighting import load_block

FLUX, VARIANCE, CHI2, N_USED, COVERAGE, LEVEL, SHARE_LOST = range(7)
N_RESULTS = 7
"""Columns of a result. COVERAGE is the part of ΣP² on usable pixels, LEVEL the flux that a level of 1 would add, Σa,
SHARE_LOST the part of the flux's information that its neighbours take, 1 - 1 / (A_kk A⁻¹_kk)."""


class Around(NamedTuple):
    """Which places are fitted with which: those of k are ``members[offsets[k]:offsets[k + 1]]``, without k itself."""

    offsets: IntArray
    members: IntArray


@inlined
def _solve(drawn: FloatArray, use: Float32Array, matrix: FloatArray, row: FloatArray) -> float:
    """Fill ``row`` with the first row of A⁻¹ of the profiles ``drawn`` (m, side, side); returns A of the first.

    ``matrix`` (m, m) is scratch; where nothing is seen of the first, the row is 0.
    """
    m = len(drawn)
    for i in range(m):
        row[i] = 0.0
        for j in range(i + 1):
            total = 0.0
            for r in range(use.shape[0]):
                for c in range(use.shape[1]):
                    total += drawn[i, r, c] * use[r, c] * drawn[j, r, c]
            matrix[i, j], matrix[j, i] = total, total
    first = float(matrix[0, 0])
    if not first > 0.0:
        return 0.0
    if m == 1:
        row[0] = 1.0 / first
        return first
    row[0] = 1.0
    make_regular(matrix)
    factorize(matrix)
    solve_factored(matrix, row[:m])
    return first


@inlined
def _quadratic_form(seen: FloatArray, side: int, width: int, rho: FloatArray) -> float:
    """Σ_pq s_p ρ(p - q) s_q of a stamp of ``side`` rows of ``width``, flat, zero beyond the first ``side`` columns.

    With at least as many zeros behind each row as ρ reaches, a lag is one shift of the flat stamp. ρ is symmetric: what
    lies right of the middle of its middle row, and below it, counts twice.
    """
    reach, total = rho.shape[0] // 2, 0.0
    for lag_y in range(min(reach, side - 1) + 1):
        for lag_x in range(-reach if lag_y > 0 else 0, reach + 1):
            value = rho[reach + lag_y, reach + lag_x]
            if value == 0.0:
                continue
            shift, product = lag_y * width + lag_x, 0.0
            here, there = seen[: len(seen) - shift], seen[shift:]
            for i in range(len(here)):
                product += here[i] * there[i]
            total += (1.0 if shift == 0 else 2.0) * value * product
    return total


@inlined
def _nudge(base: FloatArray, dx: float, dy: float, taps: FloatArray, scratch: FloatArray, out: FloatArray) -> None:
    """`shift_stack` of one image by no more than half a pixel, on to a stamp `LOBES` smaller on every side.

    No tap falls off the image, so that its loops have constant lengths: several times as fast.
    """
    side = out.shape[0]
    whole_x, whole_y = int(np.floor(-dx)), int(np.floor(-dy))
    fill_weights(-dx - whole_x, taps[0])
    fill_weights(-dy - whole_y, taps[1])
    for r in range(side + 2 * LOBES - 1):
        for c in range(side):
            total = 0.0
            for k in range(2 * LOBES):
                total += taps[0, k] * base[r + 1 + whole_y, c + 1 + whole_x + k]
            scratch[r, c] = total
    for r in range(side):
        for c in range(side):
            total = 0.0
            for k in range(2 * LOBES):
                total += taps[1, k] * scratch[r + k, c]
            out[r, c] = total


@inlined
def _draw(
    base: FloatArray,
    x: FloatArray,
    y: FloatArray,
    owner: int,
    members: IntArray,
    scratch: FloatArray,
    taps: FloatArray,
    drawn: FloatArray,
) -> None:
    """Profiles of a source and, after its own, of its neighbours, on the stamp around its pixel; all of one PSF."""
    column, row = np.floor(x[owner] + 0.5), np.floor(y[owner] + 0.5)
    _nudge(base[0], x[owner] - column, y[owner] - row, taps, scratch, drawn[0])
    for j in range(len(members)):
        other = members[j]
        shift_stack(base, x[other] - column, y[other] - row, taps, scratch, drawn[j + 1 : j + 2])


@inlined
def _fit_one(
    own: FloatArray,
    d: Float32Array,
    v: Float32Array,
    use: Float32Array,
    rho: FloatArray,
    matrix: FloatArray,
    row: FloatArray,
    fluxes: FloatArray,
    seen: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out`` (N_RESULTS,) from the profiles of a source and its neighbours; the last five before are scratch."""
    side = use.shape[0]
    width = side + rho.shape[0] // 2
    first = _solve(own, use, matrix, row)
    covered, whole, used = 0.0, 0.0, 0.0
    for r in range(side):
        for c in range(side):
            square = own[0, r, c] * own[0, r, c]
            whole += square
            covered += square * use[r, c]
            used += use[r, c]
    out[N_USED], out[COVERAGE] = used, covered / whole if whole > 0.0 else 0.0
    if not first > 0.0:
        return
    flux, level = 0.0, 0.0
    for r in range(side):
        for c in range(side):
            a = 0.0
            for j in range(len(own)):
                a += row[j] * own[j, r, c]
            a *= use[r, c]
            flux += a * d[r, c]
            level += a
            seen[r * width + c] = a * np.sqrt(v[r, c])
    out[FLUX], out[LEVEL], out[SHARE_LOST] = flux, level, 1.0 - 1.0 / (first * row[0])
    out[VARIANCE] = _quadratic_form(seen, side, width, rho)
    out[CHI2] = _chi2(own, d, v, use, matrix, fluxes)


@jit
def _fit_all(
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
    offsets: IntArray,
    members: IntArray,
    rho: FloatArray,
    chosen: IntArray,
    first: int,
    out: FloatArray,
) -> None:
    """Fill the rows of ``out`` of the chosen places, numbered from ``first`` on."""
    side, most = 2 * half + 1, 1
    for k in chosen:
        most = max(most, offsets[k + 1] - offsets[k] + 1)
    d, v = np.empty((side, side), np.float32), np.empty((side, side), np.float32)
    use = np.empty((side, side), np.float32)
    base = np.empty((1, side + 2 * LOBES, side + 2 * LOBES))
    scratch, taps = np.empty((side + 2 * LOBES, side)), np.empty((2, 2 * LOBES))
    drawn, seen = np.empty((most, side, side)), np.zeros(side * (side + rho.shape[0] // 2))
    room, row, fluxes = np.empty(most * most), np.empty(most), np.empty(most)
    for k in chosen:
        near = members[offsets[k] : offsets[k + 1]]
        y_first, x_first = int(np.floor(y[k] + 0.5)) - half, int(np.floor(x[k] + 0.5)) - half
        load_block(image, mask, variance, bits, y_first, x_first, d, v, use)
        base[:] = 0.0
        blend(nodes, index[k : k + 1], weights[k : k + 1], base)
        _draw(base, x, y, k, near, scratch, taps, drawn)
        m = len(near) + 1
        matrix = room[: m * m].reshape(m, m)
        _fit_one(drawn[:m], d, v, use, rho, matrix, row, fluxes, seen, out[k - first])


@inlined
def _chi2(
    own: FloatArray, d: Float32Array, v: Float32Array, use: Float32Array, factor: FloatArray, fluxes: FloatArray
) -> float:
    """Σ r²/V of what all profiles together leave; ``factor`` is what `_solve` left, ``fluxes`` scratch."""
    m = len(own)
    for j in range(m):
        fluxes[j] = 0.0
        for r in range(d.shape[0]):
            for c in range(d.shape[1]):
                fluxes[j] += own[j, r, c] * use[r, c] * d[r, c]
    if m == 1:
        fluxes[0] /= factor[0, 0]
    else:
        solve_factored(factor, fluxes[:m])
    total = 0.0
    for r in range(d.shape[0]):
        for c in range(d.shape[1]):
            rest = float(d[r, c])
            for j in range(m):
                rest -= fluxes[j] * own[j, r, c]
            total += use[r, c] * rest * rest / (v[r, c] if use[r, c] > 0.0 else np.float32(1.0))
    return total


def joint_fluxes(
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
    around: Around,
    correlation: FloatArray | None = None,
    first: int = 0,
    last: int | None = None,
) -> FloatArray:
    """Fluxes at places, each fitted together with its neighbours.

    Parameters
    ----------
    image, mask, variance
        C-contiguous planes of one shape.
    bits
        Mask bits of unusable pixels.
    nodes, index, weights
        PSF images and how to blend them at each place (`diapipe.images.psf.lattice`).
    half
        Half-width of the stamps.
    x, y
        Places in array coordinates, shape (n,); they may lie off the image.
    around
        Which places are fitted with which. All have the PSF of the one whose flux is asked for.
    correlation
        Autocorrelation of the noise, 1 at the centre and symmetric; None for white noise.
    first, last
        Range of places to fit.

    Returns
    -------
    FloatArray
        Shape (last - first, N_RESULTS), columns as named at the top of this module; NaN where not measured.
    """
    stop = len(x) if last is None else last
    results = np.full((stop - first, N_RESULTS), np.nan)
    results[:, [N_USED, COVERAGE]] = 0.0
    height, width = image.shape
    wanted = (x > -half - 1) & (x < width + half) & (y > -half - 1) & (y < height + half)  # not so for NaN
    wanted &= weights.sum(axis=1) != 0.0
    chosen = first + np.flatnonzero(wanted[first:stop])
    if len(chosen) == 0:
        return results
    rho = np.ones((1, 1)) if correlation is None else np.ascontiguousarray(correlation, np.float64)
    _fit_all(
        image, mask, variance, int(bits), nodes, index, weights, half, x, y, *around, rho, chosen, first, results
    )  # fmt: skip
    return results
