"""force: fluxes at the places of a table of sources, on the images beneath the difference."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.schema import DIA_SOURCE, FLUX
from diapipe.errors import PsfUndefinedError
from diapipe.images import Difference, Exposure, MaskedImage
from diapipe.images.calibrated import flux_scale
from diapipe.images.planes import Planes
from diapipe.steps.measure.measurement import forced_columns
from diapipe.steps.measure.options import Measure
from diapipe.steps.measure.sources import Sources, lattice_of

_DEFAULT = Measure()
_FLUXES = {column.name for column in DIA_SOURCE if column.unit == FLUX}


def force(
    dia_sources: Table,
    difference: Difference,
    *,
    science: Exposure,
    template: MaskedImage | Exposure | None = None,
    options: Measure = _DEFAULT,
    n_threads: int = 1,
) -> Table:
    """PSF fluxes on science image and matched template at the places of DIA sources.

    Parameters
    ----------
    dia_sources
        With ``x`` and ``y``; a new table is returned.
    difference, science, template
        As in `measure`.
    options
        ``stamp_fwhm`` is used.
    n_threads
        Threads to use; the result does not depend on it.

    Returns
    -------
    Table
        With ``scienceFlux``, ``templateFlux``, their errors and flags.

    Raises
    ------
    PsfUndefinedError
        If the science image has no PSF.
    """
    if science.psf is None:
        raise PsfUndefinedError(f"{science.name} has no PSF; forced photometry needs one")
    exposure, table = difference.exposure, dia_sources.copy()
    x, y = (np.asarray(table[name], dtype=np.float64) for name in ("x", "y"))
    planes = Planes.of(exposure.masked_image)
    n = len(table)
    places = Sources(x - planes.box.x0, y - planes.box.y0, np.ones(n), np.zeros(n, np.int64))
    lattice = lattice_of(science.psf, planes, places)
    columns = forced_columns(difference, science, template, lattice, places, planes, options, n_threads)
    factor = flux_scale(exposure, x=x, y=y)
    for name, values in columns.items():
        table[name][:] = values * factor if name in _FLUXES else values
    return table
