"""Regions of the sky, for asking which positions lie in them; right at RA 0 and at the poles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, RealArray
from diapipe.numerics.sphere import unit_vectors


class SkyRegion(ABC):
    """A part of the sky."""

    @abstractmethod
    def contains(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> BoolArray:
        """Whether positions lie in it; the shape of ``ra_deg``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyBox(SkyRegion):
    """Between two meridians and two parallels, the first of each included: the inner region of a ring sky map's tract.

    Attributes
    ----------
    ra_deg
        First meridian, any multiple of 360 away.
    width_deg
        From there eastward; 360 is a cap or a ring.
    dec0_deg, dec1_deg
        The parallels; 90 includes the pole.

    Raises
    ------
    InputError
        If it is empty, or wider than the sky.
    """

    ra_deg: float
    width_deg: float
    dec0_deg: float
    dec1_deg: float

    def __post_init__(self) -> None:
        if not (0 < self.width_deg <= 360 and -90 <= self.dec0_deg < self.dec1_deg <= 90):
            raise InputError(
                f"a SkyBox needs a width of up to 360 and ascending declinations from -90 to 90 degrees, not "
                f"{self.width_deg:g} and {self.dec0_deg:g} to {self.dec1_deg:g}"
            )

    def contains(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> BoolArray:
        """Whether positions lie in it; a pole does whatever its right ascension."""
        ra, dec = np.asarray(ra_deg, dtype=np.float64), np.asarray(dec_deg, dtype=np.float64)
        at_pole = np.abs(dec) == 90.0
        across = ((ra - self.ra_deg) % 360.0 < self.width_deg) | at_pole
        top = (dec < self.dec1_deg) | ((self.dec1_deg == 90.0) & (dec == 90.0))
        return np.asarray(across & (dec >= self.dec0_deg) & top)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPolygon(SkyRegion):
    """A convex polygon of great circles, its border included.

    Attributes
    ----------
    ra_deg, dec_deg
        Corners in order, either way round; each side shorter than half a circle.

    Raises
    ------
    InputError
        If there are fewer than three corners, or the polygon is not convex.
    """

    ra_deg: tuple[float, ...]
    dec_deg: tuple[float, ...]

    def __post_init__(self) -> None:
        corners = unit_vectors(np.array(self.ra_deg), np.array(self.dec_deg))
        if len(corners) < 3:
            raise InputError(f"a SkyPolygon needs at least three corners, not {len(corners)}")
        inside = self.contains(ra_deg=np.array(self.ra_deg), dec_deg=np.array(self.dec_deg))
        if not inside.all():
            raise InputError(f"a SkyPolygon must be convex; corners {np.flatnonzero(~inside)} lie beyond a side")

    def contains(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> BoolArray:
        """Whether positions lie on the inner side of all sides, to a microarcsecond."""
        corners = unit_vectors(np.array(self.ra_deg), np.array(self.dec_deg))
        normals = np.cross(corners, np.roll(corners, -1, axis=0))
        normals *= np.sign((normals @ corners.mean(axis=0)).sum())
        where = unit_vectors(np.asarray(ra_deg, dtype=np.float64), np.asarray(dec_deg, dtype=np.float64))
        return np.asarray((where @ normals.T >= -1e-11).all(axis=-1))
