"""MultiMatchAssociator: all images at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.association import Association
from diapipe.catalogs.sky_groups import sky_groups
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.clusters import clusters
from diapipe.numerics.sphere import angles_of, chord_of, unit_vectors
from diapipe.steps.associate.base import AbstractAssociator
from diapipe.steps.associate.candidates import PlacedSources
from diapipe.steps.associate.intake import Intake
from diapipe.steps.associate.running import positions_with


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiMatchAssociator(AbstractAssociator):
    """Group the sources of all images at once (the ``multimatch`` association of dia_pipe), whatever their order.

    All sources are in memory.

    Attributes
    ----------
    tolerance_arcsec
        How far two sources may lie apart, or a source from the mean of its object.
    """

    tolerance_arcsec: float = 0.5

    def associate(self, batches: Iterable[SourceBatch], known: Association) -> Association:
        """Known objects count as one point each, with the weight of their sources."""
        intake = Intake(known)
        images = [intake.usable(batch) for batch in batches]
        every = SourceBatch.of_all(images)
        image = np.repeat(np.arange(len(images)), [len(one) for one in images])
        object_ids = self._object_ids(every, image, known)
        placed = PlacedSources(every.ids, every.unit_vectors, self.variances(every))
        return Association(
            np.concatenate([known.source_ids, every.ids]),
            np.concatenate([known.object_ids, object_ids]),
            positions_with(known.objects, placed, object_ids),
            intake.set_aside,
        )

    def _object_ids(self, sources: SourceBatch, image: IntArray, known: Association) -> IntArray:
        """Of each source the known object of its group, or else the first source of it."""
        objects, n_known = known.objects, len(known.objects)
        ids, ra, dec, weights, images = (
            np.concatenate(pair)
            for pair in (
                (objects.ids, sources.ids),
                (objects.ra, sources.ra),
                (objects.dec, sources.dec),
                (objects.n_sources, np.ones(len(sources))),
                (np.full(n_known, -1), image),
            )
        )
        order = np.lexsort((ids, np.arange(len(ids)) >= n_known))
        group = np.empty(len(ids), np.int64)
        group[order] = self._groups(unit_vectors(ra, dec)[order], weights[order], images[order])
        _, first, index = np.unique(group, return_index=True, return_inverse=True)
        return np.asarray(ids[first][index][n_known:])

    def _groups(self, vectors: FloatArray, weights: FloatArray, image: IntArray) -> IntArray:
        """Number of the group of each point: chains of links, taken apart where they are not one object."""
        chain = sky_groups(*angles_of(vectors), radius_arcsec=self.tolerance_arcsec)
        radius = chord_of(self.tolerance_arcsec / 3600.0)
        doubtful = ~_is_one(chain, vectors, weights, image, radius=radius)[chain]
        part = np.zeros(len(chain), np.int64)
        rows = np.flatnonzero(doubtful)
        rows = rows[np.argsort(chain[rows], kind="stable")]
        for own in np.split(rows, np.flatnonzero(np.diff(chain[rows])) + 1):
            part[own] = clusters(vectors[own], weights[own], image[own], radius=radius)
        return chain * (part.max(initial=0) + 1) + part


def _is_one(chain: IntArray, vectors: FloatArray, weights: FloatArray, image: IntArray, *, radius: float) -> BoolArray:
    """Which chains hold each image once and reach no farther than the radius from their weighted mean."""
    n = int(chain.max(initial=-1)) + 1
    total = np.bincount(chain, weights, minlength=n)
    means = np.stack([np.bincount(chain, weights * axis, minlength=n) for axis in vectors.T], axis=1) / total[:, None]
    one = np.ones(n, np.bool_)
    one[chain[np.linalg.norm(vectors - means[chain], axis=1) > radius]] = False
    order = np.lexsort((image, chain))
    again = (np.diff(chain[order]) == 0) & (np.diff(image[order]) == 0)
    one[chain[order[1:][again]]] = False
    return one
