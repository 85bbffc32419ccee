"""DS9 regions: a circle about each object or source, with its identifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.catalogs.dia_objects import need_columns
from diapipe.errors import InputError
from diapipe.io.exports.base import AbstractExport, SurveyTables

HEADER = (
    "# Region file format: DS9 version 4.1",
    'global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 highlite=1 dash=0 fixed=0 '
    "edit=1 move=1 delete=1 include=1 source=1",
    "icrs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ds9(AbstractExport):
    """One region file: objects are green, sources cyan, negative ones red, those marked bad dashed.

    Attributes
    ----------
    radius_arcsec
        Of the circles of objects; those of sources are half as large.
    """

    radius_arcsec: float = 2.0

    def is_folder(self, tables: SurveyTables) -> bool:
        """Never."""
        return False

    def write(self, tables: SurveyTables, place: Path) -> None:
        """Write the region file; rows without a position have no region.

        Raises
        ------
        InputError
            If there are neither objects nor sources.
        """
        if tables.dia_objects is None and tables.dia_sources is None:
            raise InputError("regions are drawn about DIA objects or DIA sources, and neither table was given")
        lines = [*HEADER]
        if tables.dia_objects is not None:
            lines += _circles(tables.dia_objects, "diaObjectId", self.radius_arcsec, None)
        if tables.dia_sources is not None:
            lines += _circles(tables.dia_sources, "diaSourceId", 0.5 * self.radius_arcsec, "cyan")
        place.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _circles(table: Table, key: str, radius: float, colour: str | None) -> Iterator[str]:
    """A line for each row that has a position."""
    need_columns(table, (key, "ra", "dec"), name=f"the table of {key}")
    negative, bad = (
        np.asarray(table[name]) if name in table.colnames else np.zeros(len(table), np.bool_)
        for name in ("isNegative", "dp_bad")
    )
    for row, is_negative, is_bad in zip(table[key, "ra", "dec"], negative, bad, strict=True):
        if not (np.isfinite(row["ra"]) and np.isfinite(row["dec"])):
            continue
        own = "red" if is_negative else colour
        marks = (f" color={own}" if own else "") + (" dash=1" if is_bad else "")
        yield f'circle({row["ra"]:.8f},{row["dec"]:.8f},{radius:g}") #{marks} text={{{row[key]}}}'
