"""Sky sources in the table: measured like detections, at places that nothing chose."""

from __future__ import annotations

import numpy as np
from astropy.table import Table, vstack

from diapipe.catalogs.ids import dia_source_ids
from diapipe.images.exposure import ObservationInfo


def with_sky_sources(dia_sources: Table, at_sky: Table, *, info: ObservationInfo) -> Table:
    """The table with one row more for every sky source, ``sky_source`` set and identifiers that go on.

    Parameters
    ----------
    dia_sources
        What `measure` made of the detections.
    at_sky
        What it made of empty places, with the options `Measure.at_given_places`.
    info
        Of the difference that both were measured on.
    """
    rows, first = at_sky.copy(), len(dia_sources)
    rows["diaSourceId"] = dia_source_ids(visit=info.visit, detector=info.detector, n=first + len(rows))[first:]
    rows["sky_source"] = np.ones(len(rows), np.bool_)
    return vstack([dia_sources, rows], join_type="exact", metadata_conflicts="silent")
