"""Which sources can be associated: those with a position that have not been there before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diapipe.catalogs.association import Association, SetAside
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.numerics.arrays import IntArray
from diapipe.numerics.hashing import NumberSet

NO_POSITION = "its position is not known"
REPEATED = "a source with its diaSourceId is associated already"


class Intake:
    """Takes batches in the order of their identifiers, and keeps what cannot be associated with the reason.

    Parameters
    ----------
    known
        What was associated before.
    """

    def __init__(self, known: Association) -> None:
        self._seen = NumberSet()
        self._seen.add(known.source_ids)
        self._seen.add(known.objects.ids)  # their founders, where the sources are not told
        self._aside: list[SetAside] = []

    def usable(self, batch: SourceBatch) -> SourceBatch:
        """The sources of a batch that can be associated, in the order of their identifiers, whatever theirs was."""
        batch = batch[np.argsort(batch.ids, kind="stable")]
        placed = np.isfinite(batch.ra) & (np.abs(batch.dec) <= 90.0)
        self._set_aside(batch.ids[~placed], NO_POSITION)
        batch = batch[np.flatnonzero(placed)]
        is_new = self._seen.add(batch.ids)
        self._set_aside(batch.ids[~is_new], REPEATED)
        return batch if is_new.all() else batch[np.flatnonzero(is_new)]

    @property
    def set_aside(self) -> SetAside:
        """What could not be associated so far."""
        if not self._aside:
            return SetAside.none()
        return SetAside(
            np.concatenate([part.ids for part in self._aside]), np.concatenate([part.reasons for part in self._aside])
        )

    def _set_aside(self, ids: IntArray, reason: str) -> None:
        if len(ids):
            reasons: NDArray[np.str_] = np.full(len(ids), reason, dtype="U64")
            self._aside.append(SetAside(ids, reasons))
