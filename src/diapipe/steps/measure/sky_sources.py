"""Sky sources in the table: measured like detections, at places that nothing chose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table, vstack

from diapipe.catalogs.ids import dia_source_ids
from diapipe.catalogs.stars import StarList
from diapipe.images import Detections, Difference, Exposure, Footprints, MaskedImage, Psf
from diapipe.steps.measure.measurement import measure
from diapipe.steps.measure.options import Measure

_DEFAULT = Measure()


def with_sky_sources(
    dia_sources: Table,
    difference: Difference,
    detections: Detections,
    sky: Footprints,
    *,
    science: Exposure,
    template: MaskedImage | Exposure | None = None,
    template_psf: Psf | None = None,
    stars: StarList | None = None,
    options: Measure = _DEFAULT,
    n_threads: int = 1,
) -> Table:
    """The table with one row more for every sky source, ``sky_source`` set.

    Places are kept, for one that moved to where the flux is largest would not be empty sky; nothing is fitted as a
    dipole or a trail. The arguments are those of `measure`.

    Parameters
    ----------
    dia_sources
        What `measure` made of the detections.
    difference, detections, science, template, template_psf, stars, options, n_threads
        As they were given to `measure`.
    sky
        Empty places.
    """
    rows = measure(
        difference,
        replace(detections, footprints=sky),
        science=science,
        template=template,
        template_psf=template_psf,
        stars=stars,
        options=replace(options, max_shift_px=0.0, fit_dipoles=False, fit_trails=False),
        n_threads=n_threads,
    )
    info, first = difference.exposure.info, len(dia_sources)
    rows["diaSourceId"] = dia_source_ids(visit=info.visit, detector=info.detector, n=first + len(rows))[first:]
    rows["sky_source"] = np.ones(len(rows), np.bool_)
    return vstack([dia_sources, rows], join_type="exact", metadata_conflicts="silent")
