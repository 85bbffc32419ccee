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

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.dipole_fit import (
    COLUMNS,
    DIFFERENCE,
    F_MINUS,
    F_PLUS,
    N_PLACE,
    N_TOLD,
    SCIENCE,
    TEMPLATE,
    DipoleFits,
    DipoleStamps,
    gathered,
    made_regular,
    merging,
)
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
    spreads: FloatArray,
    fits: DipoleFits,
    noise: SharedNoise,
    *,
    combinations: FloatArray,
    separate_fluxes: bool = True,
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
    separate_fluxes
        As in the fit.

    Notes
    -----
    The covariance of two pixels with variances V_i and V_j is that of unit variances times sqrt(V_i V_j).
    """
    result = np.full((len(fits.place), len(combinations), len(combinations)), np.nan)
    chosen = np.flatnonzero(fits.converged)
    if len(chosen) == 0:
        return result
    influence = _influence(stamps, chosen, fits, merging(separate_fluxes=separate_fluxes), combinations)
    influence *= np.sqrt(fits.inflation[chosen])[:, :, None, None].astype(np.float32)
    root = np.sqrt(spreads[chosen].reshape(len(chosen), 3, 1, -1)).astype(np.float32)
    own, seen, faint = (influence[:, image] * root[:, image] for image in (DIFFERENCE, SCIENCE, TEMPLATE))
    found = _product(own, noise.difference, own) + _product(seen, None, seen) + _product(faint, noise.template, faint)
    mixed = _product(influence[:, DIFFERENCE] * root[:, SCIENCE], noise.with_science, seen)
    mixed -= _product(influence[:, DIFFERENCE] * root[:, TEMPLATE], noise.with_template, faint)
    result[chosen] = found + mixed + mixed.swapaxes(1, 2)
    return result


def _product(left: Float32Array, matrix: Float32Array | None, right: Float32Array) -> FloatArray:
    """Σ_ij left_i C_ij right_j of all pairs of images of each source."""
    smeared = left if matrix is None else (left.reshape(-1, left.shape[2]) @ matrix).reshape(left.shape)
    return np.asarray(smeared @ right.swapaxes(1, 2), dtype=np.float64)


def _influence(
    stamps: DipoleStamps, which: IntArray, fits: DipoleFits, merge: FloatArray, combinations: FloatArray
) -> Float32Array:
    """h: what a unit of noise in a pixel of each image does to each combination; shape (n, 3, k, m m)."""
    images = fits.images[which].astype(np.float32)
    weights = stamps.weights[which] * fits.importance[which][:, :, None, None]
    weighed = images * weights.reshape(len(which), 3, 1, -1).astype(np.float32)
    matrix, _ = gathered(
        (weighed @ images.swapaxes(2, 3)).astype(np.float64), np.zeros((len(which), 3, images.shape[2]))
    )
    scale = np.ones((len(which), matrix.shape[1]))
    scale[:, :N_PLACE] = np.repeat(fits.linear[which][:, [F_PLUS - N_PLACE, F_MINUS - N_PLACE]], 2, axis=1)
    free = np.zeros((matrix.shape[1], N_PLACE + merge.shape[1]))
    free[:N_PLACE, :N_PLACE], free[N_PLACE:, N_PLACE:] = np.eye(N_PLACE), merge
    scaled = scale[:, :, None] * scale[:, None, :] * matrix
    inverse = free @ np.linalg.inv(made_regular(free.T @ scaled @ free)) @ free.T * scale[:, None, :]
    rows = combinations @ inverse[:, :N_TOLD]
    return np.stack([rows[:, :, columns] for columns in COLUMNS], axis=1).astype(np.float32) @ weighed
