"""RunningObjects: the objects so far, as one image after another adds to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diapipe.catalogs.association import ObjectPositions
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.hashing import MOST_FULL
from diapipe.numerics.running_positions import Means, offsets, take_in
from diapipe.numerics.sky_cells import Cells, enter, pairs_within
from diapipe.numerics.sphere import angles_of, chord_of, unit_vectors
from diapipe.steps.associate.candidates import Candidates, PlacedSources

GROWTH = 1.5
"""By how much room for objects grows when it is full."""

AT_ONCE = 1 << 16
"""Sources that are taken in together where they are not of one image: each might need a new cell."""


class RunningObjects:
    """Mean positions, their weights and counts, and the cells of the sky that they lie in.

    Algorithms read it; only the loop over images changes it (`SequentialAssociator`).

    Parameters
    ----------
    known
        The objects to begin with.
    radius_arcsec
        How far `near` looks.
    """

    def __init__(self, known: ObjectPositions, *, radius_arcsec: float) -> None:
        self._n = self._n_keys = 0
        self._ids = np.empty(0, np.int64)
        self._means = Means.with_room(0)
        self._cells = Cells.for_points(0, radius=chord_of(radius_arcsec / 3600.0))
        errors = np.radians(np.stack([known.ra_err, known.dec_err], axis=1))
        self._append(known.ids, unit_vectors(known.ra, known.dec), 1.0 / errors**2, known.n_sources)

    def __len__(self) -> int:
        return self._n

    @property
    def ids(self) -> IntArray:
        """Identifiers, in the order in which the objects were founded; shape (m,)."""
        return self._ids[: self._n]

    @property
    def n_sources(self) -> IntArray:
        """How many sources each has, shape (m,)."""
        return self._means.n_taken[: self._n]

    def variances(self, index: IntArray) -> FloatArray:
        """Squared errors of the positions of some objects east and north, square radians; shape (k, 2)."""
        return np.asarray(1.0 / self._means.weight[index])

    @property
    def positions(self) -> ObjectPositions:
        """The objects as they are now."""
        ra, dec = angles_of(self._means.vectors[: self._n])
        ra_err, dec_err = np.degrees(np.sqrt(self.variances(np.arange(self._n)).T))
        return ObjectPositions(self.ids.copy(), ra, dec, ra_err, dec_err, self.n_sources.copy())

    def near(self, sources: PlacedSources) -> Candidates:
        """Every source with every object within the radius, in the order of both."""
        source, found = pairs_within(self._cells, self._means.vectors, sources.vectors)
        east, north = np.empty((2, len(source)))
        offsets(sources.vectors, self._means.vectors, source, found, east, north)
        return Candidates(source, found, east, north)

    def join(self, sources: PlacedSources, index: IntArray) -> IntArray:
        """Take in sources, each into the object of its index, -1 into one of its own; identifiers of their objects."""
        joined, founders = np.flatnonzero(index >= 0), np.flatnonzero(index < 0)
        objects = sources.ids.copy()
        objects[joined] = self._ids[index[joined]]
        self._make_room(objects=len(founders), keys=len(index))
        given, new = sources[joined], sources[founders]
        self._n_keys += take_in(self._means, self._cells, given.vectors, 1.0 / given.variances, index[joined])
        self._append(new.ids, new.vectors, 1.0 / new.variances, np.ones(len(new), np.int64))
        return objects

    def _append(self, ids: IntArray, vectors: FloatArray, weights: FloatArray, count: IntArray) -> None:
        """New objects at the end."""
        self._make_room(objects=len(ids), keys=len(ids))
        new = slice(self._n, self._n + len(ids))
        self._ids[new] = ids
        for held, given in zip(self._means, (vectors, weights, count), strict=True):
            held[new] = given
        self._n_keys += enter(self._cells, self._means.vectors, new.start, new.stop)
        self._n = new.stop

    def _make_room(self, *, objects: int, keys: int) -> None:
        """Longer arrays and a larger hash table, where so many more objects and cells need them.

        The table holds twice as many cells as there is room for objects, or as are asked for.
        """
        needed, room = self._n + objects, len(self._ids)
        if needed > room:
            room = int(GROWTH * needed) + 16
        if room > len(self._ids) or self._n_keys + keys > MOST_FULL * len(self._cells.keys):
            means = self._means
            self._ids = _longer(self._ids, room)
            self._means = Means(_longer(means.vectors, room), _longer(means.weight, room), _longer(means.n_taken, room))
            self._cells = Cells.for_points(max(room, keys), radius=self._cells.radius)
            self._n_keys = enter(self._cells, self._means.vectors, 0, self._n)


def _longer[D: np.generic](array: NDArray[D], room: int) -> NDArray[D]:
    """The same with room for more rows."""
    longer = np.empty((room, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


def positions_with(known: ObjectPositions, sources: PlacedSources, object_ids: IntArray) -> ObjectPositions:
    """The known objects and those of these sources, with all of them taken in; an object's first source founds it."""
    objects = RunningObjects(known, radius_arcsec=1.0)
    is_known = np.isin(object_ids, known.ids)
    new = np.flatnonzero(~is_known)
    _, first = np.unique(object_ids[new], return_index=True)
    founders = new[np.sort(first)]
    objects.join(replace(sources[founders], ids=object_ids[founders]), np.full(len(founders), -1))
    others = np.setdiff1d(np.arange(len(object_ids)), founders)
    order = np.argsort(objects.ids)
    for begin in range(0, len(others), AT_ONCE):
        rows = others[begin : begin + AT_ONCE]
        objects.join(sources[rows], order[np.searchsorted(objects.ids, object_ids[rows], sorter=order)])
    return objects.positions
