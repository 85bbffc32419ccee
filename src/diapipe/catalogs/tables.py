"""Tables that are complete by a schema: every column, in its order, with type, unit and description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from astropy import units
from astropy.table import Column as TableColumn
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.schema import AREA, FLUX, FLUX_PER_DAY, Column
from diapipe.errors import InternalError


def table_of(
    schema: Iterable[Column],
    measured: Mapping[str, NDArray[np.generic]],
    *,
    n: int,
    flux_unit: str = "",
    area_unit: str = "arcsec2",
) -> Table:
    """Table with every column of a schema.

    Parameters
    ----------
    schema
        Its columns.
    measured
        Arrays of ``n`` rows by column name. A column left out is NaN, 0, False or "".
    n
        Number of rows.
    flux_unit
        Unit of the fluxes; one that astropy does not know is kept as a word.
    area_unit
        Unit of the second moments.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    columns = list(schema)
    unknown = set(measured) - {column.name for column in columns}
    if unknown:
        raise InternalError(f"the schema has no column {', '.join(sorted(unknown))}")
    stands_for = {FLUX: flux_unit, FLUX_PER_DAY: f"{flux_unit or 1}/d", AREA: area_unit}
    table = Table()
    for column in columns:
        unit = stands_for.get(column.unit, column.unit)
        table[column.name] = TableColumn(
            _values(column, measured.get(column.name), n), unit=_unit(unit), description=column.description
        )
    return table


def _values(column: Column, values: NDArray[np.generic] | None, n: int) -> NDArray[np.generic]:
    """The column's array in its type; a type like ``(4,)f8`` has so many numbers in a row."""
    if values is not None:
        return np.asarray(values).astype(np.dtype(column.dtype).base)
    empty = np.zeros(n, column.dtype)
    if empty.dtype.kind == "f":
        empty.fill(np.nan)
    return empty


def _unit(name: str) -> units.UnitBase | None:
    """Astropy's unit of a name, or the name as an unrecognised unit."""
    return units.Unit(name, parse_strict="silent") if name else None
