"""Association: which source belongs to which object, and where the objects are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPositions:
    """Where objects are, by what their sources tell.

    Attributes
    ----------
    ids
        Identifiers: of each the source that founded it. Shape (m,).
    ra, dec
        Weighted mean, ICRS, degrees.
    ra_err, dec_err
        Errors of ``ra`` times cos(dec) and of ``dec``, degrees.
    n_sources
        How many sources each has.
    """

    ids: IntArray
    ra: FloatArray
    dec: FloatArray
    ra_err: FloatArray
    dec_err: FloatArray
    n_sources: IntArray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls) -> Self:
        """No object."""
        nothing, nowhere = np.empty(0, np.int64), np.empty(0)
        return cls(nothing, nowhere, nowhere, nowhere, nowhere, nothing)


@dataclass(frozen=True, slots=True, eq=False)
class SetAside:
    """Sources that were not associated, and why.

    Attributes
    ----------
    ids
        Identifiers, shape (n,).
    reasons
        A clause for each, shape (n,).
    """

    ids: IntArray
    reasons: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> Self:
        """Nothing set aside."""
        return cls(np.empty(0, np.int64), np.empty(0, "U64"))


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """What association finds. Every source given is in ``source_ids`` or in ``set_aside``, none in both or twice.

    Attributes
    ----------
    source_ids
        Identifiers of the sources, those known before first; shape (n,).
    object_ids
        Identifier of the object of each, shape (n,).
    objects
        All objects, the known ones first, in the order in which they were founded.
    set_aside
        Of the sources given last, those without a position, and those that had been given before.
    """

    source_ids: IntArray
    object_ids: IntArray
    objects: ObjectPositions
    set_aside: SetAside

    @classmethod
    def empty(cls) -> Self:
        """No source, no object."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), ObjectPositions.empty(), SetAside.none())

    def objects_of(self, source_ids: IntArray) -> IntArray:
        """The object of each of these sources, 0 for one without; shape (n,)."""
        if len(self.source_ids) == 0:
            return np.zeros(len(source_ids), np.int64)
        order = np.argsort(self.source_ids, kind="stable")
        at = np.minimum(np.searchsorted(self.source_ids, source_ids, sorter=order), len(order) - 1)
        return np.where(self.source_ids[order[at]] == source_ids, self.object_ids[order[at]], 0)
