"""Fits of trails, many at once: a point source that moved uniformly while the shutter was open.

With P the PSF, the source of flux F whose middle is c and whose extent, end to end, is d is D = F T(u; c, d),
T the PSF smeared along the segment (`trail_kernels.fill_spectra`): exact for whatever PSF, unlike the Gaussian one of
Veres et al. 2012, PASP 124, 1197. The flux is linear and solved for at every place; c and d take Levenberg–Marquardt
steps, each source with its own damping.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.dipole_kernels import damped_steps
from diapipe.numerics.trail_kernels import MARGIN, N_IMAGES, Complex64Array, eliminate_flux, fill_spectra, sum_trails

N_PARAMETERS = 5
"""F, c along x and y, d along x and y: the order of covariances."""

_MAX_ITERATIONS = 25
_POINT_ITERATIONS = 8
"""A point that is still moving is on a trail so long that nobody takes it for one."""

_MAX_STEP_PX = 2.0
_CONVERGED = 0.01
"""A step that promises less χ² is the last: its end is right to 0.01 of the error."""


class TrailStamps(NamedTuple):
    """Pixels of n sources, (n, m, m), with their inverse variance, 0 where unusable, and variance.

    ``psfs`` are spectra of the PSFs, centred on the first pixel of N x N: (n, N, N // 2 + 1); see `psf_spectra`.
    """

    values: Float32Array
    weights: Float32Array
    spread: Float32Array
    psfs: Complex64Array

    def of(self, which: BoolArray) -> TrailStamps:
        """Some of the sources."""
        return TrailStamps(self.values[which], self.weights[which], self.spread[which], self.psfs[which])


class TrailFits(NamedTuple):
    """What was found of n trails.

    Attributes
    ----------
    flux, gain
        The flux, signed, and the χ² that it explains; shape (n,).
    middle, extent
        From the middle of the stamps, and end to end; shape (n, 2).
    covariance
        Of the `N_PARAMETERS`, with the correlation of the noise; NaN where the fit did not converge.
    chi2, n_used
        Of the pixels.
    converged
        Whether the fit ended where no step betters it.
    """

    flux: FloatArray
    gain: FloatArray
    middle: FloatArray
    extent: FloatArray
    covariance: FloatArray
    chi2: FloatArray
    n_used: IntArray
    converged: BoolArray


def transform_size(half: int, psf_half: int) -> int:
    """Side N of the transforms for stamps of the half-width ``half``: what wraps around misses the stamp."""
    return int(fft.next_fast_len(2 * (half + MARGIN) + 1 + psf_half, real=True))


def psf_spectra(nodes: FloatArray, size: int) -> Complex64Array:
    """Spectra of PSF images (n, s, s), centred on the first pixel of a square of ``size``; what is outside is lost."""
    half = min(nodes.shape[1] // 2, (size - 1) // 2)
    middle, kept = nodes.shape[1] // 2, np.arange(-half, half + 1)
    wrapped = np.zeros((len(nodes), size, size), np.float32)
    wrapped[:, kept[:, None], kept] = nodes[:, middle + kept[:, None], middle + kept]
    return np.asarray(fft.rfft2(wrapped), dtype=np.complex64)


def fit_trails(stamps: TrailStamps, start: FloatArray, *, reach: float, correlation: FloatArray | None) -> TrailFits:
    """Fit a trail at every source.

    Parameters
    ----------
    stamps
        The pixels.
    start
        c from the middle of the stamps, and d; shape (n, 4).
    reach
        A trail with an end farther than this from the middle along an axis has run away: not converged.
    correlation
        Autocorrelation of the noise, 1 at the centre; None for white noise.
    """
    flux, _, place, converged = _search(stamps, start, reach)
    n, side = stamps.values.shape[:2]
    images = np.empty((n, N_IMAGES, side, side), np.float32)
    matrices, sides = _summed(stamps, np.arange(n), place, images)
    square = (stamps.weights * np.square(stamps.values, dtype=np.float64)).sum(axis=(1, 2))
    gain = flux * (2.0 * sides[:, 0] - flux * matrices[:, 0, 0])
    covariance = np.full((n, N_PARAMETERS, N_PARAMETERS), np.nan)
    scale = np.concatenate([np.ones((n, 1)), np.tile(flux[:, None], 4)], axis=1)
    good = converged & (flux != 0.0)
    covariance[good] = _covariance(stamps, images, matrices, scale, good, correlation)
    n_used = (stamps.weights > 0.0).sum(axis=(1, 2))
    return TrailFits(flux, gain, place[:, :2], place[:, 2:], covariance, square - gain, n_used, converged)


def point_gains(stamps: TrailStamps, start: FloatArray, *, reach: float) -> FloatArray:
    """χ² that a point explains, its place fitted from ``start`` (n, 2) on: a trail of no extent, which stays so."""
    return _search(stamps, np.concatenate([start, np.zeros_like(start)], axis=1), reach, _POINT_ITERATIONS)[1]


def _search(
    stamps: TrailStamps, start: FloatArray, reach: float, n_iterations: int = _MAX_ITERATIONS
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Flux, χ² explained, place and whether it is one, by Levenberg–Marquardt on all sources at once."""
    n = len(start)
    place, damping, converged = start.copy(), np.full(n, 1e-3), np.zeros(n, np.bool_)
    active = np.flatnonzero(_within(place, reach))
    best = _Solved.empty(n)
    best.put(active, _solved(stamps, active, place[active]), np.ones(len(active), np.bool_))
    for _ in range(n_iterations):
        step, promise = np.empty((len(active), 4)), np.empty(len(active))
        damped_steps(best.reduced[active], best.downhill[active], damping[active], _MAX_STEP_PX, step, promise)
        inside, arrived = _within(place[active] + step, reach), promise < _CONVERGED
        done, last = active[arrived & inside], step[arrived & inside]
        place[done] += last
        best.flux[done] += np.einsum("np,np->n", best.response[done], last)
        converged[done] = True
        damping[active[~inside]] *= 10.0
        going = ~arrived & inside
        stuck = ~inside & (damping[active] < 1e6)
        tried_at, step = active[going], step[going]
        active = active[going | stuck]
        if len(active) == 0:
            break
        tried = _solved(stamps, tried_at, place[tried_at] + step)
        better = tried.gain > best.gain[tried_at]
        chosen = tried_at[better]
        place[chosen] += step[better]
        best.put(chosen, tried, better)
        damping[tried_at] *= np.where(better, 0.1, 10.0)
    return best.flux, best.gain, place, converged


class _Solved(NamedTuple):
    """What `trail_kernels.eliminate_flux` finds at given places."""

    flux: FloatArray
    response: FloatArray
    gain: FloatArray
    downhill: FloatArray
    reduced: FloatArray

    @classmethod
    def empty(cls, n: int) -> _Solved:
        """Room for n sources."""
        return cls(np.zeros(n), np.zeros((n, 4)), np.zeros(n), np.zeros((n, 4)), np.zeros((n, 5, 4)))

    def put(self, which: IntArray, other: _Solved, chosen: BoolArray) -> None:
        """Replace the entries ``which`` by the chosen ones of another."""
        for mine, theirs in zip(self, other, strict=True):
            mine[which] = theirs[chosen]


def _within(place: FloatArray, reach: float) -> BoolArray:
    """Whether both ends lie within reach of the middle of the stamp."""
    return np.asarray((np.abs(place[:, :2]) + 0.5 * np.abs(place[:, 2:]) <= reach).all(axis=1))


def _solved(stamps: TrailStamps, which: IntArray, place: FloatArray) -> _Solved:
    """The flux of the chosen sources, and the system of their places."""
    side = stamps.values.shape[1]
    solved = _Solved.empty(len(which))
    eliminate_flux(*_summed(stamps, which, place, np.empty((1, N_IMAGES, side, side), np.float32)), *solved)
    return solved


def _summed(
    stamps: TrailStamps, which: IntArray, place: FloatArray, images: Float32Array
) -> tuple[FloatArray, FloatArray]:
    """Sums over the pixels of the chosen sources."""
    n, size = len(which), stamps.psfs.shape[1]
    spectra = np.empty((n, 2, size, stamps.psfs.shape[2]), np.complex64)
    middle, extent = np.ascontiguousarray(place[:, :2]), np.ascontiguousarray(place[:, 2:])
    fill_spectra(stamps.psfs[which], middle, extent, spectra)
    drawn = fft.irfft2(spectra, (size, size))
    matrices, sides = np.empty((n, N_IMAGES, N_IMAGES)), np.empty((n, N_IMAGES))
    flat = len(stamps.values), stamps.values.shape[1] ** 2
    sum_trails(drawn, stamps.values.reshape(flat), stamps.weights.reshape(flat), which, images, matrices, sides)
    return matrices, sides


def _covariance(
    stamps: TrailStamps,
    images: Float32Array,
    matrices: FloatArray,
    scale: FloatArray,
    good: BoolArray,
    correlation: FloatArray | None,
) -> FloatArray:
    """A⁻¹ B A⁻¹ of the good ones, A = Jᵀ w J, B = Jᵀ w C w J; ``scale`` turns the images into J."""
    factors = scale[good][:, :, None] * scale[good][:, None, :]
    weighed = images[good] * (stamps.weights[good] * np.sqrt(stamps.spread[good]))[:, None]
    noise = _noise_products(weighed, correlation) * factors
    normal = matrices[good] * factors
    diagonal = np.einsum("nii->ni", normal)
    inverse = np.linalg.inv(normal + 1e-10 * diagonal[:, :, None] * np.eye(N_PARAMETERS) + 1e-300 * np.eye(5))
    return np.asarray(inverse @ noise @ inverse)


def _noise_products(seen: Float32Array, correlation: FloatArray | None) -> FloatArray:
    """Σ_ij a_i ρ(i - j) b_j of all pairs of images of each stack (n, k, m, m): a sum over frequencies (Parseval)."""
    n, k, side = seen.shape[:3]
    if correlation is None:
        flat = seen.reshape(n, k, side * side)
        return np.asarray(flat @ flat.swapaxes(1, 2), dtype=np.float64)
    half = min(correlation.shape[0] // 2, side - 1)
    size = fft.next_fast_len(side + half, real=True)
    lags, middle = np.arange(-half, half + 1), correlation.shape[0] // 2
    wrapped = np.zeros((size, size), np.float32)
    wrapped[lags[:, None], lags] = correlation[middle + lags[:, None], middle + lags]
    twice = np.full(size // 2 + 1, 2.0, np.float32)
    twice[0], twice[size // 2] = 1.0, 1.0 if size % 2 == 0 else 2.0
    power = (fft.rfft2(wrapped).real * twice).ravel() / np.float32(size**2)
    spectra = fft.rfft2(seen, (size, size)).reshape(n, k, power.size)
    parts = np.concatenate([spectra.real, spectra.imag], axis=2)
    return np.asarray((parts * np.tile(power, 2)) @ parts.swapaxes(1, 2), dtype=np.float64)
