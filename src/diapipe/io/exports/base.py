"""What is exported, and what an export is: one method that writes tables where they are wanted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from astropy import units
from astropy.table import Table

from diapipe.catalogs.dia_objects import need_columns, need_unique
from diapipe.catalogs.light_curve import FORCED_SOURCES, NEEDED, LightCurve, light_curves
from diapipe.catalogs.tables import stacked
from diapipe.errors import InputError
from diapipe.steps.limits import Limited

DIA_OBJECT, DIA_SOURCE, FORCED_SOURCE = "dia_object", "dia_source", "dia_object_forced_source"
KEYS = {DIA_OBJECT: "diaObjectId", DIA_SOURCE: "diaSourceId", FORCED_SOURCE: "diaForcedSourceId"}
"""Tables, and the column that tells their rows apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyTables:
    """The tables of a survey, or a part of it; any may be missing.

    Attributes
    ----------
    dia_objects, dia_sources, forced_sources
        By Rubin's columns.
    """

    dia_objects: Table | None = None
    dia_sources: Table | None = None
    forced_sources: Table | None = None

    @classmethod
    def of(cls, tables: Iterable[tuple[str, Table]]) -> SurveyTables:
        """Tables by what is in them; several of one kind, as the patches of a survey, become one.

        Parameters
        ----------
        tables
            Name for messages, and table.

        Raises
        ------
        InputError
            If a table is of no such kind, or two of one kind share a row or differ in their units.
        """
        found: dict[str, list[Table]] = {kind: [] for kind in KEYS}
        for name, table in tables:
            found[kind_of(table, name=name)].append(table)
        objects, sources, forced = (_together(found[kind], key) for kind, key in KEYS.items())
        return cls(dia_objects=objects, dia_sources=sources, forced_sources=forced)

    def only(self, names: Collection[str] = (), object_ids: Collection[int] = ()) -> SurveyTables:
        """The tables of these names, and in them the rows of these objects; of all where none are given.

        Raises
        ------
        InputError
            If there is no table of a name, or no row of an object.
        """
        named = self.named()
        absent = set(names) - named.keys()
        if absent:
            raise InputError(f"there is no table {', '.join(sorted(absent))}; there are {', '.join(named) or 'none'}")
        chosen = {name: table for name, table in named.items() if not names or name in names}
        if object_ids:
            wanted = np.fromiter(object_ids, np.int64)
            for name, table in chosen.items():
                need_columns(table, ("diaObjectId",), name=f"the table {name}")
            known = [np.asarray(table["diaObjectId"]) for table in chosen.values()]
            unknown = np.setdiff1d(wanted, np.concatenate([*known, np.zeros(0, np.int64)]))
            if len(unknown):
                raise InputError(f"the tables have no diaObjectId {', '.join(map(str, unknown))}", ids=unknown.tolist())
            chosen = {name: table[np.isin(table["diaObjectId"], wanted)] for name, table in chosen.items()}
        return SurveyTables(
            dia_objects=chosen.get(DIA_OBJECT),
            dia_sources=chosen.get(DIA_SOURCE),
            forced_sources=chosen.get(FORCED_SOURCE),
        )

    def named(self) -> dict[str, Table]:
        """Those at hand by the names of their datasets."""
        every = {DIA_OBJECT: self.dia_objects, DIA_SOURCE: self.dia_sources, FORCED_SOURCE: self.forced_sources}
        return {name: table for name, table in every.items() if table is not None}


def kind_of(table: Table, *, name: str) -> str:
    """Which of the tables this is.

    Raises
    ------
    InputError
        If it is none of them.
    """
    has = set(table.colnames)
    if "diaSourceId" in has:
        return DIA_SOURCE
    if {"diaObjectId", "psfFlux", "midpointMjdTai"} <= has:
        return FORCED_SOURCE
    if {"diaObjectId", "ra", "dec"} <= has:
        return DIA_OBJECT
    raise InputError(
        f"{name} is no table of DIA objects, DIA sources or forced sources: it has {', '.join(table.colnames[:20])}"
    )


def _together(tables: list[Table], key: str) -> Table | None:
    """One table of all; columns that some lack are missing there."""
    if not tables:
        return None
    whole = stacked(tables, name="what was given")
    if key in whole.colnames:
        ids = np.asarray(whole[key])
        need_unique(ids[ids != 0], name="what was given", column=key)  # 0 is none
    return whole


class AbstractExport(Limited, ABC):
    """A format that tables are written in."""

    __slots__ = ()

    needs: ClassVar[tuple[str, ...]] = ()
    """Tables that it cannot do without, by the names of their datasets."""

    @abstractmethod
    def is_folder(self, tables: SurveyTables) -> bool:
        """Whether these tables become a folder, not a file."""

    @abstractmethod
    def write(self, tables: SurveyTables, place: Path) -> None:
        """Write to a file that is not there, or into a folder that is empty."""


def curves_in_njy(tables: SurveyTables) -> Iterator[LightCurve]:
    """Light curves of what was measured in a band and may be trusted, in nJy; objects with nothing of it are left out.

    Raises
    ------
    InputError
        If a column is missing, or the fluxes are in a unit that is not one of flux density.
    """
    forced = tables.forced_sources
    assert forced is not None
    need_columns(forced, NEEDED, name=FORCED_SOURCES)
    unit = forced["psfFlux"].unit
    try:
        units.Unit(unit or "").to(units.nJy)
    except (units.UnitConversionError, TypeError) as error:
        raise InputError(
            f"the fluxes are in {unit or 'no unit'}; this format needs calibrated ones, in nJy", unit=str(unit)
        ) from error
    calibrated = Table(forced, copy=False)
    for name in ("psfFlux", "psfFluxErr"):
        column = np.ma.asarray(forced[name]).astype(np.float64)
        calibrated[name] = np.ma.filled(column, np.nan) * units.Unit(unit).to(units.nJy)
    for curve in light_curves(calibrated):
        measured = curve.where(curve.is_measured & (curve.band != ""))
        if len(measured):
            yield measured


def object_places(tables: SurveyTables) -> dict[int, tuple[float, float]]:
    """Right ascension and declination of each object, where there is a table of objects."""
    objects = tables.dia_objects
    if objects is None:
        return {}
    places = zip(objects["diaObjectId"], objects["ra"], objects["dec"], strict=True)
    return {int(key): (float(ra), float(dec)) for key, ra, dec in places}
