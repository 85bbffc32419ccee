"""RingsSkyMap: the whole sky in rings of equal declination, numbered as LSST numbers them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from diapipe.errors import UsageError
from diapipe.images.sky_map import InChargeOf, SkyMap
from diapipe.images.tracts import Tract
from diapipe.numerics.arrays import FloatArray, IntArray, RealArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RingsSkyMap(SkyMap):
    """Tracts in rings from the south pole to the north pole, with one tract on each pole.

    Attributes
    ----------
    n_rings
        Rings between the polar caps; LSST's 120 make 18,938 tracts.
    tract_overlap_deg
        By which a tract reaches beyond half the height of a ring from its middle.
    ra_start_deg
        Right ascension of the middle of each ring's first tract.

    Raises
    ------
    UsageError
        If a number can mean nothing.

    Notes
    -----
    With the height h = 180° / (n_rings + 1), tract 0 is the cap of radius h/2 around the south pole, ring i covers the
    declinations from (i + 1/2) h - 90° on, and has the smallest number of tracts for which none is wider than h where
    the ring is widest, and one more where that is a whole number. In a ring the tracts follow each other eastward.
    """

    kind: ClassVar[str] = "rings"

    n_rings: int = 120
    tract_overlap_deg: float = 1.0 / 60.0
    ra_start_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (self.n_rings >= 1 and 0 <= self.tract_overlap_deg < 45 and math.isfinite(self.ra_start_deg)):
            raise UsageError(
                f"a sky map of rings needs one ring or more and an overlap from 0 to 45 degrees, not {self.n_rings} "
                f"and {self.tract_overlap_deg:g}"
            )

    @property
    def n_tracts(self) -> int:
        """The tracts of all rings, and the two at the poles."""
        return int(_first_tracts(self.n_rings)[-1]) + 1

    def tract(self, id: int) -> Tract:
        """The square tract of that number; BoundsError if there is none."""
        self._check(id)
        (ra,), (dec,) = self._middles(np.array([id]))
        half = self._half_side_deg
        inner = InChargeOf(sky_map=self, tract_id=id)
        return self.grid.tract(
            id, ra_deg=float(ra), dec_deg=float(dec), half_width_deg=half, half_height_deg=half, inner_region=inner
        )

    def find_tracts(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> IntArray:
        """Id of the tract in charge of each position; -1 where the position is not finite."""
        ra, dec = np.radians(np.asarray(ra_deg, np.float64)), np.radians(np.asarray(dec_deg, np.float64))
        good = np.isfinite(ra) & np.isfinite(dec)
        ring = np.floor((np.where(good, dec, 0.0) + 0.5 * math.pi) / _height(self.n_rings) - 0.5).astype(np.int64)
        row = np.clip(ring, 0, self.n_rings - 1)
        n = _tracts_of_rings(self.n_rings)[row]
        turn = (np.where(good, ra, 0.0) - math.radians(self.ra_start_deg)) % (2.0 * math.pi)
        column = np.floor(turn / (2.0 * math.pi / n) + 0.5).astype(np.int64) % n
        found = _first_tracts(self.n_rings)[row] + column
        found = np.where(ring < 0, 0, np.where(ring >= self.n_rings, self.n_tracts - 1, found))
        return np.asarray(np.where(good, found, -1), dtype=np.int64)

    @property
    def _half_side_deg(self) -> float:
        return 90.0 / (self.n_rings + 1) + self.tract_overlap_deg

    def _reach_deg(self) -> float:
        middle = self.grid.tract(
            0, ra_deg=0, dec_deg=0, half_width_deg=self._half_side_deg, half_height_deg=self._half_side_deg
        )
        tangent = 0.5 * math.radians(middle.box.width * self.grid.pixel_scale_arcsec / 3600.0)
        return math.degrees(math.atan(math.sqrt(2.0) * (tangent + math.radians(self.grid.pixel_scale_arcsec / 3600))))

    def _middles(self, ids: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        tracts = np.arange(self.n_tracts) if ids is None else ids
        first = _first_tracts(self.n_rings)
        ring = np.searchsorted(first, tracts, side="right") - 1
        row = np.clip(ring, 0, self.n_rings - 1)
        turn = 360.0 * (tracts - first[row]) / _tracts_of_rings(self.n_rings)[row]
        in_ring = (ring == row) & (tracts > 0)
        dec = math.degrees(_height(self.n_rings)) * (ring + 1) - 90.0
        pole = np.where(tracts > 0, 90.0, -90.0)
        return np.where(in_ring, (self.ra_start_deg + turn) % 360.0, 0.0), np.where(in_ring, dec, pole)


def _height(n_rings: int) -> float:
    """Height of a ring, radians."""
    return math.pi / (n_rings + 1)


@lru_cache(maxsize=16)
def _tracts_of_rings(n_rings: int) -> IntArray:
    """Number of tracts of each ring, from south to north."""
    height = _height(n_rings)
    south = height * (np.arange(n_rings) + 0.5) - 0.5 * math.pi
    widest = np.minimum(np.abs(south), np.abs(south + height))
    return (2.0 * math.pi * np.cos(widest) / height).astype(np.int64) + 1


@lru_cache(maxsize=16)
def _first_tracts(n_rings: int) -> IntArray:
    """Id of the first tract of each ring, and behind them that of the northern cap."""
    return 1 + np.concatenate([[0], np.cumsum(_tracts_of_rings(n_rings))])
