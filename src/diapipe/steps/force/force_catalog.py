"""force_catalog: the sources of a table measured on an image, beside what the table says of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from astropy.table import Column as TableColumn
from astropy.table import Table

from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.tables import table_of
from diapipe.errors import UsageError
from diapipe.images import Exposure
from diapipe.images.calibrated import flux_unit
from diapipe.steps.force.columns import forced_schema
from diapipe.steps.force.force import force_at
from diapipe.steps.force.options import Force

_DEFAULT = Force()


def force_catalog(
    catalog: Table,
    exposure: Exposure | None,
    *,
    copied: Mapping[str, str],
    same: Mapping[str, object] = MappingProxyType({}),
    options: Force = _DEFAULT,
    name: str = "the catalogue",
    n_threads: int = 1,
) -> Table:
    """Fluxes at the places of a table's sources; none is dropped.

    Parameters
    ----------
    catalog
        With ``ra`` and ``dec`` (ICRS, degrees), and the columns to copy.
    exposure
        With a WCS and a PSF; None will do for a catalogue without rows.
    copied
        Columns to copy, and what each is called in the result.
    same
        Further columns: an array, or what all rows have in common.
    options, n_threads
        As for `force_at`.
    name
        What messages call the table.

    Returns
    -------
    Table
        The columns copied, the further ones, those of `forced_schema`; rows in the order of ``catalog``.

    Raises
    ------
    InputError
        If a column is missing, or the exposure has no WCS.
    PsfUndefinedError
        If it has no PSF.
    UsageError
        If two columns of the result would have one name.
    """
    need_columns(catalog, ("ra", "dec", *copied), name=name)
    schema = forced_schema(options)
    _refuse_twice([*copied.values(), *same], {column.name for column in schema})
    n, measured, unit = len(catalog), {}, "nJy"
    if exposure is not None:
        ra, dec = (np.asarray(catalog[column], np.float64) for column in ("ra", "dec"))
        found = force_at(exposure, ra=ra, dec=dec, options=options, n_threads=n_threads)
        measured, unit = {column.name: found[column.name] for column in schema}, flux_unit(exposure)
    own = [TableColumn(catalog[old], name=new) for old, new in copied.items()]
    own += [TableColumn(np.broadcast_to(np.asarray(values), n), name=new) for new, values in same.items()]
    return Table([*own, *table_of(schema, measured, n=n, flux_unit=unit).itercols()])


def _refuse_twice(given: list[str], measured: set[str]) -> None:
    """Refuse columns of one name."""
    twice = sorted({new for new in given if new in measured or given.count(new) > 1})
    if twice:
        raise UsageError(f"two columns would be called {', '.join(twice)}; columns that are copied need other names")
