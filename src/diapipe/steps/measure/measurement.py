"""The verb: positions, fluxes, shapes, flags and doubts of every detection, as a DIA source table."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.catalogs.ids import MAX_SOURCES, dia_source_ids
from diapipe.catalogs.schema import DIA_SOURCE, FLUX
from diapipe.catalogs.stars import StarList
from diapipe.errors import BadSubtractionError, PsfUndefinedError
from diapipe.images import (
    UNUSABLE_DIFFERENCE,
    Detections,
    Difference,
    Exposure,
    MaskedImage,
    Peaks,
    Psf,
)
from diapipe.images.calibrated import flux_scale, flux_unit
from diapipe.images.photometry import PsfFits, aperture_columns, fit_psf, stamp_half
from diapipe.images.planes import Planes
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics import psf_photometry
from diapipe.numerics.static_flux_error import error_with_static_light
from diapipe.numerics.whitening import noise_gain
from diapipe.steps.measure import dipoles, evidence, flags, forced, quality, shapes, sky, trails
from diapipe.steps.measure.aperture_corrections import corrected
from diapipe.steps.measure.glints import in_glint_trail
from diapipe.steps.measure.options import Measure
from diapipe.steps.measure.psf_steps import psf_mismatch
from diapipe.steps.measure.sources import Sources, lattice_of

type Columns = dict[str, NDArray[Any]]

_DEFAULT = Measure()


def measure(
    difference: Difference,
    detections: Detections,
    *,
    science: Exposure,
    template: MaskedImage | Exposure | None = None,
    template_psf: Psf | None = None,
    stars: StarList | None = None,
    options: Measure = _DEFAULT,
    n_threads: int = 1,
) -> Table:
    """Measure every detection: one row a peak, the most significant first.

    Parameters
    ----------
    difference
        Science minus matched template, with its PSF.
    detections
        What `detect` found on it.
    science
        The science image, with its PSF; its box holds that of the difference.
    template
        The matched template on the science flux scale; that of ``difference`` where left out. An Exposure brings its
        own PSF, a MaskedImage is taken to have that of the science image.
    template_psf
        That of the template on the science grid before the match, by which residuals beside the borders of a coadd's
        inputs are recognised.
    stars
        Stars of the science image, by which residuals beside them are recognised.
    options
        Parameters.
    n_threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Table
        Columns as `diapipe.catalogs.schema.DIA_SOURCE` lists them.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF.
    BadSubtractionError
        If there are more detections than identifiers for one image.
    """
    exposure, peaks = difference.exposure, detections.footprints.peaks
    psf = _psf_of(exposure)
    _refuse_too_many(peaks, exposure)
    static = difference.matched_template if template is None else template
    planes = Planes.of(exposure.masked_image)
    start = _sources(peaks, planes)
    lattice = lattice_of(psf, planes, start)
    fwhm = lattice.typical_fwhm
    half = stamp_half(psf.size, fwhm, options.stamp_fwhm)
    fits = fit_psf(
        planes,
        lattice,
        x=start.x,
        y=start.y,
        signs=start.sign,
        bits=UNUSABLE_DIFFERENCE,
        half=half,
        max_shift=options.max_shift_px,
        correlation=exposure.noise_correlation,
        n_threads=n_threads,
    )
    columns = _positions_and_fluxes(exposure, fits)
    found = Sources(columns["x"] - planes.box.x0, columns["y"] - planes.box.y0, start.sign, start.footprint)
    columns |= _aperture_columns(planes, found, exposure, radius=options.aperture_px or options.aperture_fwhm * fwhm)
    of_science = None if science.psf is None else lattice_of(science.psf, planes, found)
    if of_science is not None:
        columns |= forced_columns(difference, science, template, of_science, found, planes, options, n_threads)
    columns |= _shape_columns(planes, found, lattice, exposure, fwhm, options)
    columns |= flags.pixel_flags(planes, found, detections.footprints)
    columns |= evidence.evidence_columns(
        planes,
        found,
        fits,
        lattice,
        columns,
        score=detections.score.image,
        static=static,
        stars=stars,
        fwhm=fwhm,
        noise_gain=_noise_gain(exposure, psf),
        options=options,
    )
    columns["dp_psfMismatch"] = psf_mismatch(difference, science.psf, template_psf, x=columns["x"], y=columns["y"])
    columns |= _lobe_columns(peaks)
    if options.fit_dipoles:
        lattices = (lattice, of_science)
        columns |= _dipole_columns(difference, detections, science, static, lattices, fwhm, options)
        columns |= sky.dipole_columns(exposure.wcs, columns)
    columns |= _identity_columns(exposure, len(peaks))
    columns |= _trail_columns(planes, found, lattice, detections, exposure, columns, fwhm, options)
    columns |= flags.footprint_columns(detections.footprints, x=columns["x"], y=columns["y"])
    columns |= corrected(columns, exposure, science, options=options.aperture_corrections)
    columns |= _verdict(columns, options.cuts, difference.static_error)
    columns |= _error_of_static_light(columns, difference)
    columns["glint_trail"] = in_glint_trail(columns, options=options.glints)
    return _calibrated(columns, exposure, len(peaks))


def _noise_gain(exposure: Exposure, psf: Psf) -> float:
    """Variance of a PSF flux over what it would be in white noise of the same variance plane."""
    if exposure.noise_correlation is None:
        return 1.0
    middle = psf.kernel_image(x=exposure.box.x_center, y=exposure.box.y_center)
    return noise_gain(middle, exposure.noise_correlation)


def _dipole_columns(
    difference: Difference,
    detections: Detections,
    science: Exposure,
    static: MaskedImage | Exposure | None,
    lattices: tuple[PsfLattice, PsfLattice | None],
    fwhm: float,
    options: Measure,
) -> Columns:
    """Dipoles, on the pixels."""
    footprints = detections.footprints
    return dipoles.dipole_columns(
        difference,
        footprints.peaks,
        np.ascontiguousarray(detections.score.image),
        science=science,
        static=static,
        lattices=lattices,
        areas=footprints.area[footprints.peaks.footprint],
        fwhm=fwhm,
        options=options.dipoles,
    )


def _verdict(columns: Columns, cuts: quality.Cuts, static_error: float) -> Columns:
    """Whether a source is to be trusted, and what speaks against it."""
    reasons = quality.residual_reasons(_without_shapes_of_trails(columns), cuts=cuts, static_error=static_error)
    residual = np.logical_or.reduce(list(reasons.values()))
    bad = residual | columns["dp_badPixel"] | columns["psfFlux_flag"] | (columns["dp_trailOf"] != 0)
    return reasons | {"dp_residual": residual, "dp_bad": bad}


def _error_of_static_light(columns: Columns, difference: Difference) -> Columns:
    """The error of the PSF flux with that of what is left of the light beneath, most of it where a bright star faded.

    It is never the smaller for it. Where stars are left with less than the variance claims, that is so at their own
    places; a source is where its fit has moved to, and there what is left, which alternates, does not cancel. ``snr``
    stays what the noise of the pixels makes it, by which sources are found.
    """
    if "templateFlux" not in columns:
        return {}
    error = error_with_static_light(
        columns["psfFluxErr"],
        static_flux=columns["templateFlux"],
        relative_error=np.maximum(difference.static_error_at(x=columns["x"], y=columns["y"]), 0.0),
    )
    return {"psfFluxErr": error}


def _refuse_too_many(peaks: Peaks, exposure: Exposure) -> None:
    """Refuse more detections than one image has identifiers for."""
    if len(peaks) >= MAX_SOURCES:
        raise BadSubtractionError(
            f"the difference of {exposure.name} has {len(peaks)} detections, fewer than {MAX_SOURCES} are needed: the "
            "images do not match, or the variance is far too small; a higher --threshold takes fewer"
        )


def _psf_of(exposure: Exposure) -> Psf:
    """The exposure's PSF, which must be there."""
    if exposure.psf is None:
        raise PsfUndefinedError(f"{exposure.name} has no PSF; measuring needs one")
    return exposure.psf


def _sources(peaks: Peaks, planes: Planes) -> Sources:
    """The peaks in array coordinates."""
    return Sources(
        peaks.x - planes.box.x0,
        peaks.y - planes.box.y0,
        np.where(peaks.significance < 0, -1.0, 1.0),
        peaks.footprint,
    )


def _positions_and_fluxes(exposure: Exposure, fits: PsfFits) -> Columns:
    """Centroids on pixels and sky, PSF flux and what goes with it."""
    x = fits.column(psf_photometry.X) + exposure.box.x0
    y = fits.column(psf_photometry.Y) + exposure.box.y0
    covariance = {
        name: np.where(fits.is_fitted, fits.column(which), np.nan)
        for name, which in (("xx", psf_photometry.XX), ("yy", psf_photometry.YY), ("xy", psf_photometry.XY))
    }
    flux = fits.unbiased_flux()
    return {
        "x": x,
        "y": y,
        "xErr": np.sqrt(covariance["xx"]),
        "yErr": np.sqrt(covariance["yy"]),
        "centroid_flag": ~fits.is_fitted,
        **sky.sky_columns(exposure.wcs, x=x, y=y, **covariance),
        "psfFlux": flux,
        "psfFluxErr": fits.flux_err,
        "snr": flux / fits.flux_err,
        "psfChi2": fits.column(psf_photometry.CHI2),
        "psfLnL": -0.5 * fits.column(psf_photometry.CHI2),
        "psfNdata": fits.column(psf_photometry.N_USED),
        "psfFlux_flag": fits.is_poor,
        "psfFlux_flag_edge": fits.is_at_edge,
        "psfFlux_flag_noGoodPixels": fits.no_pixels,
    }


def _aperture_columns(planes: Planes, found: Sources, exposure: Exposure, *, radius: float) -> Columns:
    """The aperture flux."""
    return dict(
        aperture_columns(
            planes,
            x=found.x,
            y=found.y,
            bits=UNUSABLE_DIFFERENCE,
            radius=radius,
            correlation=exposure.noise_correlation,
        )
    )


def forced_columns(
    difference: Difference,
    science: Exposure,
    template: MaskedImage | Exposure | None,
    lattice: PsfLattice,
    found: Sources,
    planes: Planes,
    options: Measure,
    n_threads: int,
) -> Columns:
    """PSF fluxes at the same places on the science image and on the matched template."""

    def half(psf: PsfLattice) -> int:
        return stamp_half(psf.nodes.shape[-1], psf.typical_fwhm, options.stamp_fwhm)

    columns: Columns = dict(
        forced.science_columns(science, lattice, found, planes, half=half(lattice), n_threads=n_threads)
    )
    static = forced.matched_template(difference, science, template)
    if static is not None and static.psf is not None:
        own = lattice_of(static.psf, planes, found)
        columns |= forced.template_columns(static, own, found, half=half(own), n_threads=n_threads)
    return columns


def _shape_columns(
    planes: Planes, found: Sources, lattice: PsfLattice, exposure: Exposure, fwhm: float, options: Measure
) -> Columns:
    """Second moments, in square arc seconds where there is a WCS."""
    area = sky.pixel_area_arcsec2(exposure.wcs, x=exposure.box.x_center, y=exposure.box.y_center)
    return dict(
        shapes.shape_columns(
            planes,
            found,
            lattice,
            bits=UNUSABLE_DIFFERENCE,
            sigma=fwhm / SIGMA_TO_FWHM,
            radius=max(3, int(np.ceil(options.moments_fwhm * fwhm))),
            area=1.0 if area is None else area,
        )
    )


def _lobe_columns(peaks: Peaks) -> Columns:
    """Sign, and how strong a lobe of opposite sign stands beside."""
    return {
        "dp_score": peaks.significance,
        "isNegative": (peaks.significance < 0) & np.isnan(peaks.partner_significance),
        "dp_partnerRatio": np.nan_to_num(np.abs(peaks.partner_significance / peaks.significance)),
    }


def _trail_columns(
    planes: Planes,
    found: Sources,
    lattice: PsfLattice,
    detections: Detections,
    exposure: Exposure,
    columns: Columns,
    fwhm: float,
    options: Measure,
) -> Columns:
    """The trail fit, in pixels and on the sky."""
    n = len(found)
    if not options.fit_trails:
        return {"trail_flag": np.ones(n, np.bool_), "dp_trailOf": np.zeros(n, np.int64)}
    told, covariance = trails.trail_columns(
        planes,
        found,
        lattice,
        detections.score.image,
        significance=detections.footprints.peaks.significance,
        is_dipole=columns.get("isDipole", np.zeros(n, np.bool_)),
        ids=columns["diaSourceId"],
        fwhm=fwhm,
        correlation=exposure.noise_correlation,
        options=options.trails,
    )
    return told | sky.trail_columns(exposure.wcs, told, covariance)


def _without_shapes_of_trails(columns: Columns) -> Columns:
    """The columns, but no χ² of the fit of a point where a trail is what fits."""
    return columns | {"dp_chi2Excess": np.where(columns["trail_flag"], columns["dp_chi2Excess"], np.nan)}


def _identity_columns(exposure: Exposure, n: int) -> Columns:
    """Which exposure, which source."""
    info = exposure.info
    return {
        "diaSourceId": dia_source_ids(visit=info.visit, detector=info.detector, n=n),
        "visit": np.full(n, info.visit),
        "detector": np.full(n, info.detector),
        "band": np.full(n, info.band, "U32"),
        "midpointMjdTai": np.full(n, info.mjd_midpoint),
        "exposureTime": np.full(n, info.exposure_time_s),
    }


def _calibrated(columns: Columns, exposure: Exposure, n: int) -> Table:
    """The table, fluxes in nJy where the image is calibrated."""
    factor = flux_scale(exposure, x=columns["x"], y=columns["y"])
    fluxes = {column.name for column in DIA_SOURCE if column.unit == FLUX}
    scaled = {name: values * factor if name in fluxes else values for name, values in columns.items()}
    return dia_source_table(
        scaled, n=n, flux_unit=flux_unit(exposure), area_unit="pix2" if exposure.wcs is None else "arcsec2"
    )
