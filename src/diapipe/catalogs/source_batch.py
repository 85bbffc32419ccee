"""SourceBatch: where the sources of one image lie, which is all that association asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from astropy.table import Table

from diapipe.catalogs.columns import ColumnReader
from diapipe.errors import InputError
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.sphere import unit_vectors


@dataclass(frozen=True, slots=True, eq=False)
class SourceBatch:
    """Sources of one visit and detector.

    Attributes
    ----------
    ids
        Identifiers, shape (n,).
    ra, dec
        ICRS, degrees; NaN where there is no position.
    ra_err, dec_err
        Errors of ``ra`` times cos(dec) and of ``dec``, degrees; NaN where they are not known.

    Raises
    ------
    InputError
        If the arrays differ in length.
    """

    ids: IntArray
    ra: FloatArray
    dec: FloatArray
    ra_err: FloatArray
    dec_err: FloatArray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.__slots__}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{n} {name}" for name, n in lengths.items())
            raise InputError(f"the columns of a batch of sources must be of one length, not {found}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unit_vectors(self) -> FloatArray:
        """Directions, shape (n, 3)."""
        return unit_vectors(self.ra, self.dec)

    def __getitem__(self, rows: slice | IntArray) -> Self:
        """The chosen sources."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))

    @classmethod
    def of_all(cls, batches: Sequence[SourceBatch]) -> Self:
        """One batch of the sources of all; a single one without sources where there are none."""
        columns = ([getattr(batch, name) for batch in batches] for name in cls.__slots__)
        return cls(
            *(np.concatenate([np.empty(0, np.int64 if k == 0 else float), *column]) for k, column in enumerate(columns))
        )

    @classmethod
    def from_table(cls, table: Table, *, name: str = "the table of DIA sources") -> Self:
        """The rows of a DIA source table, which are of one image.

        Parameters
        ----------
        table
            With ``diaSourceId``, ``ra`` and ``dec``; ``raErr`` and ``decErr`` may be missing. Numbers without a unit
            are degrees.
        name
            What messages call the table.

        Raises
        ------
        InputError
            If a column is missing, or is not in an angular unit.
        """
        reader = ColumnReader(table, name)
        if reader.name_of(("diaSourceId", "id")) is None:
            raise InputError(f"{name} has no column diaSourceId; without it no source can be told from another")
        return cls(
            reader.identifiers(("diaSourceId", "id")),
            reader.numbers(("ra", "coord_ra"), unit="deg"),
            reader.numbers(("dec", "coord_dec"), unit="deg"),
            reader.numbers_or(("raErr", "coord_raErr"), np.nan, unit="deg"),
            reader.numbers_or(("decErr", "coord_decErr"), np.nan, unit="deg"),
        )

    @classmethod
    def of_each_image(cls, table: Table, *, name: str = "the table of DIA sources") -> Iterator[Self]:
        """The images of a table of many, in order of time, visit and detector: how association wants to see them.

        Parameters
        ----------
        table
            As in `from_table`, with ``visit``, ``detector`` and ``midpointMjdTai`` too.
        name
            What messages call the table.

        Raises
        ------
        InputError
            If a column is missing.
        """
        reader = ColumnReader(table, name)
        time, _, _ = (reader.numbers((column,)) for column in ("midpointMjdTai", "visit", "detector"))
        visit, detector = (reader.identifiers((column,)) for column in ("visit", "detector"))
        every, order = cls.from_table(table, name=name), np.lexsort((detector, visit, time))
        changes = np.flatnonzero(np.diff(visit[order]) | np.diff(detector[order])) + 1
        for rows in np.split(order, changes) if len(order) else ():
            yield every[rows]
