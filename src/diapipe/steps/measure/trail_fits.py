"""Where on a difference a trail may lie, and the fits there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from diapipe.images import UNUSABLE_DIFFERENCE
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics import trail_fit, trail_kernels
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.trail_fit import TrailFits, TrailStamps
from diapipe.numerics.trail_kernels import Complex64Array
from diapipe.numerics.weighting import weighted_blocks
from diapipe.steps.measure.sources import Sources

_STEP_FWHM = 0.25
"""Distance of the samples along a line."""

_SIZE_STEP_PX = 4
"""Half-widths of stamps are multiples of this, so that few sizes of transforms are needed."""

_CHUNK = 24
"""Sources fitted at a time: what fits into the cache."""

_SHORT_FWHM = 3.0
"""Beyond this length the score of a point is known well enough."""

_GROWTH = 1.6
"""By how much a stamp grows whose trail ran out of it."""


class Found(NamedTuple):
    """Trails of all sources in array coordinates, NaN where the fit did not converge.

    Attributes
    ----------
    flux, gain, chi2
        Flux, χ² that it explains and χ² that it leaves; shape (n,).
    point_gain
        χ² that a point explains on the same pixels; shape (n,); NaN for what is far too long for one.
    n_used
        Pixels; 0 where nothing was fitted; shape (n,).
    middle, extent
        Shape (n, 2); the extent goes from the end of smaller x to the other.
    covariance
        Of flux, middle and extent; shape (n, 5, 5).
    """

    flux: FloatArray
    gain: FloatArray
    chi2: FloatArray
    point_gain: FloatArray
    n_used: IntArray
    middle: FloatArray
    extent: FloatArray
    covariance: FloatArray

    @classmethod
    def nothing(cls, n: int) -> Found:
        """No trail anywhere."""
        flux, gain, chi2, point_gain = np.full((4, n), np.nan)
        middle, extent = np.full((2, n, 2), np.nan)
        return cls(flux, gain, chi2, point_gain, np.zeros(n, np.int64), middle, extent, np.full((n, 5, 5), np.nan))

    def put(self, which: IntArray, fits: TrailFits, point_gain: FloatArray, corner: IntArray) -> None:
        """Write the fits that converged, to errors that can be."""
        good = fits.converged & is_covariance(fits.covariance)
        turned = np.where(fits.extent[good, 0] < 0.0, -1.0, 1.0)
        signs = np.concatenate([np.ones((len(turned), 3)), np.tile(turned[:, None], 2)], axis=1)
        mine = Found(
            fits.flux[good],
            fits.gain[good],
            fits.chi2[good],
            point_gain[good],
            fits.n_used[good],
            fits.middle[good] + corner[good],
            fits.extent[good] * turned[:, None],
            fits.covariance[good] * signs[:, :, None] * signs[:, None, :],
        )
        for of_all, of_some in zip(self, mine, strict=True):
            of_all[which[good]] = of_some

    @property
    def snr(self) -> FloatArray:
        """Absolute significance of the flux."""
        return np.asarray(np.abs(self.flux) / np.sqrt(self.covariance[:, 0, 0]))

    @property
    def length(self) -> FloatArray:
        """Distance of the ends as fitted."""
        return np.asarray(np.hypot(*self.extent.T))

    @property
    def length_err(self) -> FloatArray:
        """Its error."""
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = self.extent / self.length[:, None]
        return np.asarray(np.sqrt(np.einsum("ni,nij,nj->n", unit, self.covariance[:, 3:, 3:], unit)))


def is_covariance(matrices: FloatArray) -> BoolArray:
    """Which matrices (n, k, k) are finite and positive definite.

    Where the noise is correlated farther than the image of a long, faint trail reaches, its errors are differences of
    large numbers and may come out negative.
    """
    found = np.isfinite(matrices).all(axis=(1, 2)) & (np.einsum("nii->ni", matrices) > 0).all(axis=1)
    sigma = np.sqrt(np.einsum("nii->ni", matrices[found]))
    # of the correlations, since fluxes and pixels differ by many powers of ten
    correlations = matrices[found] / (sigma[:, :, None] * sigma[:, None, :])
    found[found] = np.linalg.eigvalsh(correlations)[:, 0] > 0
    return np.asarray(found)


class Lines(NamedTuple):
    """Where a trail may lie: of which source, its middle and its extent in array coordinates."""

    which: IntArray
    middle: FloatArray
    extent: FloatArray

    def of(self, chosen: BoolArray | IntArray) -> Lines:
        """Some of them."""
        return Lines(self.which[chosen], self.middle[chosen], self.extent[chosen])


def lines_through(
    score: Float32Array,
    sources: Sources,
    significance: FloatArray,
    wanted: BoolArray,
    lattice: PsfLattice,
    *,
    fwhm: float,
    search: float,
    n_angles: int,
    least_gain: float,
    model_error: float,
) -> Lines:
    """The most significant line of light through each wanted source, where that is significant enough.

    Parameters
    ----------
    score
        Significance of a point source at every pixel.
    sources, significance, wanted
        Every detection, its score, and whether it is looked at.
    lattice
        PSF at every detection.
    fwhm, search
        Of the PSF, and how far a line is followed to either side; pixels.
    n_angles
        Directions that are looked along.
    least_gain, model_error
        χ² by which a line must be more significant than the source alone: the first, and (the second x score)².
    """
    wanted = wanted & np.isfinite(sources.x) & np.isfinite(sources.y)
    which, step = np.flatnonzero(wanted), _STEP_FWHM * fwhm
    n_steps = max(1, int(np.ceil(search / step)))
    psf = lattice.nodes[0] if len(lattice.nodes) else np.ones((1, 1))
    spread, best = _variances_of_sums(psf, step, 2 * n_steps + 1), np.empty((len(which), 4))
    x, y = sources.x[which], sources.y[which]
    trail_kernels.best_lines(np.ascontiguousarray(score), x, y, sources.sign[which], step, n_angles, spread, best)
    chosen = best[:, trail_kernels.GAIN] > least_gain + (model_error * significance[which]) ** 2
    shift, length, angle = best[chosen, 1:].T
    towards = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = np.stack([x[chosen], y[chosen]], axis=1) + shift[:, None] * towards
    return Lines(which[chosen], middle, np.maximum(length, 0.5 * fwhm)[:, None] * towards)


def _variances_of_sums(psf: FloatArray, step: float, n: int) -> FloatArray:
    """Variance of the sum of 0, 1, ... n samples of the score, ``step`` pixels apart along a line.

    The noise of the score has the correlation of the PSF with itself; its logarithm is nearly linear in the square of
    the distance.
    """
    size = 2 * psf.shape[0]
    acf = fft.irfft2(np.abs(fft.rfft2(psf, (size, size))) ** 2, (size, size))[: size // 2, : size // 2]
    row, column = np.indices(acf.shape)
    square = (row**2 + column**2).ravel()
    order = np.argsort(square, kind="stable")
    logarithm = np.log(np.maximum(acf.ravel()[order] / acf[0, 0], 1e-9))
    lags = np.arange(n)
    rho = np.exp(np.interp((lags * step) ** 2, square[order], logarithm, right=-50.0))
    return np.array([1e-9] + [2.0 * ((k - lags[:k]) * rho[:k]).sum() - k for k in range(1, n + 1)])


def fit_lines(
    planes: Planes,
    sources: Sources,
    lattice: PsfLattice,
    lines: Lines,
    *,
    fwhm: float,
    margin: float,
    correlation: FloatArray | None,
) -> Found:
    """Fit a trail along every line; one that runs out of its stamp is tried again on a larger one.

    Parameters
    ----------
    planes, sources, lattice
        The difference, every detection, and its PSF there.
    lines
        Where to begin.
    fwhm, margin
        Of the PSF, and what of the stamps lies beyond the ends of the lines; pixels.
    correlation
        Autocorrelation of the noise, None for white.
    """
    found = Found.nothing(len(sources))
    for factor in (1.0, _GROWTH):
        reach = 0.5 * np.abs(lines.extent).max(axis=1, initial=0.0) + margin
        half = (np.ceil(factor * reach / _SIZE_STEP_PX) * _SIZE_STEP_PX).astype(np.int64)
        converged = np.zeros(len(half), np.bool_)
        for size in np.unique(half) if len(half) else [_SIZE_STEP_PX]:  # without any, all is compiled all the same
            among = np.flatnonzero(half == size)
            spectra = _Spectra.around(lattice.of(lines.which[among]), int(size))
            for first in range(0, max(len(among), 1), _CHUNK):
                some = slice(first, first + _CHUNK)
                chosen = among[some]
                stamps, corner = _stamps(planes, lines.of(chosen), spectra.of(some), int(size))
                start = np.concatenate([lines.middle[chosen] - corner, lines.extent[chosen]], axis=1)
                fits = trail_fit.fit_trails(stamps, start, reach=size - 0.5 * fwhm, correlation=correlation)
                places = np.stack([sources.x, sources.y], axis=1)[lines.which[chosen]] - corner
                short = fits.converged & (np.hypot(*fits.extent.T) < _SHORT_FWHM * fwhm)
                points = np.full(len(short), np.nan)
                points[short] = trail_fit.point_gains(stamps.of(short), places[short], reach=size - 0.5 * fwhm)
                converged[chosen] = fits.converged
                found.put(lines.which[chosen], fits, points, corner)
        lines = lines.of(~converged)
    return found


class _Spectra(NamedTuple):
    """Spectra of the PSF at nodes, and how they are blended for each source."""

    nodes: Complex64Array
    corners: IntArray
    weights: Float32Array

    @classmethod
    def around(cls, lattice: PsfLattice, half: int) -> _Spectra:
        """For stamps of a half-width."""
        used, index = np.unique(lattice.index, return_inverse=True)
        size = trail_fit.transform_size(half, lattice.nodes.shape[1] // 2)
        nodes = trail_fit.psf_spectra(lattice.nodes[used], size)
        return cls(nodes, index.reshape(lattice.index.shape), lattice.weights.astype(np.float32))

    def of(self, chosen: slice) -> Complex64Array:
        """Those of some of the sources."""
        return np.asarray(np.einsum("nk,nkij->nij", self.weights[chosen], self.nodes[self.corners[chosen]]))


def _stamps(planes: Planes, lines: Lines, psfs: Complex64Array, half: int) -> tuple[TrailStamps, IntArray]:
    """Stamps of one size, and the array indices x, y of their middles."""
    corner = np.floor(lines.middle + 0.5).astype(np.int64)
    values, spread, weights = weighted_blocks(
        *planes.arrays, bits=int(UNUSABLE_DIFFERENCE), rows=corner[:, 1], columns=corner[:, 0], half=half
    )
    return TrailStamps(values, weights, spread, psfs), corner
