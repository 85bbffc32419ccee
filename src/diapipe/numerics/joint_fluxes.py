"""Fluxes of point sources at given places, each fitted together with those that shine into its stamp.

The pixels around source k are D = Σ_j F_j P_j + noise over k and its neighbours j, linear in the fluxes. With
A_ij = Σ P_i w P_j over the stamp, w = 0 on unusable pixels (`diapipe.numerics.weighting`), and c the row of A⁻¹ that
belongs to k,

    F_k = Σ a D,   a = w Σ_j c_j P_j,   Var F_k = Σ_pq a_p C_pq a_q,

with C_pq = ρ(p - q) sqrt(V_p V_q) the covariance of the noise. The estimator a has Σ a P_k = 1 and Σ a P_j = 0, so
that the flux of a neighbour, whatever it is, leaves F_k alone. Without neighbours a = w P / Σ P w P.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.psf_photometry import blended
from diapipe.numerics.shifting import LOBES, shift_stacks
from diapipe.numerics.small_systems import factorize, make_regular, solve_factored
from diapipe.numerics.weighting import weighted_blocks

FLUX, VARIANCE, CHI2, N_USED, COVERAGE, LEVEL, SHARE_LOST = range(7)
N_RESULTS = 7
"""Columns of a result. COVERAGE is the part of ΣP² on usable pixels, LEVEL the flux that a level of 1 would add, Σa,
SHARE_LOST the part of the flux's information that its neighbours take, 1 - 1 / (A_kk A⁻¹_kk)."""


class Around(NamedTuple):
    """Which places are fitted with which: those of k are ``members[offsets[k]:offsets[k + 1]]``, without k itself."""

    offsets: IntArray
    members: IntArray


@inlined
def _solve(drawn: FloatArray, w: Float32Array, matrix: FloatArray, row: FloatArray) -> float:
    """Fill ``row`` with the first row of A⁻¹ of the profiles ``drawn`` (m, side, side); returns A of the first.

    ``matrix`` (m, m) is scratch; where nothing is seen of the first, the row is 0.
    """
    m = len(drawn)
    for i in range(m):
        row[i] = 0.0
        for j in range(i + 1):
            total = 0.0
            for r in range(w.shape[0]):
                for c in range(w.shape[1]):
                    total += drawn[i, r, c] * w[r, c] * drawn[j, r, c]
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
def _half_covariance(seen: FloatArray, rho: FloatArray) -> float:
    """Σ_pq s_p ρ(p - q) s_q, ρ being symmetric: the middle row right of the centre and all rows below count twice."""
    reach, total = rho.shape[0] // 2, 0.0
    side = seen.shape[0]
    for lag_y in range(min(reach, side - 1) + 1):
        for lag_x in range(-min(reach, side - 1), min(reach, side - 1) + 1):
            value = rho[reach + lag_y, reach + lag_x]
            if value == 0.0 or (lag_y == 0 and lag_x < 0):
                continue
            low, high, product = max(0, -lag_x), min(side, side - lag_x), 0.0
            for r in range(side - lag_y):
                here, there = seen[r, low:high], seen[r + lag_y, low + lag_x : high + lag_x]
                for c in range(high - low):
                    product += here[c] * there[c]
            total += (1.0 if lag_y == 0 and lag_x == 0 else 2.0) * value * product
    return total


@jit
def _fit_all(
    drawn: FloatArray,
    offsets: IntArray,
    values: Float32Array,
    spread: Float32Array,
    weights: Float32Array,
    rho: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out`` (n, N_RESULTS) from the profiles of each source and, after its own, of its neighbours."""
    side, most = values.shape[1], 1
    for k in range(len(values)):
        most = max(most, offsets[k + 1] - offsets[k])
    room, row, fluxes = np.empty(most * most), np.empty(most), np.empty(most)
    seen = np.empty((side, side))
    for k in range(len(values)):
        own = drawn[offsets[k] : offsets[k + 1]]
        matrix = room[: len(own) ** 2].reshape(len(own), len(own))
        d, v, w = values[k], spread[k], weights[k]
        first = _solve(own, w, matrix, row)
        covered, whole, used = 0.0, 0.0, 0
        for r in range(side):
            for c in range(side):
                square = own[0, r, c] * own[0, r, c]
                whole += square
                covered += square if w[r, c] > 0.0 else 0.0
                used += 1 if w[r, c] > 0.0 else 0
        out[k, N_USED], out[k, COVERAGE] = used, covered / whole if whole > 0.0 else 0.0
        if not first > 0.0:
            continue
        flux, level = 0.0, 0.0
        for r in range(side):
            for c in range(side):
                a = 0.0
                for j in range(len(own)):
                    a += row[j] * own[j, r, c]
                a *= w[r, c]
                flux += a * d[r, c]
                level += a
                seen[r, c] = a * np.sqrt(v[r, c])
        out[k, FLUX], out[k, LEVEL], out[k, SHARE_LOST] = flux, level, 1.0 - 1.0 / (first * row[0])
        out[k, VARIANCE] = _half_covariance(seen, rho)
        out[k, CHI2] = _chi2(own, d, w, matrix, fluxes)


@inlined
def _chi2(own: FloatArray, d: Float32Array, w: Float32Array, factor: FloatArray, fluxes: FloatArray) -> float:
    """Weighted sum of squares that all profiles together leave; ``factor`` is what `_solve` left, the rest scratch."""
    m = len(own)
    for j in range(m):
        fluxes[j] = 0.0
        for r in range(w.shape[0]):
            for c in range(w.shape[1]):
                fluxes[j] += own[j, r, c] * w[r, c] * d[r, c]
    if m == 1:
        fluxes[0] /= factor[0, 0]
    else:
        solve_factored(factor, fluxes[:m])
    total = 0.0
    for r in range(w.shape[0]):
        for c in range(w.shape[1]):
            rest = float(d[r, c])
            for j in range(m):
                rest -= fluxes[j] * own[j, r, c]
            total += w[r, c] * rest * rest
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
    columns, rows = (np.floor(v[chosen] + 0.5).astype(np.int64) for v in (x, y))
    stamps = weighted_blocks(image, mask, variance, bits=bits, rows=rows, columns=columns, half=half)
    bases = blended(nodes, index[chosen], weights[chosen], half + LOBES)[:, None]
    offsets, members = _with_own(around, chosen)
    owner = np.repeat(np.arange(len(chosen)), np.diff(offsets))
    drawn = np.empty((len(members), 1, 2 * half + 1, 2 * half + 1))
    shift_stacks(bases, owner, x[members] - columns[owner], y[members] - rows[owner], drawn)
    rho = np.ones((1, 1)) if correlation is None else np.ascontiguousarray(correlation, np.float64)
    out = results[chosen - first]
    _fit_all(drawn[:, 0], offsets, *stamps, rho, out)
    results[chosen - first] = out
    return results


def _with_own(around: Around, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Offsets and members of the chosen places, each with itself first."""
    counts = around.offsets[chosen + 1] - around.offsets[chosen]
    offsets = np.concatenate([[0], np.cumsum(counts + 1)])
    members = np.empty(offsets[-1], np.int64)
    members[offsets[:-1]] = chosen
    owner = np.repeat(np.arange(len(chosen)), counts)
    order = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    members[offsets[owner] + 1 + order] = around.members[around.offsets[chosen][owner] + order]
    return offsets, members
