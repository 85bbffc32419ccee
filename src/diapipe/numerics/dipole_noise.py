"""Errors of dipole fits, when the noise of the three images is partly the same noise.

The difference is made of the other two: with n_S and n_T white noise of the science image and of the template as it was
before matching,

    n_D = α ⊗ n_S - β ⊗ n_T,   n_M = γ ⊗ n_T   (M the matched template).

A weighted fit moves by δθ = Σ_i h_i · n_i, h the rows of A⁻¹ Jᵀ W, and has the covariance Σ_ij h_i C_ij h_j with C from
these kernels, whatever weights the fit used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics import dipole_kernels
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, RealArray
from diapipe.numerics.dipole_fit import (
    F_MINUS,
    F_PLUS,
    DipoleFits,
    DipoleStamps,
    free_linear,
)
from diapipe.numerics.dipole_kernels import N_PLACE
from diapipe.numerics.small_convolution import convolved_in_full


class SharedNoise(NamedTuple):
    """Covariances of the noise between the pixels of a stamp, for unit variances; each of shape (m m, m m).

    ``difference`` is ρ of the difference itself, None if white; ``with_science`` α; ``with_template`` the correlation
    of β with γ; ``template`` that of γ with itself.
    """

    difference: Float32Array | None
    with_science: Float32Array
    with_template: Float32Array
    template: Float32Array


def shared_noise(
    side: int, *, alpha: FloatArray, beta: FloatArray, gamma: FloatArray, correlation: FloatArray | None
) -> SharedNoise:
    """Covariances on stamps of ``side`` pixels from the kernels, which are square with odd sides."""
    whiteness = None if correlation is None else covariance_matrix(correlation, side)
    return SharedNoise(
        whiteness,
        covariance_matrix(alpha, side),
        covariance_matrix(_correlated(beta, gamma), side),
        covariance_matrix(_correlated(gamma, gamma), side),
    )


def covariance_matrix(kernel: FloatArray, side: int) -> Float32Array:
    """Matrix C[i, j] = kernel(i - j) over the pixels of a square stamp."""
    half, most = kernel.shape[0] // 2, side - 1
    lags = np.zeros((2 * side - 1, 2 * side - 1), np.float32)
    inner = min(half, most)
    lags[most - inner : most + inner + 1, most - inner : most + inner + 1] = kernel[
        half - inner : half + inner + 1, half - inner : half + inner + 1
    ]
    steps = np.arange(side)[:, None] - np.arange(side) + most
    return np.ascontiguousarray(lags[steps[:, None, :, None], steps[None, :, None, :]].reshape(side**2, side**2))


def _correlated(first: FloatArray, second: FloatArray) -> FloatArray:
    """Σ_v first(v + d) second(v) at every lag d; square, of odd side."""
    side = max(first.shape[0], second.shape[0])
    padded = [np.pad(kernel, (side - kernel.shape[0]) // 2) for kernel in (first, second)]
    return convolved_in_full(padded[0], padded[1][::-1, ::-1])


def covariances(
    stamps: DipoleStamps,
    spreads: RealArray,
    fits: DipoleFits,
    noise: SharedNoise,
    *,
    combinations: FloatArray,
    free: IntArray | None = None,
) -> FloatArray:
    """Covariance of combinations of x₊, y₊, x₋, y₋, F₊, F₋; shape (n, k, k), NaN where a fit did not converge.

    Parameters
    ----------
    stamps, fits
        Of `dipole_fit.fit_dipoles`.
    spreads
        Variance of the difference, of science and of the template before it was matched; shape (n, 3, m, m).
    noise
        How they share their noise.
    combinations
        Shape (k, 6).
    free
        As in the fit.

    Notes
    -----
    The covariance of two pixels with variances V_i and V_j is that of unit variances times sqrt(V_i V_j).
    """
    result = np.full((len(fits.place), len(combinations), len(combinations)), np.nan)
    chosen = np.flatnonzero(fits.converged)
    fitted = free_linear(separate_fluxes=True, planes=True) if free is None else free
    flat = spreads.reshape(len(spreads), 3, spreads.shape[-1] ** 2)
    roots = np.sqrt(fits.inflation[chosen][:, :, None] * flat[chosen], dtype=np.float32)
    moved = _influence(stamps, chosen, fits, fitted, combinations, roots)
    own, own_science, own_template, science, template = moved
    found = np.zeros((len(chosen), len(combinations), len(combinations)))
    dipole_kernels.sum_pairs(_smeared(own, noise.difference), own, found)
    dipole_kernels.sum_pairs(science, science, found)
    dipole_kernels.sum_pairs(_smeared(template, noise.template), template, found)
    mixed = np.zeros_like(found)
    dipole_kernels.sum_pairs(_smeared(own_science, noise.with_science), science, mixed)
    dipole_kernels.sum_pairs(_smeared(own_template, noise.with_template), -template, mixed)
    result[chosen] = found + mixed + mixed.swapaxes(1, 2)
    return result


def _smeared(rows: Float32Array, matrix: Float32Array | None) -> Float32Array:
    """Rows (n, k, pixels) times a matrix; None is that of white noise."""
    return rows if matrix is None else (rows.reshape(-1, rows.shape[2]) @ matrix).reshape(rows.shape)


def _influence(
    stamps: DipoleStamps,
    which: IntArray,
    fits: DipoleFits,
    free: IntArray,
    combinations: FloatArray,
    roots: Float32Array,
) -> Float32Array:
    """What `dipole_kernels.influence` fills, for the chosen fits."""
    importance = fits.importance[which][:, :, None, None]
    rows = np.empty((len(which), 3, len(combinations), fits.images.shape[2]))
    flux = np.ascontiguousarray(fits.linear[which, F_PLUS - N_PLACE : F_MINUS - N_PLACE + 1])
    dipole_kernels.responses(fits.matrices[which] * importance, flux, free, combinations, rows)
    out = np.empty((5, len(which), len(combinations), roots.shape[2]), np.float32)
    dipole_kernels.influence(fits.images, stamps.flat[1], which, rows * importance, roots, out)
    return out
