"""SimpleAssociator: the nearest object, closest pairs first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import IntArray
from diapipe.steps.associate.candidates import PlacedSources
from diapipe.steps.associate.running import RunningObjects
from diapipe.steps.associate.sequential import SequentialAssociator


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleAssociator(SequentialAssociator):
    """Join each source to the nearest object within the tolerance (the ``simple`` association of dia_pipe).

    One to one within an image: of two sources the closer one has the object, and the other its next nearest or one of
    its own.
    """

    def assign(self, sources: PlacedSources, objects: RunningObjects) -> IntArray:
        """The closest pairs first; of equal ones those of smaller identifiers."""
        pairs = objects.near(sources)
        order = np.lexsort((objects.ids[pairs.found], sources.ids[pairs.source], pairs.distance))
        index = np.full(len(sources), -1, np.int64)
        taken = set[int]()
        for s, p in zip(pairs.source[order].tolist(), pairs.found[order].tolist(), strict=True):
            if index[s] < 0 and p not in taken:
                index[s] = p
                taken.add(p)
        return index
