"""The archive of persisted objects in LSST afw files, read without the LSST stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import FitsFile


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of a table."""

    table: fits.FITS_rec
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """Values of a column, in either spelling: files differ in ``a_b`` and ``a.b``.

        Raises
        ------
        ReadError
            If there is no such column.
        """
        known = self.table.columns.names
        for spelling in (name, name.replace("_", ".")):
            if spelling in known:
                return np.asarray(self.table[spelling][self.first : self.first + self.count])
        raise ReadError(f"an object of the archive has no column {name!r}; it has {', '.join(known)}")

    def value(self, name: str, row: int = 0) -> Any:
        """One entry of a column."""
        return self.column(name)[row]

    def number(self, name: str, row: int = 0) -> int:
        """One entry of a column as an integer: most often the identifier of another object."""
        return int(self.value(name, row))


@dataclass(frozen=True, slots=True)
class Persisted:
    """An object of the archive: the name of its class, and its rows, one group per catalogue of its layout."""

    kind: str
    catalogs: tuple[Rows, ...]

    @property
    def main(self) -> Rows:
        """Rows of the first catalogue: for most classes one row that is all."""
        return self.catalogs[0]


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive of a file: ARCHIVE_INDEX says in which table after it, and in which rows, each object lies."""

    file: FitsFile
    index_hdu: int
    index: dict[int, list[tuple[int, int, int, int, str]]]

    @classmethod
    def of(cls, file: FitsFile) -> Archive | None:
        """The archive of a file, from the 1-based card AR_HDU of its primary header; None if it has none."""
        number = file.header(0).get("AR_HDU")
        if number is None:
            return None
        table = file.table(int(number) - 1)
        names = ("id", "cat.persistable", "cat.archive", "row0", "nrows")
        index: dict[int, list[tuple[int, int, int, int, str]]] = {}
        for identifier, *place, kind in zip(*(table[name].tolist() for name in names), table["name"], strict=True):
            index.setdefault(identifier, []).append((*place, str(kind).strip()))
        return cls(file, int(number) - 1, index)

    def get(self, identifier: int) -> Persisted | None:
        """The object with this number; None for 0 (no object) and for a number that the archive does not have."""
        entries = sorted(self.index.get(identifier, [])) if identifier else []
        if not entries:
            return None
        groups = (Rows(self.file.table(self.index_hdu + where), row0, n) for _, where, row0, n, _ in entries)
        return Persisted(entries[0][-1], tuple(groups))

    def component(self, name: str) -> Persisted | None:
        """The object that the card ``<NAME>_ID`` of the primary header points to."""
        number = self.file.header(0).get(f"{name}_ID")
        return None if number is None else self.get(int(number))
