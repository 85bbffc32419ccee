"""What stands in for a step that is left out: a difference that was given, and sources that are not measured."""

from __future__ import annotations

import numpy as np
from astropy.table import Table, vstack

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.images import ChebyshevField, Detections, Difference, Exposure, Footprints, Peaks, SpatialKernel


def given_difference(subtracted: Difference | Exposure) -> Difference:
    """A difference as the later steps need it; of one that is an Exposure neither kernel nor template is known."""
    if isinstance(subtracted, Difference):
        return subtracted
    box = subtracted.box
    return Difference(
        exposure=subtracted,
        kernel=SpatialKernel.constant(np.ones((1, 1)), box),
        background=ChebyshevField.constant(0.0, box),
        convolved="template",
    )


def source_table_of_peaks(difference: Exposure, detections: Detections, *, sky: Footprints | None = None) -> Table:
    """One row for each peak, with its place and significance: the DIA source table without measurements.

    Parameters
    ----------
    difference, detections
        What was found on it.
    sky
        Empty places, which become rows with ``sky_source`` set.
    """
    table = _of_peaks(difference, detections.footprints.peaks)
    if sky is None:
        return table
    rows = _of_peaks(difference, sky.peaks)
    rows["sky_source"] = True
    return vstack([table, rows], join_type="exact", metadata_conflicts="silent")


def _of_peaks(difference: Exposure, peaks: Peaks) -> Table:
    """One row for each peak."""
    info, n = difference.info, len(peaks)
    columns = {
        "visit": np.full(n, info.visit),
        "detector": np.full(n, info.detector),
        "band": np.full(n, info.band, "U32"),
        "midpointMjdTai": np.full(n, info.mjd_midpoint),
        "exposureTime": np.full(n, info.exposure_time_s),
        "x": peaks.x,
        "y": peaks.y,
        "dp_score": peaks.significance,
        "isNegative": peaks.significance < 0,
    }
    if difference.wcs is not None and n:
        columns["ra"], columns["dec"] = difference.wcs.all_pix2world(peaks.x, peaks.y, 0)
    return dia_source_table(columns, n=n, flux_unit=difference.unit)
