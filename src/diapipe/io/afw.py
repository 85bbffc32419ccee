"""LSST afw exposures: WCS, PSF, calibration, aperture corrections, filter and detector from the archive of the file."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.wcs import WCS

from diapipe.errors import DiapipeError
from diapipe.images.box import Box
from diapipe.images.exposure import Exposure, ObservationInfo
from diapipe.images.fields import ChebyshevField
from diapipe.images.photo_calib import PhotoCalib
from diapipe.images.psf.base import Psf
from diapipe.images.tan_sip import fit_sip
from diapipe.io import afw_psf, cards
from diapipe.io.afw_archive import Archive, Persisted
from diapipe.io.fits_file import FitsFile
from diapipe.numerics import polynomials


def has_archive(file: FitsFile) -> bool:
    """Whether the file has an archive of persisted objects."""
    return "AR_HDU" in file.header(0)


def completed(exposure: Exposure, file: FitsFile) -> Exposure:
    """An exposure whose planes and cards are read, with what the archive says.

    An object that is not understood leaves what the cards say; ``metadata["AFW_UNREAD"]`` names it and the reason.
    """
    archive = Archive.of(file)
    if archive is None:
        return exposure
    unread: dict[str, str] = {}

    def read[T](name: str, reader: Any, fallback: T) -> T:
        try:
            result: T | None = reader()
        except (DiapipeError, KeyError, IndexError, ValueError, TypeError) as error:
            unread[name] = str(error)
            return fallback
        return fallback if result is None else result

    no_notes: dict[str, Any] = {}
    wcs, notes = read("SKYWCS", lambda: _wcs(archive, exposure.box), (exposure.wcs, no_notes))
    result = replace(
        exposure,
        wcs=wcs,
        psf=read("PSF", lambda: _psf(archive, exposure.box), exposure.psf),
        photo_calib=read("PHOTOCALIB", lambda: _photo_calib(archive), exposure.photo_calib),
        aperture_corrections=read("AP_CORR_MAP", lambda: _aperture_corrections(archive), {}),
        info=read("DETECTOR", lambda: _with_detector(_with_filter(exposure.info, archive), archive), exposure.info),
        metadata={**exposure.metadata, **notes},
    )
    if not unread:
        return result
    text = "; ".join(f"{name}: {reason}" for name, reason in unread.items())
    return replace(result, metadata={**result.metadata, "AFW_UNREAD": text})


def _wcs(archive: Archive, box: Box) -> tuple[WCS, dict[str, Any]] | None:
    found = archive.component("SKYWCS")
    if found is None or found.kind != "SkyWcs":
        return None
    fit = fit_sip(afw_psf.sky_mapping(found), box)
    return fit.wcs, {"SIP_FIT_ORDER": fit.order, "SIP_FIT_WORST_PX": float(f"{fit.worst_px:.3g}")}


def _psf(archive: Archive, box: Box) -> Psf | None:
    found = archive.component("PSF")
    return None if found is None else afw_psf.read(found, archive, box)


def _photo_calib(archive: Archive) -> PhotoCalib | None:
    """The persisted field holds nJy per count outright; ours is relative to the mean."""
    found = archive.component("PHOTOCALIB")
    if found is None or found.kind != "PhotoCalib":
        return None
    rows = found.main
    mean, error = float(rows.value("calibrationMean")), float(rows.value("calibrationErr"))
    field = archive.get(rows.number("field"))
    if field is None or bool(np.ravel(rows.value("flags"))[0]) or not mean > 0:
        return PhotoCalib(mean, error) if mean > 0 else None
    absolute = bounded_field(field)
    return PhotoCalib(mean, error, ChebyshevField(absolute.coefficients / mean, absolute.box))


def bounded_field(field: Persisted) -> ChebyshevField:
    """A persisted ChebyshevBoundedField: a full matrix of coefficients, rows for powers of y.

    Raises
    ------
    ValueError
        If it is a field of another class.
    """
    if field.kind != "ChebyshevBoundedField":
        raise ValueError(f"a {field.kind} is not understood; a ChebyshevBoundedField is needed")
    n_x = field.main.number("order_x") + 1
    matrix = np.reshape(np.asarray(field.main.value("coefficients"), dtype=np.float64), (-1, n_x))
    x0, y0, x1, y1 = (field.main.number(f"bbox_{end}") for end in ("min_x", "min_y", "max_x", "max_y"))
    if x1 < x0 or y1 < y0:  # an empty box: a constant, whose region does not matter
        return ChebyshevField.constant(float(matrix[0, 0]), Box(0, 1, 0, 1))
    used = [(i, j) for j, i in zip(*np.nonzero(matrix), strict=True)]
    order = max((int(i + j) for i, j in used), default=0)
    coefficients = [matrix[j, i] if j < matrix.shape[0] and i < n_x else 0.0 for i, j in polynomials.exponents(order)]
    return ChebyshevField(np.array(coefficients), Box(y0, y1 + 1, x0, x1 + 1))


def _aperture_corrections(archive: Archive) -> dict[str, ChebyshevField] | None:
    found = archive.component("AP_CORR_MAP")
    if found is None:
        return None
    result = {}
    for name, identifier in zip(found.main.column("name"), found.main.column("field"), strict=True):
        field = archive.get(int(identifier))
        if field is not None and field.kind == "ChebyshevBoundedField":
            result[str(name).strip()] = bounded_field(field)
    return result


def _with_filter(info: ObservationInfo, archive: Archive) -> ObservationInfo:
    """The band of the FilterLabel, or the one that its physical filter names."""
    found = archive.component("FILTER")
    if found is None or found.kind != "FilterLabel":
        return replace(info, band="") if info.band == "_unknown_" else info
    band, physical = (str(found.main.value(name)).strip() for name in ("band", "physical"))
    named = band if band[:1].isalpha() else cards.band_of(physical)
    return replace(info, band=named or info.band)


def _with_detector(info: ObservationInfo, archive: Archive) -> ObservationInfo:
    """Number of the detector; gain, read noise and saturation from its amplifiers where the cards leave them out."""
    found = archive.component("DETECTOR")
    if found is None or found.kind != "Detector":
        return info
    info = replace(info, detector=found.main.number("id"))
    if len(found.catalogs) < 2:
        return info
    amplifiers = found.catalogs[1]
    gain = _mean_positive(amplifiers.column("gain"))
    return replace(
        info,
        gain=info.gain or gain,
        read_noise=info.read_noise or _mean_positive(amplifiers.column("readnoise")),
        saturation=info.saturation or _lowest_positive(amplifiers.column("saturation")),
    )


def _mean_positive(values: Any) -> float | None:
    good = [float(value) for value in values if math.isfinite(value) and value > 0]
    return sum(good) / len(good) if good else None


def _lowest_positive(values: Any) -> float | None:
    return min((float(value) for value in values if math.isfinite(value) and value > 0), default=None)
