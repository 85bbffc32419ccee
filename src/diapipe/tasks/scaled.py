"""scaled: an image with the final photometric scale of its visit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table

from diapipe.errors import InputError, NoWorkError
from diapipe.images import Exposure, ObservationInfo, PhotoCalib, calibrated


def scaled(exposure: Exposure, visit_summary: Table) -> Exposure:
    """The exposure with the flux of its counts as ``visit_summary`` says.

    Parameters
    ----------
    exposure
        A visit image.
    visit_summary
        Of its visit, or of many: the row of its visit and detector counts.

    Returns
    -------
    Exposure
        In counts: its pixels stay as they are, and ``photo_calib`` is that of ``nJyPerCount`` and its error;
        `diapipe.images.calibrated` brings the pixels to nJy. A variation over the image that its own calibration told
        stays. In nJy already: the pixels are what the file takes for nJy, and ``nJyPerCount`` is how many true ones one
        of these is worth; they are multiplied by it, and stay in nJy.

    Raises
    ------
    InputError
        If the table has no row for the exposure.
    NoWorkError
        If the visit could not be put on the scale.
    """
    calib = final_scale(exposure.info, visit_summary)
    if exposure.unit != "nJy":
        field = None if exposure.photo_calib is None else exposure.photo_calib.field
        return replace(exposure, photo_calib=PhotoCalib(calib.mean, calib.error, field))
    return exposure if calib.mean == 1.0 else calibrated(replace(exposure, photo_calib=calib, unit="count"))


def scaled_sources(sources: Table, exposure: Exposure, visit_summary: Table) -> Table:
    """Sources of an exposure, as `scaled` it: fluxes in nJy are multiplied by what one is worth; counts stay.

    Parameters
    ----------
    sources
        As they were measured.
    exposure, visit_summary
        As for `scaled`.
    """
    factor = final_scale(exposure.info, visit_summary).mean
    fluxes = [name for name in sources.colnames if sources[name].unit == "nJy"]
    if exposure.unit != "nJy" or factor == 1.0 or not fluxes:
        return sources
    found = sources.copy()
    for name in fluxes:
        found[name] *= factor
    return found


def final_scale(info: ObservationInfo, visit_summary: Table) -> PhotoCalib:
    """What one count of an image is worth, by its row."""
    rows = (np.asarray(visit_summary["id"]) == info.detector) & (np.asarray(visit_summary["visit"]) == info.visit)
    if rows.sum() != 1:
        raise InputError(
            f"visit_summary has {int(rows.sum())} rows for visit {info.visit}, detector {info.detector}; one is needed",
            visit=info.visit,
            detector=info.detector,
        )
    row = int(np.flatnonzero(rows)[0])
    mean, error = (float(np.ma.filled(visit_summary[name][row], np.nan)) for name in ("nJyPerCount", "nJyPerCountErr"))
    if not mean > 0:
        raise NoWorkError(
            f"visit {info.visit}, detector {info.detector} is not on the photometric scale of the others: no flux of a "
            "count is known for it",
            visit=info.visit,
            detector=info.detector,
        )
    return PhotoCalib(mean, error if np.isfinite(error) else 0.0)
