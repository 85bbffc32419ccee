"""The verb: fluxes of point sources at given places, on any image with a PSF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diapipe.catalogs.center_flags import center_flags
from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images import Exposure
from diapipe.images.aperture_corrections import correction_at
from diapipe.images.calibrated import flux_scale
from diapipe.images.photometry import LEAST_COVERAGE
from diapipe.images.planes import Planes
from diapipe.images.sky import pixels_of_icrs
from diapipe.numerics import joint_fluxes
from diapipe.numerics.arrays import BoolArray, FloatArray, RealArray
from diapipe.steps.force import apertures, background, psf_fluxes
from diapipe.steps.force.options import Force
from diapipe.steps.force.places import FAR_PX, Places

type Columns = dict[str, NDArray[Any]]

_DEFAULT = Force()


def force_at(
    exposure: Exposure, *, ra: RealArray, dec: RealArray, options: Force = _DEFAULT, n_threads: int = 1
) -> Columns:
    """Fluxes at sky positions.

    Parameters
    ----------
    exposure
        A difference, a science image, a coadd: whatever has pixels, a WCS and a PSF.
    ra, dec
        ICRS, degrees, shape (n,). Positions off the image are measured as far as they can be and flagged; none is
        dropped.
    options
        Parameters.
    n_threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    dict
        As `force_on_pixels`; x and y are NaN where the WCS cannot map a position.

    Raises
    ------
    InputError
        If the exposure has no WCS.
    PsfUndefinedError
        If it has no PSF.
    """
    if exposure.wcs is None:
        raise InputError(f"{exposure.name} has no WCS; fluxes at positions on the sky need one")
    x, y = pixels_of_icrs(exposure.wcs, np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    return force_on_pixels(exposure, x=x, y=y, options=options, n_threads=n_threads)


def force_on_pixels(
    exposure: Exposure, *, x: RealArray, y: RealArray, options: Force = _DEFAULT, n_threads: int = 1
) -> Columns:
    """Fluxes at pixel positions.

    Parameters
    ----------
    exposure
        A difference, a science image, a coadd: whatever has pixels and a PSF.
    x, y
        Parent pixel coordinates, shape (n,); NaN for a place that is none.
    options, n_threads
        As for `force_at`.

    Returns
    -------
    dict
        Arrays of shape (n,) by column: ``x``, ``y``; ``psfFlux``, ``psfFluxErr`` in `flux_unit` of the exposure,
        ``psfChi2``, ``psfNdata``; ``psfFlux_flag`` (missing, or less than half of the PSF on usable pixels),
        ``psfFlux_flag_edge``, ``psfFlux_flag_noGoodPixels``, ``psfFlux_apCorr``, ``psfFlux_apCorrErr``,
        ``psfFlux_flag_apCorr``; ``pixelFlags_offimage``, ``pixelFlags_*Center``, ``dp_badPixel``;
        ``dp_nFittedWith`` and ``dp_shareLost`` (how many places it was fitted together with, and what part of its
        information they took); and, where asked for, ``ap03Flux``, ``ap03FluxErr``, ``ap03Flux_flag``,
        ``ap03Flux_flag_apertureTruncated`` for a radius of 3 px, and ``localBackground``, ``localBackgroundErr``,
        ``localBackground_flag``.

    Raises
    ------
    PsfUndefinedError
        If the exposure has no PSF.
    """
    if exposure.psf is None:
        raise PsfUndefinedError(f"{exposure.name} has no PSF; forced photometry needs one")
    planes = Planes.of(exposure.masked_image)
    places = Places.on(exposure, planes, x=np.asarray(x, np.float64), y=np.asarray(y, np.float64), options=options)
    fits = psf_fluxes.fit(planes, places, correlation=exposure.noise_correlation, n_threads=n_threads)
    level = None
    columns: Columns = _psf_columns(fits, places, planes)
    if options.aperture_radii_px:
        columns |= apertures.aperture_columns_of(exposure, planes, places, radii=options.aperture_radii_px)
    if options.background is not None:
        level = background.level_around(planes, places, correlation=exposure.noise_correlation, of=options.background)
        columns |= level.columns()
        if options.background.is_subtracted:
            columns |= background.subtracted(columns, level, fits[:, joint_fluxes.LEVEL], options.aperture_radii_px)
    if options.correct_apertures:
        columns |= _corrected(columns, exposure, places)
    columns |= center_flags(planes, x=_or_far(places.x), y=_or_far(places.y))
    return {"x": places.parent_x, "y": places.parent_y} | _calibrated(columns, exposure, places)


def _or_far(position: FloatArray) -> FloatArray:
    """Positions, with those that are none far off the image, where every flag finds them."""
    return np.nan_to_num(position, nan=-FAR_PX)


def _psf_columns(fits: FloatArray, places: Places, planes: Planes) -> Columns:
    """Fluxes in counts, and what goes with them."""
    flux, covered = fits[:, joint_fluxes.FLUX], fits[:, joint_fluxes.COVERAGE]
    return {
        "psfFlux": flux,
        "psfFluxErr": np.sqrt(fits[:, joint_fluxes.VARIANCE]),
        "psfChi2": fits[:, joint_fluxes.CHI2],
        "psfNdata": fits[:, joint_fluxes.N_USED],
        "psfFlux_flag": ~(np.isfinite(flux) & (covered >= LEAST_COVERAGE)),
        "psfFlux_flag_edge": _at_edge(places, planes),
        "psfFlux_flag_noGoodPixels": ~np.isfinite(flux),
        "dp_nFittedWith": np.diff(places.around.offsets),
        "dp_shareLost": fits[:, joint_fluxes.SHARE_LOST],
    }


def _at_edge(places: Places, planes: Planes) -> BoolArray:
    """Whether the stamp reaches over the edge of the image."""
    (height, width), half = planes.image.shape, places.half
    column, row = np.floor(_or_far(places.x) + 0.5), np.floor(_or_far(places.y) + 0.5)
    return np.asarray((column < half) | (column >= width - half) | (row < half) | (row >= height - half))


def _corrected(columns: Mapping[str, NDArray[Any]], exposure: Exposure, places: Places) -> Columns:
    """PSF fluxes on the scale of large apertures, where the exposure brings the correction; its error is in theirs.

    That is what the PSF model leaves in a flux: of a bright source, most of its error.
    """
    factor, error = correction_at(exposure, x=places.parent_x, y=places.parent_y)
    with np.errstate(invalid="ignore"):
        missing = ~(np.isfinite(factor) & (factor > 0.0))
    by, of_model = np.where(missing, 1.0, factor), np.where(missing, 0.0, error)
    return {
        "psfFlux": columns["psfFlux"] * by,
        "psfFluxErr": np.hypot(columns["psfFluxErr"] * by, columns["psfFlux"] * of_model),
        "psfFlux_apCorr": np.where(missing, np.nan, factor),
        "psfFlux_apCorrErr": np.where(missing, np.nan, error),
        "psfFlux_flag_apCorr": missing,
    }


def _calibrated(columns: Columns, exposure: Exposure, places: Places) -> Columns:
    """The columns, fluxes in nJy where the image is calibrated, the error of the calibration in theirs."""
    factor = flux_scale(exposure, x=places.parent_x, y=places.parent_y)
    calib = exposure.photo_calib
    of_scale = 0.0 if calib is None else calib.error / calib.mean
    scaled = dict(columns)
    for name in columns:
        if name.endswith("Flux"):
            scaled[name] = factor * columns[name]
            scaled[f"{name}Err"] = factor * np.hypot(columns[f"{name}Err"], of_scale * columns[name])
        elif name.startswith("localBackground") and not name.endswith("flag"):
            scaled[name] = factor * columns[name]
    return scaled
