"""Positions and fluxes of point sources: PSF fits where the position is fitted or given, and apertures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from diapipe.images.mask import MaskPlane
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics import apertures, psf_photometry
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.psf_photometry import Neighbours
from diapipe.numerics.touching import touching

LEAST_COVERAGE = 0.5
"""Part of ΣP² on usable pixels below which a PSF flux is flagged."""

_DEBLEND_PASSES = 2
"""How often touching sources are fitted again."""

_CHUNK = 256
"""Sources that a thread takes at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class PsfFits:
    """PSF fits of all sources on one image; arrays of shape (n,), positions in array coordinates."""

    values: FloatArray
    half: int

    def column(self, which: int) -> FloatArray:
        """One of the columns that `diapipe.numerics.psf_photometry` names."""
        return self.values[:, which]

    @property
    def flux(self) -> FloatArray:
        """Flux at the position."""
        return self.column(psf_photometry.FLUX)

    @property
    def flux_err(self) -> FloatArray:
        """Its error."""
        return np.sqrt(self.column(psf_photometry.FLUX_VARIANCE))

    @property
    def is_fitted(self) -> BoolArray:
        """Whether the position was fitted."""
        return np.asarray(self.column(psf_photometry.STATUS) == psf_photometry.FITTED)

    @property
    def no_pixels(self) -> BoolArray:
        """Whether nothing could be measured."""
        return np.asarray(self.column(psf_photometry.STATUS) == psf_photometry.NO_PIXELS)

    @property
    def is_poor(self) -> BoolArray:
        """Whether less than half of the PSF lies on usable pixels."""
        return ~(self.column(psf_photometry.COVERAGE) >= LEAST_COVERAGE)

    @property
    def is_at_edge(self) -> BoolArray:
        """Whether the stamp reaches over the edge of the image."""
        return self.column(psf_photometry.N_ON_IMAGE) < (2 * self.half + 1) ** 2

    def unbiased_flux(self) -> FloatArray:
        """Flux at a fitted position without the bias of having chosen the position that makes it largest.

        The likelihood's maximum over two coordinates exceeds its value at the true position by χ²₂/2 = 1 on average, so
        the flux is too large by the fraction 1/SNR² (Portillo, Speagle & Finkbeiner 2020, AJ 159, 165).
        """
        snr2 = (self.flux / self.flux_err) ** 2
        return self.flux * np.where(self.is_fitted & (snr2 > 4.0), 1.0 - 1.0 / np.maximum(snr2, 4.0), 1.0)


def fit_psf(
    planes: Planes,
    lattice: PsfLattice,
    *,
    x: FloatArray,
    y: FloatArray,
    bits: MaskPlane,
    half: int,
    max_shift: float = 0.0,
    signs: FloatArray | None = None,
    correlation: FloatArray | None,
    n_threads: int,
) -> PsfFits:
    """Fit the PSF at every position.

    Where positions are fitted, sources that touch are fitted again, each with the others, as first fitted, taken away.

    Parameters
    ----------
    planes, lattice
        The image, and its PSF around the positions.
    x, y
        Array coordinates, shape (n,).
    bits
        Planes of unusable pixels.
    half
        Half-width of the stamps.
    max_shift
        Farthest that a fitted position may lie from the given one, pixels; 0 keeps the positions.
    signs
        Of the fluxes, where positions are fitted.
    correlation
        Autocorrelation of the noise; None for white noise.
    n_threads
        Threads to use; the result does not depend on it.
    """

    def chunk(first: int, neighbours: Neighbours | None) -> FloatArray:
        return psf_photometry.fit_point_sources(
            *planes.arrays,
            bits=int(bits),
            nodes=lattice.nodes,
            index=lattice.index,
            weights=lattice.weights,
            half=half,
            x=x,
            y=y,
            signs=signs,
            max_shift=max_shift,
            correlation=correlation,
            neighbours=neighbours,
            first=first,
            last=min(first + _CHUNK, len(x)),
        )

    def every(neighbours: Neighbours | None) -> FloatArray:
        rows = _on_threads(lambda first: chunk(first, neighbours), range(0, len(x), _CHUNK), n_threads)
        return np.concatenate([np.empty((0, psf_photometry.N_RESULTS)), *rows])

    values = every(None)
    if max_shift > 0.0:
        for _ in range(_DEBLEND_PASSES):
            neighbours = touching(values, half)
            if len(neighbours.members) == 0:
                break
            values = every(neighbours)
    return PsfFits(values, half)


def _on_threads(work: Callable[[int], FloatArray], firsts: range, n_threads: int) -> list[FloatArray]:
    """Results of ``work``, in order."""
    if n_threads <= 1 or len(firsts) <= 1:
        return [work(first) for first in firsts]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, firsts))


def stamp_half(psf_size: int, fwhm: float, stamp_fwhm: float) -> int:
    """Half-width of the fitted stamp: as many FWHM as asked for, no more than the PSF model has, at least 2."""
    return max(2, min(psf_size // 2, int(np.ceil(stamp_fwhm * fwhm))))


def aperture_columns(
    planes: Planes, *, x: FloatArray, y: FloatArray, bits: MaskPlane, radius: float, correlation: FloatArray | None
) -> dict[str, FloatArray | BoolArray]:
    """Columns of the aperture flux.

    A truncated aperture gives NaN; unusable pixels are left out and flagged. Correlated noise multiplies the variance
    of a sum over an aperture much larger than the correlation by Σρ.
    """
    sums = apertures.aperture_sums(*planes.arrays, bits=int(bits), x=x, y=y, radius=radius)
    area = np.pi * radius**2
    truncated = sums[:, 3] < area * (1.0 - 1e-9)
    factor = 1.0 if correlation is None else float(correlation.sum())
    missing = truncated | (sums[:, 2] == 0.0)
    return {
        "apFlux": np.where(missing, np.nan, sums[:, 0]),
        "apFluxErr": np.where(missing, np.nan, np.sqrt(max(factor, 0.0) * sums[:, 1])),
        "apFlux_flag": missing | (sums[:, 2] < area * (1.0 - 1e-9)),
        "apFlux_flag_apertureTruncated": truncated,
    }
