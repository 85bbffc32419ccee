"""What was associated before, read back from its sources."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.association import Association, ObjectPositions, SetAside
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.errors import InputError
from diapipe.numerics.arrays import IntArray
from diapipe.steps.associate.base import AbstractAssociator
from diapipe.steps.associate.candidates import PlacedSources
from diapipe.steps.associate.running import positions_with


def associated_before(sources: SourceBatch, object_ids: IntArray, *, algorithm: AbstractAssociator) -> Association:
    """Association to go on from, of sources whose objects are known.

    Parameters
    ----------
    sources
        All that were associated, in the order in which they were; rows without a position, or of object 0, are left
        out.
    object_ids
        The object of each, shape (n,).
    algorithm
        That which goes on: its floor and fallback of errors weigh the mean positions.

    Raises
    ------
    InputError
        If there is not one object for each source.
    """
    if len(sources) != len(object_ids):
        raise InputError(f"{len(sources)} sources need as many objects, not {len(object_ids)}")
    rows = np.flatnonzero((object_ids != 0) & np.isfinite(sources.ra) & np.isfinite(sources.dec))
    sources, object_ids = sources[rows], object_ids[rows]
    placed = PlacedSources(sources.ids, sources.unit_vectors, algorithm.variances(sources))
    objects = positions_with(ObjectPositions.empty(), placed, object_ids)
    return Association(sources.ids, object_ids, objects, SetAside.none())
