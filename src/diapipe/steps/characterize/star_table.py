"""star_table: the sources of one image as a table, with fluxes that can be compared from image to image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy import units
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.ids import dia_source_ids
from diapipe.catalogs.single_visit_stars import SINGLE_VISIT_STAR
from diapipe.catalogs.stars import StarList
from diapipe.catalogs.tables import table_of
from diapipe.errors import PsfUndefinedError
from diapipe.images import UNUSABLE, Exposure
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.images.psf.lattice import PsfLattice
from diapipe.images.sky import icrs_of
from diapipe.numerics import psf_photometry
from diapipe.numerics.apertures import aperture_sums
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.numerics.moments import adaptive_moments
from diapipe.numerics.psf_photometry import COVERAGE, FLUX, FLUX_VARIANCE, Neighbours
from diapipe.numerics.touching import touching
from diapipe.steps.characterize.characterized import Characterized
from diapipe.steps.limits import Limited

LEAST_COVERAGE = 0.5
"""Part of ΣP² on usable pixels below which a PSF flux is flagged."""

type Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StarPhotometry(Limited):
    """How the sources of one image are measured for what compares images.

    Attributes
    ----------
    stamp_fwhm
        Half-width of the stamp that the PSF is fitted on, in FWHM.
    largest_shift_px
        Farthest that the position of a source with neighbours may lie from its centroid once these are taken away.
    radius_fwhm
        Radius of the aperture flux, in FWHM: that of the aperture correction.
    """

    may_be_zero = ("largest_shift_px",)

    stamp_fwhm: float = 1.5
    largest_shift_px: float = 1.0
    radius_fwhm: float = 2.5


def star_table(found: Characterized, *, options: StarPhotometry | None = None) -> Table:
    """Sources of a characterized image, brightest first: positions, PSF and aperture fluxes, shapes, flags.

    Parameters
    ----------
    found
        What `characterize` returned.
    options
        Parameters; the defaults where left out.

    Returns
    -------
    Table
        Columns of `SINGLE_VISIT_STAR`, in the order of ``found.stars``. ``psfFlux`` is on the scale of large apertures
        by the image's aperture correction, whatever the seeing; fluxes are in counts of the image.

    Raises
    ------
    PsfUndefinedError
        If the image has no PSF.
    """
    options = options or StarPhotometry()
    exposure, stars = found.exposure, found.stars
    if exposure.psf is None:
        raise PsfUndefinedError(f"{exposure.name} has no PSF; fluxes of its stars need one")
    n, info = len(stars), exposure.info
    unknown = np.full(n, np.nan)
    ra, dec = (unknown, unknown) if exposure.wcs is None or n == 0 else icrs_of(exposure.wcs, stars.x, stars.y)
    lattice = PsfLattice.around(exposure.psf, x=stars.x, y=stars.y, box=exposure.box)
    fwhm = exposure.psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    columns: Columns = {
        "sourceId": dia_source_ids(visit=abs(info.visit), detector=abs(info.detector), n=n),
        "visit": np.full(n, info.visit, np.int64),
        "detector": np.full(n, info.detector, np.int64),
        "band": np.full(n, info.band, dtype="U32"),
        "x": stars.x,
        "y": stars.y,
        "ra": ra,
        "dec": dec,
        "gaussianFlux": stars.flux,
        "gaussianFluxErr": stars.flux_err,
        "extendedness": np.where(stars.is_star, 0.0, 1.0),
        "detect_isPrimary": np.ones(n, np.bool_),
        "calib_psf_used": found.is_psf_star,
        "pixelFlags_saturatedCenter": stars.is_saturated,
        "dp_isIsolated": stars.is_isolated,
        "dp_peak": stars.peak,
        "localPhotoCalib": unknown if exposure.photo_calib is None else exposure.photo_calib.at(x=stars.x, y=stars.y),
    }
    columns |= _psf_fluxes(found, lattice, fwhm, options)
    columns |= _aperture_fluxes(found, options.radius_fwhm * fwhm)
    columns |= _shapes(exposure, stars.x, stars.y, lattice, fwhm)
    return table_of(SINGLE_VISIT_STAR, columns, n=n, flux_unit=_unit_of(exposure))


def _unit_of(exposure: Exposure) -> str:
    """Unit of the pixels, where astropy knows it; "" else."""
    known = units.Unit(exposure.unit, parse_strict="silent") if exposure.unit else units.UnrecognizedUnit("")
    return "" if isinstance(known, units.UnrecognizedUnit) else exposure.unit


def _psf_fluxes(found: Characterized, lattice: PsfLattice, fwhm: float, options: StarPhotometry) -> Columns:
    """PSF fluxes with the aperture correction."""
    exposure, stars = found.exposure, found.stars
    fits = _deblended(exposure, stars, lattice, fwhm, options)
    correction = exposure.aperture_corrections.get("psfFlux")
    factor = 1.0 if correction is None else correction.at(x=stars.x, y=stars.y)
    flux, snr2 = fits[:, FLUX], fits[:, FLUX] ** 2 / fits[:, FLUX_VARIANCE]
    # the position was chosen to make the flux the largest (Portillo, Speagle & Finkbeiner 2020): too large by 1 / SNR²
    flux = flux * np.where(snr2 > 4.0, 1.0 - 1.0 / np.maximum(snr2, 4.0), 1.0)
    return {
        "psfFlux": flux * factor,
        "psfFluxErr": np.sqrt(fits[:, FLUX_VARIANCE]) * factor,
        "psfFlux_flag": ~(fits[:, COVERAGE] >= LEAST_COVERAGE),
        "psfChi2": fits[:, psf_photometry.CHI2],
        "psfNdata": fits[:, psf_photometry.N_USED],
    }


def _deblended(
    exposure: Exposure, stars: StarList, lattice: PsfLattice, fwhm: float, options: StarPhotometry
) -> FloatArray:
    """PSF fits at the centroids; sources that touch again, their neighbours taken away: places first, then fluxes."""
    assert exposure.psf is not None
    half = max(2, min(exposure.psf.size // 2, int(np.ceil(options.stamp_fwhm * fwhm))))
    planes = _planes(exposure)

    def fitted(x: FloatArray, y: FloatArray, *, max_shift: float, neighbours: Neighbours | None) -> FloatArray:
        return psf_photometry.fit_point_sources(
            *planes,
            bits=int(UNUSABLE),
            nodes=lattice.nodes,
            index=lattice.index,
            weights=lattice.weights,
            half=half,
            x=x,
            y=y,
            max_shift=max_shift,
            correlation=exposure.noise_correlation,
            neighbours=neighbours,
        )

    fits = fitted(stars.x - exposure.box.x0, stars.y - exposure.box.y0, max_shift=0.0, neighbours=None)
    for max_shift in (options.largest_shift_px, 0.0):
        x, y = fits[:, psf_photometry.X].copy(), fits[:, psf_photometry.Y].copy()
        fits = fitted(x, y, max_shift=max_shift, neighbours=touching(fits, half))
    return fits


def _planes(exposure: Exposure) -> tuple[Float32Array, MaskArray, Float32Array]:
    """Image, mask, variance, each contiguous."""
    pixels, whole = exposure.masked_image, np.ascontiguousarray
    return whole(pixels.image), whole(pixels.mask), whole(pixels.variance)


def _aperture_fluxes(found: Characterized, radius: float) -> Columns:
    """Fluxes in circles; NaN where the circle reaches over the edge, flagged where pixels in it are unusable."""
    exposure, stars = found.exposure, found.stars
    x, y = stars.x - exposure.box.x0, stars.y - exposure.box.y0
    sums = aperture_sums(*_planes(exposure), bits=int(UNUSABLE), x=x, y=y, radius=radius)
    area = np.pi * radius**2 * (1.0 - 1e-9)
    missing = (sums[:, 3] < area) | (sums[:, 2] == 0.0)
    correlated = 1.0 if exposure.noise_correlation is None else max(float(exposure.noise_correlation.sum()), 0.0)
    return {
        "apFlux": np.where(missing, np.nan, sums[:, 0]),
        "apFluxErr": np.where(missing, np.nan, np.sqrt(correlated * sums[:, 1])),
        "apFlux_flag": missing | (sums[:, 2] < area),
        "apRadius": np.full(len(stars), radius),
    }


def _shapes(exposure: Exposure, x: FloatArray, y: FloatArray, lattice: PsfLattice, fwhm: float) -> Columns:
    """Adaptive moments of the sources and of the PSF at their places, in square pixels."""
    image, mask, variance = _planes(exposure)
    sigma = fwhm / SIGMA_TO_FWHM
    moments = adaptive_moments(
        image,
        variance,
        x - exposure.box.x0,
        y - exposure.box.y0,
        sigma_start=sigma,
        radius=int(np.clip(np.ceil(6.0 * sigma), 8, 25)),
        mask=mask,
        bad_bits=int(UNUSABLE),
    )
    bad = moments.flag != 0
    own = [np.where(bad, np.nan, value) for value in (moments.ixx, moments.iyy, moments.ixy)]
    names = ("ixx", "iyy", "ixy")
    of_psf = lattice.moments(sigma=sigma)
    return (
        dict(zip(names, own, strict=True))
        | dict(zip((f"{name}PSF" for name in names), of_psf, strict=True))
        | {"shape_flag": bad}
    )
