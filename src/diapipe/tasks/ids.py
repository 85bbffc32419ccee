"""IdFactory: identifiers for the sources of one exposure, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.ids import MAX_SOURCES, dia_source_ids
from diapipe.errors import UsageError
from diapipe.images import Exposure
from diapipe.numerics.arrays import IntArray


class IdFactory:
    """Gives 64-bit identifiers that hold visit, detector and a running number; each call gives the next.

    Parameters
    ----------
    visit, detector
        What they are to hold.

    Raises
    ------
    InputError
        If they do not fit.
    """

    def __init__(self, *, visit: int, detector: int) -> None:
        self._all = dia_source_ids(visit=visit, detector=detector, n=MAX_SOURCES - 1)
        self._given = 0

    @classmethod
    def of(cls, exposure: Exposure) -> IdFactory:
        """The factory for the sources of an exposure."""
        return cls(visit=exposure.info.visit, detector=exposure.info.detector)

    def __call__(self) -> int:
        """The next identifier."""
        if self._given == len(self._all):
            raise UsageError(f"an exposure has identifiers for {len(self._all)} sources; all are given away")
        self._given += 1
        return int(self._all[self._given - 1])


def renumbered(table: Table, factory: Any) -> None:
    """Give the rows of a table the next identifiers; rows that name another name it anew, 0 where it is gone.

    Parameters
    ----------
    table
        DIA sources, ``diaSourceId`` unique; changed in place.
    factory
        As for `identifiers`.
    """
    old, new = np.asarray(table["diaSourceId"]).copy(), identifiers(factory, len(table))
    table["diaSourceId"] = new
    order = np.argsort(old)
    for row in np.flatnonzero(np.asarray(table["parentDiaSourceId"])):
        parent = table["parentDiaSourceId"][row]
        at = order[min(np.searchsorted(old, parent, sorter=order), len(old) - 1)]
        table["parentDiaSourceId"][row] = new[at] if old[at] == parent else 0


def identifiers(factory: Any, n: int) -> IntArray:
    """The next ``n`` identifiers of a factory: any function without arguments that gives whole numbers.

    Raises
    ------
    UsageError
        If it gives one twice.
    """
    given = np.array([int(factory()) for _ in range(n)], dtype=np.int64)
    if len(np.unique(given)) != n:
        raise UsageError(f"idFactory gave {n - len(np.unique(given))} of {n} identifiers twice")
    return given
