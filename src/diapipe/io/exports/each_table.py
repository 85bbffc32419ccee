"""Formats of single tables: several tables become a folder of files."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
from astropy.table import Column, MaskedColumn, Table

from diapipe.io.exports.base import AbstractExport, SurveyTables
from diapipe.io.tables import arrow_array


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
        arrays = [arrow_array(_missing_masked(table[name])) for name in table.colnames]
        pyarrow.csv.write_csv(pa.Table.from_arrays(arrays, names=table.colnames), path)


def _missing_masked(column: Column) -> Column:
    """The column with NaN as missing."""
    if column.dtype.kind != "f":
        return column
    values = np.asarray(column)
    mask = np.isnan(values) | (column.mask if isinstance(column, MaskedColumn) else False)
    return MaskedColumn(values, mask=mask)
