"""Formats of single tables: CSV and VOTable; several tables become a folder of files."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, TimeSys
from astropy.table import Table

from diapipe.io.exports.base import AbstractExport, SurveyTables

UCDS = {
    "diaObjectId": "meta.id",
    "diaSourceId": "meta.id",
    "diaForcedSourceId": "meta.id",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "raErr": "stat.error;pos.eq.ra",
    "decErr": "stat.error;pos.eq.dec",
    "midpointMjdTai": "time.epoch",
    "psfFlux": "phot.flux;arith.diff",
    "psfFluxErr": "stat.error;phot.flux",
    "band": "instr.bandpass",
}
"""What columns mean, in the words of the Virtual Observatory."""

TAI = {"ID": "tai", "timeorigin": 2400000.5, "timescale": "TAI", "refposition": "TOPOCENTER"}
"""Modified Julian Dates at the telescope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EachTable(AbstractExport):
    """Each table in a file of its own."""

    suffix: ClassVar[str]

    def is_folder(self, tables: SurveyTables) -> bool:
        """Several tables are."""
        return len(tables.named()) > 1

    def write(self, tables: SurveyTables, place: Path) -> None:
        """Write one file, or one for each table by the name of its dataset."""
        named = tables.named()
        for name, table in named.items():
            self.write_one(table, place / f"{name}{self.suffix}" if len(named) > 1 else place)

    @abstractmethod
    def write_one(self, table: Table, path: Path) -> None:
        """Write one table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv(EachTable):
    """Comma-separated values with a line of names; what is missing is empty. Units are those of the documentation."""

    suffix: ClassVar[str] = ".csv"

    def write_one(self, table: Table, path: Path) -> None:
        """Write a CSV file; numbers as short as they can be without losing a bit."""
        plain = Table(table, masked=True, copy=True)
        for name in plain.colnames:
            if plain[name].dtype.kind == "f":
                plain[name].mask |= np.isnan(np.asarray(plain[name]))
        plain.write(path, format="ascii.csv", fill_values=[("--", "")])


@dataclass(frozen=True, slots=True, kw_only=True)
class VoTable(EachTable):
    """VOTable 1.4 with units, descriptions, UCDs, and the systems of coordinates and time."""

    suffix: ClassVar[str] = ".vot"

    def write_one(self, table: Table, path: Path) -> None:
        """Write a VOTable, its numbers in binary."""
        document = from_table(table)
        document.version = "1.4"  # the first that knows systems of time
        resource = document.resources[0]
        resource.coordinate_systems.append(CooSys(ID="icrs", system="ICRS", epoch="J2000"))
        resource.time_systems.append(TimeSys(**TAI, config={"version_1_4_or_later": True}))
        for field in resource.tables[0].fields:
            field.ucd = UCDS.get(field.name)
            if field.name in ("ra", "dec"):
                field.ref = "icrs"
            elif field.name.endswith("MjdTai"):
                field.ref = "tai"
        document.to_xml(str(path), tabledata_format="binary2")
