"""A user's catalogue beside the objects of a survey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.matching import match_sky
from diapipe.numerics.arrays import FloatArray
from diapipe.report.rows import column
from diapipe.report.survey.content import Beside

MATCH_ARCSEC = 1.5
"""What is so near to an object may be the same."""


@dataclass(frozen=True, slots=True)
class _Places:
    ra: FloatArray
    dec: FloatArray


def beside_catalogue(dia_objects: Table | None, catalogue: Table, *, name: str, file: str | None = None) -> Beside:
    """The nearest entry of a catalogue within 1.5 arcsec of each object.

    Parameters
    ----------
    dia_objects
        Of the survey; None for none.
    catalogue
        With ``ra``, ``dec`` in degrees and ``name``.
    name
        What pages call it.
    file
        What messages call it; its name where left out.

    Raises
    ------
    InputError
        If a column is missing.
    """
    need_columns(catalogue, ("ra", "dec", "name"), name=file or name)
    if dia_objects is None or not len(dia_objects) or not len(catalogue):
        return Beside(name=name)
    first, second = (_Places(column(table, "ra"), column(table, "dec")) for table in (dia_objects, catalogue))
    pairs = match_sky(first, second, radius_arcsec=MATCH_ARCSEC, keep="nearest")
    ids, names = np.asarray(dia_objects["diaObjectId"]), np.asarray(catalogue["name"]).astype(np.str_)
    return Beside(
        name=name,
        of_object={
            int(ids[one]): f"{names[other]} ({distance:.2f}″)"
            for one, other, distance in zip(pairs.first, pairs.second, pairs.distance, strict=True)
        },
    )
