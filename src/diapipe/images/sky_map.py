"""SkyMap: how the sky is cut into tracts, each of which is in charge of a part of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from scipy.spatial import cKDTree

from diapipe.errors import BoundsError, InputError
from diapipe.images.sky import pixels_of_icrs
from diapipe.images.sky_fields import Corners, circles_around
from diapipe.images.sky_regions import SkyRegion
from diapipe.images.tract_grid import TractGrid
from diapipe.images.tracts import Patch, Tract
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray, RealArray
from diapipe.numerics.sphere import chord_of, unit_vectors

_KINDS: dict[str, type[SkyMap]] = {}
"""The kinds of sky maps by the name under which they are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyMap(ABC):
    """A way to cut the sky into tracts, which are made when they are asked for.

    Attributes
    ----------
    name
        What data ids call it.
    grid
        Pixels and patches of all its tracts.
    """

    kind: ClassVar[str]
    """Name under which the kind is stored."""

    name: str
    grid: TractGrid = field(default_factory=TractGrid)

    def __init_subclass__(cls) -> None:
        _KINDS[cls.kind] = cls

    @property
    @abstractmethod
    def n_tracts(self) -> int:
        """How many tracts there are; their ids are 0 and up."""

    @abstractmethod
    def tract(self, id: int) -> Tract:
        """The tract of that number; BoundsError if there is none."""

    @abstractmethod
    def find_tracts(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> IntArray:
        """Id of the tract in charge of each position, -1 where there is none; the shape of ``ra_deg``."""

    @abstractmethod
    def _middles(self) -> tuple[FloatArray, FloatArray]:
        """Right ascension and declination at which each tract touches the sky."""

    @abstractmethod
    def _reach_deg(self) -> float:
        """How far the pixels of any tract lie from there at most, a tangent plane's corners included."""

    def find_tract(self, ra_deg: float, dec_deg: float) -> Tract | None:
        """The tract in charge of a position; None if there is none."""
        found = int(self.find_tracts(ra_deg=ra_deg, dec_deg=dec_deg))
        return None if found < 0 else self.tract(found)

    def find_patches(self, *, ra_deg: RealArray, dec_deg: RealArray) -> tuple[IntArray, IntArray]:
        """Tract in charge of each position and the patch in whose inner box it lies.

        Returns
        -------
        tuple of two int64 arrays
            Ids of tracts and of patches, shaped as ``ra_deg``; -1 where there is none.
        """
        ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        tracts = self.find_tracts(ra_deg=ra, dec_deg=dec)
        patches = np.full(tracts.shape, -1, dtype=np.int64)
        order = np.argsort(tracts, axis=None, kind="stable")
        ids, starts = np.unique(tracts.ravel()[order], return_index=True)
        for id, where in zip(ids.tolist(), np.split(order, starts)[1:], strict=True):
            if id >= 0:
                tract = self.tract(id)
                x, y = pixels_of_icrs(tract.wcs, ra.ravel()[where], dec.ravel()[where])
                patches.ravel()[where] = tract.patches_at(x=x, y=y)
        return tracts, patches

    def tracts_overlapping(self, ra_deg: RealArray, dec_deg: RealArray) -> tuple[Tract, ...]:
        """The tracts whose pixels share sky with a convex polygon, given by its corners."""
        return tuple(self.tract(id) for id in self.overlaps([(ra_deg, dec_deg)])[1].tolist())

    def patches_overlapping(self, ra_deg: RealArray, dec_deg: RealArray) -> tuple[tuple[Tract, tuple[Patch, ...]], ...]:
        """The tracts that share sky with a convex polygon, and of each the patches whose outer boxes do.

        Parameters
        ----------
        ra_deg, dec_deg
            Corners of the polygon in order, sides being parts of great circles; shape (n,).
        """
        tracts = self.tracts_overlapping(ra_deg, dec_deg)
        return tuple((tract, tract.patches_under(ra_deg=ra_deg, dec_deg=dec_deg)) for tract in tracts)

    def overlaps(self, regions: Sequence[Corners]) -> tuple[IntArray, IntArray]:
        """Which convex polygons share sky with the pixels of which tracts.

        Parameters
        ----------
        regions
            Right ascensions and declinations of the corners of each; shapes (k,), k may differ.

        Returns
        -------
        tuple of two int64 arrays
            Index of a polygon and id of a tract for each pair, in order of the tracts.
        """
        if not regions:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        middles, radii = circles_around(regions)
        reach = [chord_of(radius + self._reach_deg() + 1e-6) for radius in radii.tolist()]
        near = cKDTree(middles_of(self)).query_ball_point(middles, reach)
        region = np.repeat(np.arange(len(regions)), [len(ids) for ids in near])
        tract = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in near])
        most = max(len(ra) for ra, _ in regions)
        corners = np.stack([np.stack([_padded(at, most) for at in both]) for both in regions])
        found = np.zeros(len(region), dtype=np.bool_)
        for id in np.unique(tract).tolist():
            own = np.flatnonzero(tract == id)
            at, plane = corners[region[own]], self.tract(id)
            found[own] = plane.touched_by(plane.box, ra_deg=at[:, 0], dec_deg=at[:, 1])
        order = np.lexsort((region[found], tract[found]))
        return region[found][order], tract[found][order]

    def to_dict(self) -> dict[str, Any]:
        """Parameters from which `from_dict` makes it again: texts, numbers, lists and dictionaries only."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @staticmethod
    def from_dict(parameters: Mapping[str, Any]) -> SkyMap:
        """The sky map of these parameters.

        Raises
        ------
        InputError
            If they are not those of a sky map.
        """
        values = dict(parameters)
        kind = values.pop("kind", None)
        if kind not in _KINDS:
            raise InputError(f"there is no sky map of kind {kind!r}; there are {', '.join(_KINDS)}")
        try:
            return _KINDS[kind]._from(values | {"grid": TractGrid(**values["grid"])})
        except (KeyError, TypeError) as error:
            raise InputError(f"these are not the parameters of a {kind} sky map: {error}") from error

    @staticmethod
    def of(given: SkyMap | Mapping[str, Any]) -> SkyMap:
        """A sky map as it is, or that of its parameters."""
        return given if isinstance(given, SkyMap) else SkyMap.from_dict(given)

    @classmethod
    def _from(cls, values: dict[str, Any]) -> SkyMap:
        """From the values of the fields, as they were stored."""
        return cls(**values)

    @property
    def digest(self) -> bytes:
        """SHA-1 of all parameters but the name: equal for maps with the same tracts and patches."""
        parameters = {key: value for key, value in self.to_dict().items() if key != "name"}
        return hashlib.sha1(json.dumps(parameters, sort_keys=True).encode(), usedforsecurity=False).digest()

    def _check(self, id: int) -> None:
        """Refuse the number of a tract that there is not."""
        if not 0 <= id < self.n_tracts:
            raise BoundsError(f"sky map {self.name} has tracts 0 to {self.n_tracts - 1}, not {id}")


def _padded(angles: RealArray, n: int) -> FloatArray:
    """The angles of a polygon's corners, the last repeated up to n."""
    values = np.asarray(angles, np.float64)
    return np.concatenate([values, np.full(n - len(values), values[-1])])


@lru_cache(maxsize=16)
def middles_of(sky_map: SkyMap) -> FloatArray:
    """Directions at which the tracts of a map touch the sky; shape (n_tracts, 3)."""
    vectors = unit_vectors(*sky_map._middles())
    vectors.setflags(write=False)
    return vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class InChargeOf(SkyRegion):
    """The part of the sky of which a tract is in charge, by the rule of its map: no gap and no overlap anywhere.

    Attributes
    ----------
    sky_map
        Whose rule it is.
    tract_id
        Which tract it is about.
    """

    sky_map: SkyMap
    tract_id: int

    def contains(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> BoolArray:
        """Whether the map finds this tract at positions."""
        return np.asarray(self.sky_map.find_tracts(ra_deg=ra_deg, dec_deg=dec_deg) == self.tract_id)
