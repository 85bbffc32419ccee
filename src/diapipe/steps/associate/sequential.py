"""SequentialAssociator: one image after another, each against the objects so far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.association import Association
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.errors import UsageError
from diapipe.numerics.arrays import IntArray
from diapipe.steps.associate.base import AbstractAssociator
from diapipe.steps.associate.candidates import PlacedSources
from diapipe.steps.associate.intake import Intake
from diapipe.steps.associate.running import RunningObjects


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialAssociator(AbstractAssociator):
    """Decides image by image. In memory are the objects, one image, and the identifiers of what is done.

    Attributes
    ----------
    tolerance_arcsec
        How far a source may lie from its object.
    """

    tolerance_arcsec: float = 0.5

    @abstractmethod
    def assign(self, sources: PlacedSources, objects: RunningObjects) -> IntArray:
        """Index of the object of each source, -1 for one that founds its own; shape (n,).

        Parameters
        ----------
        sources
            Of one image, in the order of their identifiers.
        objects
            All objects so far; ``objects.near(sources)`` are the pairs within the tolerance.
        """

    def associate(self, batches: Iterable[SourceBatch], known: Association) -> Association:
        """Take in the batches in their order; the means move after each."""
        intake = Intake(known)
        objects = RunningObjects(known.objects, radius_arcsec=self.tolerance_arcsec)
        source_ids, object_ids = [known.source_ids], [known.object_ids]
        for batch in batches:
            usable = intake.usable(batch)
            sources = PlacedSources(usable.ids, usable.unit_vectors, self.variances(usable))
            source_ids.append(sources.ids)
            object_ids.append(objects.join(sources, self._assigned(sources, objects)))
        return Association(np.concatenate(source_ids), np.concatenate(object_ids), objects.positions, intake.set_aside)

    def _assigned(self, sources: PlacedSources, objects: RunningObjects) -> IntArray:
        """What `assign` says, refused where it cannot be true: it may have been written elsewhere."""
        index = np.asarray(self.assign(sources, objects))
        name = type(self).__name__
        if index.shape != (len(sources),) or index.dtype.kind != "i":
            found = f"{index.dtype} of shape {index.shape}"
            raise UsageError(f"{name} must give an index for each of {len(sources)} sources, not {found}")
        if len(index) and (index.min() < -1 or index.max() >= len(objects)):
            raise UsageError(
                f"{name} gave the index {index.max()} or {index.min()} where there are {len(objects)} objects"
            )
        return index.astype(np.int64, copy=False)
