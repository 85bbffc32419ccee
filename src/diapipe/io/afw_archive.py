"""The archive of persisted objects in LSST afw files, read without the LSST stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import FitsFile


@dataclass(frozen=True, slots=True)
class Persisted:
    """An object of the archive: the name of its class, and its rows, one table per catalogue of its layout."""

    kind: str
    catalogs: tuple[fits.FITS_rec, ...]

    def row(self, catalog: int = 0) -> fits.FITS_record:
        """First row of a catalogue."""
        return self.catalogs[catalog][0]


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive of a file: ARCHIVE_INDEX says in which table after it, and in which rows, each object lies."""

    file: FitsFile
    index_hdu: int

    @classmethod
    def of(cls, file: FitsFile) -> Archive | None:
        """The archive of a file, from the 1-based card AR_HDU of its primary header; None if it has none."""
        number = file.header(0).get("AR_HDU")
        return None if number is None else cls(file, int(number) - 1)

    def get(self, identifier: int) -> Persisted | None:
        """The object with this number; None for 0 (no object) and for a number that the archive does not have."""
        index = self.file.table(self.index_hdu)
        rows = index[index["id"] == identifier] if identifier else index[:0]
        if len(rows) == 0:
            return None
        tables = []
        for entry in rows[np.argsort(rows["cat.persistable"], kind="stable")]:
            table = self.file.table(self.index_hdu + int(entry["cat.archive"]))
            first = int(entry["row0"])
            tables.append(table[first : first + int(entry["nrows"])])
        return Persisted(str(rows["name"][0]).strip(), tuple(tables))

    def component(self, *names: str) -> Persisted | None:
        """The object that a card ``<NAME>_ID`` of the primary header points to."""
        header = self.file.header(0)
        for name in names:
            number = header.get(f"{name}_ID")
            if number is not None:
                return self.get(int(number))
        return None


def column(row: fits.FITS_record, *names: str) -> Any:
    """Value of the first column that exists: versions differ in ``a_b`` and ``a.b``.

    Raises
    ------
    ReadError
        If none exists.
    """
    known: Sequence[str] = row.array.columns.names
    for name in names:
        for spelling in (name, name.replace("_", ".")):
            if spelling in known:
                return row[spelling]
    raise ReadError(f"an object of the archive has no column {names[0]!r}; it has {', '.join(known)}")
