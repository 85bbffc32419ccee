"""The DIA source table: built from what was measured, complete by its schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.flag_names import flag_name
from diapipe.catalogs.schema import DIA_SOURCE
from diapipe.catalogs.tables import table_of
from diapipe.errors import UsageError

BAD_FLAGS = (
    "pixelFlags_offimage",
    "pixelFlags_interpolatedCenterAll",
    "pixelFlags_badCenter",
    "pixelFlags_edgeCenter",
    "pixelFlags_nodataCenter",
    "pixelFlags_saturatedCenter",
    "pixelFlags_saturated_templateCenter",
)
"""Flags of sources that cannot be physical, as LSST's pipelines drop them."""


def without_flagged(dia_sources: Table, flags: Iterable[str] = BAD_FLAGS) -> Table:
    """The rows in which none of the flags is set; nothing is dropped unless somebody asks for it.

    Flags may have the names of afw's tables too (`flag_names.flag_name`).

    Raises
    ------
    UsageError
        If the table has no such column; the message names those flags that it has.
    """
    bad = np.zeros(len(dia_sources), np.bool_)
    for name in map(flag_name, flags):
        if name not in dia_sources.colnames or dia_sources[name].dtype.kind != "b":
            known = ", ".join(column for column in dia_sources.colnames if dia_sources[column].dtype.kind == "b")
            raise UsageError(f"the table of DIA sources has no flag {name!r}; there are {known}", field=name)
        bad |= np.asarray(dia_sources[name])
    return dia_sources[~bad]


def dia_source_table(
    measured: Mapping[str, NDArray[np.generic]], *, n: int, flux_unit: str, area_unit: str = "arcsec2"
) -> Table:
    """Table with every column of the schema, in its order, with units and descriptions.

    Parameters
    ----------
    measured
        Arrays of shape (n,) by column name. A column left out is NaN, 0, False or "".
    n
        Number of sources.
    flux_unit
        Unit of the fluxes; one that astropy does not know is kept as a word.
    area_unit
        Unit of the second moments.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    return table_of(DIA_SOURCE, measured, n=n, flux_unit=flux_unit, area_unit=area_unit)
