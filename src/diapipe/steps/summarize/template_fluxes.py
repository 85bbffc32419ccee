"""The flux that a template has at each object, beside what differences have more than it: together the whole flux."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.dia_objects import bands_of_objects, need_columns, need_unique, with_object_columns
from diapipe.catalogs.tables import stacked
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, IntArray

_COLUMNS = {
    "psfFlux": "dp_templateFlux",
    "psfFluxErr": "dp_templateFluxErr",
    "psfFlux_flag": "dp_templateFlux_flag",
    "psfFlux_flag_edge": "dp_templateFlux_flag_edge",
    "psfFlux_flag_noGoodPixels": "dp_templateFlux_flag_noGoodPixels",
}
"""Columns of forced photometry on a template, and what a table of forced sources calls them."""

_NAME = "forced photometry on the template"


def with_template_fluxes(forced_sources: Table, on_templates: Sequence[Table]) -> Table:
    """The same forced sources with the flux of the template at their object in their band.

    Parameters
    ----------
    forced_sources
        With ``diaObjectId`` and ``band``.
    on_templates
        Forced photometry at the objects on templates, as ``dia_object_forced_template`` has it. What none of them holds
        stays as it is: missing, and flagged.

    Raises
    ------
    InputError
        If a column is missing, an object is measured twice in a band, or the units differ.
    """
    if not on_templates:
        return forced_sources
    measured = _measured(on_templates)
    _refuse_other_unit(measured, forced_sources)
    filled, bands = forced_sources.copy(), np.asarray(forced_sources["band"])
    for band in np.unique(bands):
        row, known = _rows_of(np.asarray(forced_sources["diaObjectId"]), measured, str(band))
        known &= bands == band
        for theirs, ours in _COLUMNS.items():
            filled[ours][known] = np.asarray(measured[theirs])[row[known]]
    return filled


def objects_with_template_fluxes(dia_objects: Table, on_templates: Sequence[Table]) -> Table:
    """The same objects with ``dp_{band}_templateFlux`` and its error; NaN where it is missing or flagged.

    Raises
    ------
    InputError
        As `with_template_fluxes`.
    """
    if not on_templates:
        return dia_objects
    measured, columns = _measured(on_templates), dict[str, NDArray[np.float64]]()
    for band in bands_of_objects(dia_objects):
        row, known = _rows_of(np.asarray(dia_objects["diaObjectId"]), measured, band)
        for theirs, ours in (("psfFlux", "templateFlux"), ("psfFluxErr", "templateFluxErr")):
            values = np.full(len(dia_objects), np.nan)
            values[known] = np.where(measured["psfFlux_flag"], np.nan, measured[theirs])[row[known]]
            columns[f"dp_{band}_{ours}"] = values
    return with_object_columns(dia_objects, columns)


def _measured(on_templates: Sequence[Table]) -> Table:
    """All of them together."""
    for table in on_templates:
        need_columns(table, ("diaObjectId", "band", *_COLUMNS), name=_NAME)
    return stacked(on_templates, name=_NAME)


def _rows_of(ids: IntArray, measured: Table, band: str) -> tuple[IntArray, BoolArray]:
    """Row of each object in a band, and whether there is one."""
    rows = np.flatnonzero(np.asarray(measured["band"]) == band)
    rows = rows[np.argsort(np.asarray(measured["diaObjectId"])[rows])]
    theirs = np.asarray(measured["diaObjectId"])[rows]
    need_unique(theirs, name=f"{_NAME} in {band}", column="diaObjectId")
    if len(rows) == 0:
        return np.zeros(len(ids), np.int64), np.zeros(len(ids), np.bool_)
    at = np.minimum(np.searchsorted(theirs, ids), len(rows) - 1)
    return rows[at], theirs[at] == ids


def _refuse_other_unit(measured: Table, forced_sources: Table) -> None:
    """Refuse fluxes that cannot be added."""
    theirs, ours = (str(table["psfFlux"].unit or "no unit") for table in (measured, forced_sources))
    if len(measured) and len(forced_sources) and theirs != ours:
        raise InputError(
            f"fluxes on the template are in {theirs}, those on differences in {ours}; they cannot be added"
        )
