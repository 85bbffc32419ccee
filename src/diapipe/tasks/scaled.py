"""scaled: an image with the final photometric scale of its visit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table

from diapipe.errors import InputError, NoWorkError
from diapipe.images import Exposure, PhotoCalib


def scaled(exposure: Exposure, visit_summary: Table) -> Exposure:
    """The exposure with the flux of its counts as ``visit_summary`` says; its pixels stay as they are.

    Parameters
    ----------
    exposure
        A visit image, in counts (or in nJy already: then it stays as it is).
    visit_summary
        Of its visit, or of many: the row of its visit and detector counts.

    Returns
    -------
    Exposure
        With ``photo_calib`` of ``nJyPerCount`` and its error; `diapipe.images.calibrated` brings its pixels to nJy. A
        variation over the image that its own calibration told stays.

    Raises
    ------
    InputError
        If the table has no row for the exposure.
    NoWorkError
        If the visit could not be put on the scale.
    """
    if exposure.unit == "nJy":
        return exposure
    info = exposure.info
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
    field = None if exposure.photo_calib is None else exposure.photo_calib.field
    return replace(exposure, photo_calib=PhotoCalib(mean, error if np.isfinite(error) else 0.0, field))
