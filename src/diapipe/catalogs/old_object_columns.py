"""DIA objects by the column names of ``dia_pipe``."""

from __future__ import annotations

import numpy as np
from astropy.table import Column, Table

from diapipe.catalogs.dia_objects import bands_of_objects, need_columns
from diapipe.images.photo_calib import ZERO_POINT_NJY

OLD_FLUX = "base_PsfFlux_instFlux"
OLD_ZERO_POINT = 27.0
"""AB magnitude of one count in the old tables (``commonZp``)."""

_OLD = {
    "{}_psfFluxMean": "Mean",
    "{}_psfFluxMeanErr": "MeanErr",
    "{}_psfFluxSigma": "Sigma",
    "{}_psfFluxNdata": "Ndata",
    "dp_{}_psfFluxChi2": "Chi2",
}


def old_columns(dia_objects: Table, *, zero_point: float = OLD_ZERO_POINT) -> Table:
    """The table under its old names: ``id``, ``coord_ra`` (radians), ``nobs``, ``base_PsfFlux_instFlux_Mean_g``, ...

    The numbers are ours: means are weighted, negative fluxes count, one value has no Sigma (NaN, not 0).

    Parameters
    ----------
    dia_objects
        Table of DIA objects.
    zero_point
        AB magnitude of one count of the fluxes, where the table's are in nJy; fluxes in another unit stay as they are.

    Raises
    ------
    InputError
        If a column is missing.
    """
    need_columns(dia_objects, ("diaObjectId", "ra", "dec", "nDiaSources"), name="the table of DIA objects")
    old = Table()
    old["id"] = Column(np.asarray(dia_objects["diaObjectId"]))
    for name in ("ra", "dec"):
        old[f"coord_{name}"] = Column(np.radians(np.asarray(dia_objects[name])), unit="rad")
    old["parent"] = np.zeros(len(old), np.int64)
    old["nobs"] = Column(np.asarray(dia_objects["nDiaSources"]).astype(np.int32))
    for band in bands_of_objects(dia_objects):
        for ours, theirs in _OLD.items():
            old[f"{OLD_FLUX}_{theirs}_{band}"] = _scaled(dia_objects[ours.format(band)], zero_point)
    return old


def _scaled(column: Column, zero_point: float) -> Column:
    """A flux in counts of the zero point; anything that is not in nJy as it is."""
    if str(column.unit) != "nJy":
        return Column(np.asarray(column), unit=column.unit)
    return Column(np.asarray(column, dtype=np.float64) * (10.0 ** (0.4 * zero_point) / ZERO_POINT_NJY), unit="count")
