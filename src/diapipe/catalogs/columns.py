"""Columns of a user's table by any of the names they go under, in the unit wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table

from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

LISTED = 20
"""Columns that a message lists at the most."""


@dataclass(frozen=True, slots=True)
class ColumnReader:
    """Takes columns out of a table.

    Attributes
    ----------
    table
        Any astropy table; masked entries count as unknown. The slots of an afw table, as its ``ALIAS`` cards name them,
        and the flags that it packs into one column, as its ``TFLAG`` cards do, count as columns.
    name
        What messages call it.
    """

    table: Table
    name: str

    def name_of(self, aliases: Sequence[str]) -> str | None:
        """The table's own name of the first of these columns that it has; None if it has none.

        Capitals count only where two columns differ in nothing else: RA is ra in a table without ra.
        """
        named = [self._own_name(alias) for alias in aliases]
        exact = next((name for name in named if name in self.table.colnames), None)
        if exact is not None:
            return exact
        lower = {name.lower(): name for name in reversed(self.table.colnames)}
        return next((lower[name.lower()] for name in named if name.lower() in lower), None)

    def _own_name(self, name: str) -> str:
        """What the table calls a column of one of its slots."""
        slot = next((slot for slot in self.slots if name.startswith(f"{slot}_")), None)
        return name if slot is None else self.slots[slot] + name.removeprefix(slot)

    @property
    def slots(self) -> dict[str, str]:
        """Prefix of the table's columns for each slot of an afw table (``slot_Centroid``: ``base_SdssCentroid``)."""
        cards = self.table.meta.get("ALIAS", ())
        pairs = (str(card).split(":") for card in ([cards] if isinstance(cards, str) else cards))
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}

    @property
    def packed(self) -> dict[str, BoolArray]:
        """The flags that an afw table packs into one column, by name."""
        if "flags" not in self.table.colnames or np.ndim(self.table["flags"]) != 2:
            return {}
        bits = np.asarray(self.table["flags"], dtype=bool).T
        return {str(self.table.meta.get(f"TFLAG{n}", "")): bit.copy() for n, bit in enumerate(bits, 1)}

    def numbers(self, aliases: Sequence[str], *, unit: str = "", bare_unit: str = "") -> FloatArray:
        """The first column found among ``aliases``, float64, NaN where masked.

        Parameters
        ----------
        aliases
            Names, the preferred one first.
        unit
            Unit wanted; "" takes the numbers as they are.
        bare_unit
            Unit of a column that says none; "" for the one wanted.

        Raises
        ------
        InputError
            If the table has none of the columns, or one whose entries are no numbers in that unit.
        """
        found = self.name_of(aliases)
        if found is None:
            others = f" (or {', '.join(aliases[1:])})" if len(aliases) > 1 else ""
            raise InputError(
                f"{self.name} has no column {aliases[0]}{others}; it has {self._listed()}", missing=aliases
            )
        values = self._plain(found)
        return values * self._factor(found, unit, bare_unit) if unit else values

    def numbers_or(self, aliases: Sequence[str], default: float, *, unit: str = "", bare_unit: str = "") -> FloatArray:
        """The same, or ``default`` everywhere where the table has no such column."""
        if self.name_of(aliases) is None:
            return np.full(len(self.table), default)
        return self.numbers(aliases, unit=unit, bare_unit=bare_unit)

    def truths_or(self, aliases: Sequence[str], default: bool) -> BoolArray:
        """The first column found, as truth values; ``default`` where masked or missing."""
        found = self.name_of(aliases)
        if found is None:
            packed = self.packed
            return next((packed[name] for name in aliases if name in packed), np.full(len(self.table), default))
        return np.asarray(np.ma.filled(np.ma.asarray(self.table[found]).astype(bool), default))

    def identifiers(self, aliases: Sequence[str]) -> IntArray:
        """Whole numbers; 1, 2, 3, ... where the table has no such column."""
        found = self.name_of(aliases)
        if found is None:
            return np.arange(1, len(self.table) + 1, dtype=np.int64)
        return np.asarray(np.ma.filled(self.table[found], 0), dtype=np.int64)

    def _listed(self) -> str:
        """The columns that there are; of many the first ones."""
        names = self.table.colnames
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        return (", ".join(names[:LISTED]) or "none") + more

    def _plain(self, name: str) -> FloatArray:
        """Entries as float64 without their unit."""
        column: Any = self.table[name]
        try:
            return np.ma.filled(np.ma.asarray(getattr(column, "value", column)).astype(np.float64), np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"the column {name} of {self.name} holds no number {_first_word(column)}") from error

    def _factor(self, name: str, wanted: str, bare: str) -> float:
        """By what to multiply the numbers to have them in the unit wanted."""
        unit = self.table[name].unit or units.Unit(bare or wanted)
        try:
            return float(units.Unit(unit).to(wanted))
        except (units.UnitConversionError, ValueError, TypeError) as error:
            raise InputError(f"the column {name} of {self.name} is in {unit}; {wanted} is needed") from error


def _first_word(column: Any) -> str:
    """Where the first entry that is no number is, and what it is."""
    for row, entry in enumerate(column, 1):
        try:
            float(entry)
        except (TypeError, ValueError):
            return f"in row {row} but {str(entry)!r}"
    return "in each row but several"


def refuse_rows(bad: BoolArray, what: str) -> None:
    """Refuse a table of which some rows are of no use.

    Parameters
    ----------
    bad
        Those rows.
    what
        Which table, and what is wrong: "NAME has no position in".

    Raises
    ------
    InputError
        The message counts the rows and names the first.
    """
    if bad.any():
        first = int(np.argmax(bad)) + 1
        raise InputError(f"{what} {int(bad.sum())} of its {len(bad)} rows, the first of them row {first}")
