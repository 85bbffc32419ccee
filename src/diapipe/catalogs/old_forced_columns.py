"""Tables of sources and of forced fluxes by the column names of afw tables, which ``dia_pipe`` wrote, and back."""

from __future__ import annotations

import re

import numpy as np
from astropy import units
from astropy.table import Column, Table

_OLD = {
    "objectId": "id",
    "parentObjectId": "parent",
    "ra": "coord_ra",
    "dec": "coord_dec",
    "x": "base_DiaTransformedCentroid_x",
    "y": "base_DiaTransformedCentroid_y",
}
_PLUGINS = {"psfFlux": "base_PsfFlux", "localBackground": "base_LocalBackground"}
_PREFIXES = ("template_", "diaSrc_")
"""Before the names of columns that were copied."""


def older_name(name: str) -> str:
    """What an afw table calls a column: ``ap03FluxErr`` is ``base_CircularApertureFlux_3_0_instFluxErr``."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return prefix + older_name(name.removeprefix(prefix))
    if name.startswith("pixelFlags_"):
        return "base_PixelFlags_flag_" + name.removeprefix("pixelFlags_").replace("saturated_template", "sat_template")
    circle = re.fullmatch(r"ap(\d+)(?:p(\d+))?Flux(.*)", name)
    if circle:
        return _of_plugin(f"base_CircularApertureFlux_{int(circle[1])}_{circle[2] or 0}", circle[3])
    for ours, plugin in _PLUGINS.items():
        if name.startswith(ours):
            return _of_plugin(plugin, name.removeprefix(ours))
    return _OLD.get(name, name)


def newer_name(name: str) -> str:
    """What we call a column of an afw table; a name that is none of theirs stays as it is."""
    circle = re.fullmatch(r"base_CircularApertureFlux_(\d+)_(\d+)_(.*)", name)
    if circle:
        radius = f"{float(f'{circle[1]}.{circle[2]}'):02g}".replace(".", "p")
        return f"ap{radius}Flux{_ending(circle[3])}"
    for ours, plugin in _PLUGINS.items():
        if name.startswith(f"{plugin}_"):
            return ours + _ending(name.removeprefix(f"{plugin}_"))
    if name.startswith("base_PixelFlags_flag_"):
        return "pixelFlags_" + name.removeprefix("base_PixelFlags_flag_").replace("sat_template", "saturated_template")
    return next((ours for ours, old in _OLD.items() if old == name), name)


def in_older_names(table: Table, *, ids: dict[str, str]) -> Table:
    """The table under the names of afw, sky positions in radians; fluxes stay in their unit, which they say.

    Parameters
    ----------
    table
        Of forced fluxes; it stays as it is.
    ids
        Columns that had names of their own.
    """
    old = {name: ids.get(name, older_name(name)) for name in table.colnames}
    columns = [_angle(table[name], "rad") if name in ("ra", "dec") else table[name] for name in old]
    return Table(columns, names=list(old.values()), meta=table.meta, copy=False)


def in_newer_names(table: Table) -> Table:
    """A table with the names of afw under ours, sky positions in degrees; one with ours as it is."""
    if "coord_ra" not in table.colnames or "ra" in table.colnames:
        return table
    new = {name: newer_name(name) for name in table.colnames}
    columns = [_angle(table[name], "deg") if new[name] in ("ra", "dec") else table[name] for name in new]
    return Table(columns, names=list(new.values()), meta=table.meta, copy=False)


def _of_plugin(plugin: str, ending: str) -> str:
    """Column of a flux: its value, its error, or a flag."""
    return f"{plugin}{ending}" if ending.startswith("_") else f"{plugin}_instFlux{ending}"


def _ending(of_plugin: str) -> str:
    """What stands behind the name of a flux in our spelling."""
    return of_plugin.removeprefix("instFlux") if of_plugin.startswith("instFlux") else f"_{of_plugin}"


def _angle(column: Column, unit: str) -> Column:
    """Angles in a unit; those that do not say theirs are in radians where they are called ``coord_``."""
    bare = units.rad if column.name.startswith("coord_") else units.deg
    given = column.unit or bare
    return Column(np.asarray(column, np.float64) * given.to(unit), name=column.name, unit=unit)
