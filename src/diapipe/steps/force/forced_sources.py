"""forced_sources: objects measured on one difference, as rows of the table of forced sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table
from astropy.time import Time

from diapipe.catalogs.dia_objects import check_dia_objects, dia_forced_source_table
from diapipe.catalogs.ids import dia_source_ids
from diapipe.catalogs.object_schema import DIA_FORCED_SOURCE
from diapipe.errors import InputError
from diapipe.images import Difference, Exposure, ObservationInfo
from diapipe.images.calibrated import flux_unit
from diapipe.images.sky import pixels_of_icrs
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.static_flux_error import error_with_static_light
from diapipe.steps.force.force import Columns, force_on_pixels
from diapipe.steps.force.options import Force

_DEFAULT = Force()
_ON_SCIENCE = {
    "psfFlux": "scienceFlux",
    "psfFluxErr": "scienceFluxErr",
    "psfFlux_flag": "forced_PsfFlux_flag",
    "psfFlux_flag_edge": "forced_PsfFlux_flag_edge",
    "psfFlux_flag_noGoodPixels": "forced_PsfFlux_flag_noGoodPixels",
}
"""Columns of `force_at`, and what the table calls them on the science image."""

_KEPT = {column.name for column in DIA_FORCED_SOURCE}


def forced_sources(
    dia_objects: Table,
    difference: Difference,
    *,
    science: Exposure | None = None,
    options: Force = _DEFAULT,
    now: Time | None = None,
    n_threads: int = 1,
) -> Table:
    """Fluxes at the places of DIA objects on a difference, and on the images beneath it.

    Parameters
    ----------
    dia_objects
        With ``diaObjectId``, ``ra`` and ``dec``. Those off the box of the difference have no row; the light that those
        just beside it shed on it is fitted with that of the others.
    difference
        With a WCS and a PSF.
    science
        The science image in the same pixels; measured on the scale of the difference, so that fluxes can be compared.
        What it has more than the difference is static light, of which the difference leaves something: the errors of
        ``psfFlux`` hold it (`error_with_static_light`).
    options, n_threads
        As for `force_at`.
    now
        Time of processing; now where left out.

    Returns
    -------
    Table
        As `DIA_FORCED_SOURCE` says, one row for each object on the box, by identifier.

    Raises
    ------
    InputError
        If the table lacks a column, has an object twice or one without a position, or the difference has no WCS.
    PsfUndefinedError
        If an image has no PSF.
    """
    check_dia_objects(dia_objects)
    exposure = difference.exposure
    if exposure.wcs is None:
        raise InputError(f"{exposure.name} has no WCS; forced photometry at objects on the sky needs one")
    ra, dec = (np.asarray(dia_objects[name], np.float64) for name in ("ra", "dec"))
    x, y = pixels_of_icrs(exposure.wcs, ra, dec)
    box, ids = exposure.box, np.asarray(dia_objects["diaObjectId"])
    reach = 0 if exposure.psf is None else exposure.psf.size  # so far off the image light of a place may be on it
    near = np.flatnonzero(box.dilated(reach).holds(x, y))
    near = near[np.argsort(ids[near])]
    x, y = x[near], y[near]
    found = force_on_pixels(exposure, x=x, y=y, options=options, n_threads=n_threads)
    columns = {name: values for name, values in found.items() if name in _KEPT}
    columns |= _on_science(science, exposure, x=x, y=y, options=options, n_threads=n_threads)
    on_image = np.flatnonzero(box.holds(x, y))
    rows, columns = near[on_image], {name: values[on_image] for name, values in columns.items()}
    if science is not None:
        columns["psfFluxErr"] = error_with_static_light(
            columns["psfFluxErr"],
            static_flux=columns["scienceFlux"] - columns["psfFlux"],
            relative_error=difference.static_error_at(x=x[on_image], y=y[on_image]),
        )
    columns |= _identity(exposure.info, len(rows), now or Time.now())
    columns |= {"diaObjectId": ids[rows], "ra": ra[rows], "dec": dec[rows]}
    return dia_forced_source_table(columns, n=len(rows), flux_unit=flux_unit(exposure))


def _on_science(
    science: Exposure | None, difference: Exposure, *, x: FloatArray, y: FloatArray, options: Force, n_threads: int
) -> Columns:
    """Fluxes on the science image, on the scale of the difference; flagged where there is none."""
    if science is None:
        return {"forced_PsfFlux_flag": np.ones(len(x), np.bool_)}
    science = replace(science, photo_calib=difference.photo_calib)
    found = force_on_pixels(science, x=x, y=y, options=options, n_threads=n_threads)
    return {name: found[column] for column, name in _ON_SCIENCE.items()}


def _identity(info: ObservationInfo, n: int, now: Time) -> Columns:
    """What all rows of an image share, and an identifier of each."""
    return {
        "diaForcedSourceId": dia_source_ids(visit=info.visit, detector=info.detector, n=n),
        "visit": np.full(n, info.visit),
        "detector": np.full(n, info.detector),
        "band": np.full(n, info.band, "U32"),
        "midpointMjdTai": np.full(n, info.mjd_midpoint),
        "timeProcessedMjdTai": np.full(n, float(now.tai.mjd)),
        "dp_templateFlux_flag": np.ones(n, np.bool_),
    }
