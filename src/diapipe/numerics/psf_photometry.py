"""Position and flux of point sources by a weighted fit of the PSF, on stacks of stamps.

A source of flux F at p is D = F P(u - p). For a position held fixed,

    F = Σ P w D / Σ P² w,    Var F = Σ_ij P_i w_i C_ij w_j P_j / (Σ P² w)²

with w = 0 on unusable pixels (`diapipe.numerics.weighting`) and C_ij = ρ(i - j) sqrt(V_i V_j) the covariance of the
noise. The position maximises the likelihood (Gauss–Newton, with F eliminated); its covariance is A⁻¹ B A⁻¹ with
A = Jᵀ w J and B = Jᵀ w C w J, the Fisher matrix's inverse where w is the true inverse variance.

Only what iterates is compiled; sums over stamps are NumPy's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit
from diapipe.numerics.shifting import LOBES, shift_stack, shift_stacks
from diapipe.numerics.weighting import weighted_blocks

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


class _Stamps(NamedTuple):
    """Pixels around sources, shape (n, 2 half + 1, 2 half + 1), and the array indices of the middle ones."""

    values: Float32Array
    spread: Float32Array
    weights: Float32Array
    rows: IntArray
    columns: IntArray


@inlined
def _improve(model: FloatArray, d: Float32Array, w: Float32Array, step: FloatArray) -> float:
    """Fill ``step`` (x, y) of one Gauss–Newton iteration with the flux eliminated; returns the flux, NaN if it fails.

    ``model`` holds P and its changes with x and y: (3, n, n). With A = Jᵀ w J of (flux, x, y), the step is the solution
    of what A's elimination of the flux leaves.
    """
    pd, xd, yd, pp, px, py, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for r in range(w.shape[0]):
        for c in range(w.shape[1]):
            p, mx, my, weight = model[0, r, c], model[1, r, c], model[2, r, c], float(w[r, c])
            wd, wp, wx = weight * d[r, c], weight * p, weight * mx
            pd += wd * p
            xd += wd * mx
            yd += wd * my
            pp += wp * p
            px += wp * mx
            py += wp * my
            xx += wx * mx
            xy += wx * my
            yy += weight * my * my
    if not pp > 0.0:
        return np.nan
    flux = pd / pp
    a, b, e = xx - px * px / pp, xy - px * py / pp, yy - py * py / pp
    gx, gy, det = xd - flux * px, yd - flux * py, a * e - b * b
    if not (xx > 0.0 and yy > 0.0 and flux != 0.0 and det > 1e-12 * xx * yy):
        return np.nan
    step[0], step[1] = (e * gx - b * gy) / (flux * det), (a * gy - b * gx) / (flux * det)
    return flux


@jit
def _fit_positions(
    bases: FloatArray,
    values: Float32Array,
    weights: Float32Array,
    signs: FloatArray,
    max_shift: float,
    found: FloatArray,
) -> IntArray:
    """Move the starts ``found`` (offsets from the stamps' middles) to the fitted positions; 1 for each that was fitted.

    One that runs away, stalls or changes its sign stays where it is.
    """
    taps, step = np.empty((2, 2 * LOBES)), np.empty(2)
    model = np.empty((3, values.shape[1], values.shape[2]))
    scratch = np.empty((bases.shape[2], values.shape[2]))
    fitted = np.empty(len(bases), np.int64)
    for k in range(len(bases)):
        x, y = found[k, 0], found[k, 1]
        fitted[k] = 0
        for _ in range(_MAX_ITERATIONS):
            shift_stack(bases[k], x, y, taps, scratch, model)
            if not _improve(model, values[k], weights[k], step) * signs[k] > 0.0:
                break
            x += min(max(step[0], -_MAX_STEP), _MAX_STEP)
            y += min(max(step[1], -_MAX_STEP), _MAX_STEP)
            if (x - found[k, 0]) ** 2 + (y - found[k, 1]) ** 2 > max_shift * max_shift:
                break
            if abs(step[0]) < _CONVERGED and abs(step[1]) < _CONVERGED:
                found[k, 0], found[k, 1], fitted[k] = x, y, 1
                break
    return fitted


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
    stop = len(x) if last is None else last
    results = np.full((len(x), N_RESULTS), np.nan)
    results[:, [N_USED, N_ON_IMAGE, COVERAGE, STATUS]] = 0.0, 0.0, 0.0, NO_PIXELS
    results[:, X], results[:, Y] = x, y
    wanted = np.isfinite(x) & np.isfinite(y) & (weights.sum(axis=1) != 0.0)
    if neighbours is not None:
        alone = neighbours.offsets[1:] == neighbours.offsets[:-1]
        results[alone] = neighbours.found[alone]
        wanted &= ~alone
    chosen = first + np.flatnonzero(wanted[first:stop])
    if len(chosen) == 0:
        return results[first:stop]
    bases = blended(nodes, index[chosen], weights[chosen], half + LOBES + int(np.ceil(max_shift)))[:, None]
    stamps = _cut(image, mask, variance, bits, x[chosen], y[chosen], half)
    if neighbours is not None:
        _remove_neighbours(stamps.values, bases, stamps, neighbours, chosen)
    found = np.stack([x[chosen] - stamps.columns, y[chosen] - stamps.rows], axis=1)
    fitted = np.zeros(len(chosen), np.bool_)
    if max_shift > 0.0:
        bases = _with_slopes(bases)
        sign = np.ones(len(chosen)) if signs is None else np.ascontiguousarray(signs[chosen], np.float64)
        fitted = _fit_positions(bases, *_cores(stamps, half), sign, max_shift, found) == 1
    models = np.empty((len(chosen), bases.shape[1], 2 * half + 1, 2 * half + 1))
    shift_stacks(bases, np.arange(len(chosen)), found[:, 0].copy(), found[:, 1].copy(), models)
    rho = np.ones((1, 1)) if correlation is None else np.asarray(correlation, np.float64)
    out = _summarize(models, stamps, rho)
    measured = np.isfinite(out[:, FLUX])
    out[:, X], out[:, Y] = stamps.columns + found[:, 0], stamps.rows + found[:, 1]
    out[:, N_ON_IMAGE] = _on_image(stamps.rows, half, image.shape[0]) * _on_image(stamps.columns, half, image.shape[1])
    out[:, STATUS] = np.where(measured, np.where(fitted, FITTED, NOT_FITTED), NO_PIXELS)
    results[chosen] = out
    return results[first:stop]


def blended(nodes: FloatArray, index: IntArray, weights: FloatArray, reach: int) -> FloatArray:
    """Weighted sum of node images, cut or continued with zeros to the half-width ``reach``: (n, size, size)."""
    images = np.zeros((len(index), 2 * reach + 1, 2 * reach + 1))
    _blend_all(nodes, index, weights, images)
    return images


@jit
def _blend_all(nodes: FloatArray, index: IntArray, weights: FloatArray, images: FloatArray) -> None:
    """`blend`, called from outside of compiled functions."""
    blend(nodes, index, weights, images)


@inlined
def blend(nodes: FloatArray, index: IntArray, weights: FloatArray, images: FloatArray) -> None:
    """Add the node images, times their weights, to ``images``: as much of their middle as there is on both."""
    size = min(images.shape[1], nodes.shape[1])
    first, margin = (images.shape[1] - size) // 2, (nodes.shape[1] - size) // 2
    for k in range(len(index)):
        for j in range(index.shape[1]):
            node, weight = nodes[index[k, j]], weights[k, j]
            if weight == 0.0:
                continue
            for r in range(size):
                to, of = images[k, r + first, first : first + size], node[r + margin, margin : margin + size]
                for c in range(size):
                    to[c] += weight * of[c]


def _with_slopes(bases: FloatArray) -> FloatArray:
    """Each image, and how it changes as the star moves towards higher x, y (five-point derivatives): (n, 3, ...)."""
    base = bases[:, 0]
    stack = np.zeros((len(base), 3, *base.shape[1:]))
    stack[:, 0] = base
    near, far = base[:, :, 3:-1] - base[:, :, 1:-3], base[:, :, 4:] - base[:, :, :-4]
    stack[:, 1, :, 2:-2] = (far - 8.0 * near) / 12.0
    near, far = base[:, 3:-1] - base[:, 1:-3], base[:, 4:] - base[:, :-4]
    stack[:, 2, 2:-2] = (far - 8.0 * near) / 12.0
    return stack


def _cut(
    image: Float32Array, mask: MaskArray, variance: Float32Array, bits: int, x: FloatArray, y: FloatArray, half: int
) -> _Stamps:
    """Stamps around the pixels that hold the positions, with their weights."""
    columns, rows = np.floor(x + 0.5).astype(np.int64), np.floor(y + 0.5).astype(np.int64)
    return _Stamps(
        *weighted_blocks(image, mask, variance, bits=bits, rows=rows, columns=columns, half=half), rows, columns
    )


def _remove_neighbours(
    values: Float32Array, bases: FloatArray, stamps: _Stamps, neighbours: Neighbours, chosen: IntArray
) -> None:
    """Take the other sources, as they were fitted before, out of the stamps; their PSF is taken to be the source's."""
    counts = neighbours.offsets[chosen + 1] - neighbours.offsets[chosen]
    owner = np.repeat(np.arange(len(chosen)), counts)
    order = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    other = neighbours.found[neighbours.members[neighbours.offsets[chosen][owner] + order]]
    drawn = np.empty((len(owner), 1, *values.shape[1:]))
    shift_stacks(bases, owner, other[:, X] - stamps.columns[owner], other[:, Y] - stamps.rows[owner], drawn)
    np.subtract.at(values, owner, (other[:, FLUX, None, None] * drawn[:, 0]).astype(np.float32))


def _cores(stamps: _Stamps, half: int) -> tuple[Float32Array, Float32Array]:
    """The pixels on which positions are fitted, and their weights."""
    core = min(half, max(2, int(np.ceil(CORE_PART * half))))
    inner = slice(half - core, half + core + 1)
    return np.ascontiguousarray(stamps.values[:, inner, inner]), np.ascontiguousarray(stamps.weights[:, inner, inner])


def _on_image(middle: IntArray, half: int, length: int) -> IntArray:
    """How many pixels of a stamp lie on the image along one axis."""
    inside = np.minimum(middle + half + 1, length) - np.maximum(middle - half, 0)
    return np.asarray(np.maximum(inside, 0))


def _summarize(models: FloatArray, stamps: _Stamps, rho: FloatArray) -> FloatArray:
    """Flux, errors and chi² with the models drawn at their final positions; NaN where no weight lies under the PSF."""
    n, n_models = models.shape[:2]
    out = np.full((n, N_RESULTS), np.nan)
    profile, d, w = models[:, 0], stamps.values.astype(np.float64), stamps.weights.astype(np.float64)
    used = w > 0.0
    weighed = models * w[:, None]
    normal = np.einsum("nkij,nlij->nkl", weighed, models)
    bottom = normal[:, 0, 0]
    some = bottom > 0.0
    square = profile**2
    covered, whole = (square * used).sum(axis=(1, 2)), square.sum(axis=(1, 2))
    out[:, [N_USED, COVERAGE]] = 0.0
    out[some, COVERAGE] = covered[some] / whole[some]
    flux = np.einsum("nij,nij->n", weighed[:, 0], d)[some] / bottom[some]
    noise = _noise_products(weighed[some] * np.sqrt(stamps.spread[some], dtype=np.float64)[:, None], rho)
    out[some, FLUX], out[some, FLUX_VARIANCE] = flux, noise[:, 0, 0] / bottom[some] ** 2
    out[some, CHI2] = (w[some] * (d[some] - flux[:, None, None] * profile[some]) ** 2).sum(axis=(1, 2))
    out[some, N_USED] = used[some].sum(axis=(1, 2))
    if n_models == 3:
        out[some, XX], out[some, YY], out[some, XY] = _position_covariance(normal[some], noise, flux)
    return out


def _noise_products(seen: FloatArray, rho: FloatArray) -> FloatArray:
    """Σ_ij a_i ρ(i - j) b_j of all pairs of images a, b of each stack (n, k, m, m), by FFT; shape (n, k, k)."""
    side, reach = seen.shape[-1], rho.shape[0] // 2
    if reach == 0:
        return np.asarray(np.einsum("nkij,nlij->nkl", seen, rho[0, 0] * seen))
    size = fft.next_fast_len(side + reach, real=True)
    wrapped = np.zeros((size, size))
    lags = np.arange(-reach, reach + 1)[np.abs(np.arange(-reach, reach + 1)) < side]
    wrapped[np.ix_(lags, lags)] = rho[np.ix_(lags + reach, lags + reach)]
    smeared = fft.irfft2(fft.rfft2(seen, (size, size)) * np.conj(fft.rfft2(wrapped)), (size, size))
    return np.asarray(np.einsum("nkij,nlij->nkl", seen, smeared[..., :side, :side]))


def _position_covariance(normal: FloatArray, noise: FloatArray, flux: FloatArray) -> tuple[FloatArray, ...]:
    """Variances of x and y and their covariance, from A⁻¹ B A⁻¹; NaN where A is not positive definite.

    ``normal`` and ``noise`` are A and B of the model's images, shape (n, 3, 3), before the factors of the flux.
    """
    scale = np.stack([np.ones_like(flux), flux, flux], axis=1)
    factors = scale[:, :, None] * scale[:, None, :]
    diagonal = np.einsum("nii->ni", normal).prod(axis=1)
    regular = (np.einsum("nii->ni", normal) > 0.0).all(axis=1) & (flux != 0.0)
    regular &= np.linalg.det(normal) > 1e-12 * diagonal
    covariance = np.full(normal.shape, np.nan)
    inverse = np.linalg.inv((normal * factors)[regular])
    covariance[regular] = inverse @ (noise * factors)[regular] @ inverse
    return covariance[:, 1, 1], covariance[:, 2, 2], covariance[:, 1, 2]
