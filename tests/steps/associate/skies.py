"""Made skies whose objects are known, for tests of association."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.sphere import angles_of, unit_vectors
from diapipe.steps.associate import SourceBatch

ARCSEC = 1.0 / 3600.0


@dataclass(frozen=True)
class Sky:
    """Objects around a point, seen again and again; the last nine digits of a source's id are its object's number."""

    ra: np.ndarray
    dec: np.ndarray
    error_arcsec: float = 0.1
    seen: float = 0.8

    @classmethod
    def around(cls, rng, centre, n, *, radius_arcsec=600.0, apart_arcsec=4.0, **more):
        """``n`` objects, none closer to another than ``apart_arcsec``; the centre may be a pole."""
        east, north = basis(unit_vectors(*centre))
        kept = np.empty((0, 2))
        while len(kept) < n:
            place = rng.uniform(-radius_arcsec, radius_arcsec, 2)
            if len(kept) == 0 or np.hypot(*(kept - place).T).min() > apart_arcsec:
                kept = np.vstack([kept, place])
        step = np.radians(kept * ARCSEC)
        return cls(*angles_of(normalized(unit_vectors(*centre) + step[:, :1] * east + step[:, 1:] * north)), **more)

    def visit(self, rng, number):
        """What one image shows, in random order."""
        on = rng.permutation(np.flatnonzero(rng.random(len(self.ra)) < self.seen))
        vectors = unit_vectors(self.ra[on], self.dec[on])
        moved = vectors + rng.normal(size=vectors.shape) * np.radians(self.error_arcsec * ARCSEC)
        error = np.full(len(on), self.error_arcsec * ARCSEC)
        return SourceBatch(number * 10**9 + on, *angles_of(normalized(moved)), error, error)

    def visits(self, rng, n):
        return [self.visit(rng, k + 1) for k in range(n)]


def basis(middle):
    """Two directions at right angles to one."""
    other = np.eye(3)[np.argmin(np.abs(middle))]
    east = np.cross(middle, other)
    east /= np.linalg.norm(east)
    return east, np.cross(middle, east)


def normalized(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def batch(ids, ra, dec, err=0.1 * ARCSEC):
    """Sources as they are given; one error for all."""
    error = np.full(len(ids), err)
    return SourceBatch(np.array(ids, np.int64), np.array(ra, float), np.array(dec, float), error, error)


def truth(ids):
    """The number of the object of each source."""
    return ids % 10**9


def same_grouping(first, second):
    """Whether two labels make the same groups."""
    pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return pairs == len(np.unique(first)) == len(np.unique(second))
