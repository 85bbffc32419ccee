"""PlacedSources and Candidates: what an algorithm that goes image by image is given, and looks up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class PlacedSources:
    """Sources of one image, in the order of their identifiers.

    Attributes
    ----------
    ids
        Identifiers, shape (n,).
    vectors
        Directions, shape (n, 3).
    variances
        Squared errors east and north, square radians; shape (n, 2).
    """

    ids: IntArray
    vectors: FloatArray
    variances: FloatArray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: IntArray) -> PlacedSources:
        """The chosen sources."""
        return PlacedSources(self.ids[rows], self.vectors[rows], self.variances[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pairs of a source and an object that may belong together, in the order of both.

    Attributes
    ----------
    source, found
        Index of the source and of the object, shape (k,).
    east, north
        How far the source lies from the object, radians.
    """

    source: IntArray
    found: IntArray
    east: FloatArray
    north: FloatArray

    def __len__(self) -> int:
        return len(self.source)

    @property
    def distance(self) -> FloatArray:
        """Radians, shape (k,)."""
        return np.hypot(self.east, self.north)
