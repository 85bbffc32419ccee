"""SourceList and ReferenceList: sources of an image and stars of a reference catalogue, as selection needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from astropy.wcs import WCS

from diapipe.catalogs.flag_names import flag_name
from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError
from diapipe.images.sky import icrs_of
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

type Rows = BoolArray | IntArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceList:
    """Measured sources of one image, one array entry each, in the order in which they came.

    Attributes
    ----------
    id
        Identifier; never 0.
    x, y
        Centroid in parent pixel coordinates.
    ra, dec
        Right ascension and declination (ICRS, degrees); NaN where the image has no WCS.
    flux, flux_err
        PSF flux and its error, in one unit.
    ixx, ixy, iyy
        Second moments in square pixels; NaN where not measured.
    extendedness
        0 for a point source, towards 1 for an extended one; NaN where not measured.
    peak
        Background-subtracted value of the brightest pixel; NaN where not known.
    is_isolated, is_primary, is_sky
        No neighbour blends with it; it is to be counted once; it is a place of empty sky. True, True, False where not
        said.
    flags
        By name as `diapipe.catalogs.flag_names` spells it (``centroid_flag``, ``pixelFlags_edge``, ...).
    """

    id: IntArray
    x: FloatArray
    y: FloatArray
    ra: FloatArray
    dec: FloatArray
    flux: FloatArray
    flux_err: FloatArray
    ixx: FloatArray
    ixy: FloatArray
    iyy: FloatArray
    extendedness: FloatArray
    peak: FloatArray
    is_isolated: BoolArray
    is_primary: BoolArray
    is_sky: BoolArray
    flags: Mapping[str, BoolArray]

    def __len__(self) -> int:
        return len(self.x)

    def select(self, which: Rows) -> SourceList:
        """The chosen entries: a boolean mask or indices, in the order of these."""
        arrays = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "flags"}
        return replace(self, **arrays, flags={name: flag[which] for name, flag in self.flags.items()})

    @property
    def signal_to_noise(self) -> FloatArray:
        """Flux over its error; NaN where there is no error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.flux_err > 0, self.flux / self.flux_err, np.nan)

    def flagged(self, names: Iterable[str]) -> BoolArray:
        """Sources with any of these flags, in either spelling. Where the table brought no flags, none is set.

        Raises
        ------
        InputError
            If the sources have flags, but not one of these.
        """
        found = np.zeros(len(self), np.bool_)
        for name in map(flag_name, names) if self.flags else ():
            if name not in self.flags:
                raise InputError(f"the sources have no flag {name}; they have {', '.join(sorted(self.flags))}")
            found |= self.flags[name]
        return found

    def stars(self) -> StarList:
        """The same as the steps that calibrate on them need it, brightest first."""
        order = np.argsort(-self.flux, kind="stable")
        saturated = self.flags.get("pixelFlags_saturatedCenter", np.zeros(len(self), np.bool_))
        return StarList(
            x=self.x[order],
            y=self.y[order],
            flux=self.flux[order],
            flux_err=self.flux_err[order],
            peak=self.peak[order],
            is_star=~(self.extendedness[order] > 0.5),
            is_saturated=saturated[order],
            is_isolated=self.is_isolated[order],
        )

    @classmethod
    def of_stars(cls, stars: StarList, *, wcs: WCS | None = None) -> SourceList:
        """The sources of a `StarList`, numbered from 1 in its order; shapes are not in it."""
        n = len(stars)
        unknown, yes = np.full(n, np.nan), np.ones(n, np.bool_)
        ra, dec = (unknown, unknown) if wcs is None or n == 0 else icrs_of(wcs, stars.x, stars.y)
        return cls(
            id=np.arange(1, n + 1, dtype=np.int64),
            x=stars.x,
            y=stars.y,
            ra=ra,
            dec=dec,
            flux=stars.flux,
            flux_err=stars.flux_err,
            ixx=unknown,
            ixy=unknown,
            iyy=unknown,
            extendedness=np.where(stars.is_star, 0.0, 1.0),
            peak=stars.peak,
            is_isolated=stars.is_isolated,
            is_primary=yes,
            is_sky=~yes,
            flags={"pixelFlags_saturatedCenter": stars.is_saturated},
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReferenceList:
    """Stars and galaxies of a reference catalogue, one array entry each.

    Attributes
    ----------
    id
        Identifier; never 0.
    ra, dec
        ICRS, degrees.
    flux
        By band, all in one unit.
    is_resolved
        A galaxy and no star.
    is_photometric
        A constant source: fit to calibrate on. False for a variable one.
    """

    id: IntArray
    ra: FloatArray
    dec: FloatArray
    flux: Mapping[str, FloatArray]
    is_resolved: BoolArray
    is_photometric: BoolArray

    def __len__(self) -> int:
        return len(self.ra)

    def select(self, which: Rows) -> ReferenceList:
        """The chosen entries: a boolean mask or indices, in the order of these."""
        arrays = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "flux"}
        return replace(self, **arrays, flux={band: flux[which] for band, flux in self.flux.items()})

    def colour(self, blue: str, red: str) -> FloatArray:
        """Magnitude in one band less that in another; NaN where a flux is missing or not positive.

        Raises
        ------
        InputError
            If the catalogue has no flux in one of the bands.
        """
        for band in (blue, red):
            if band not in self.flux:
                raise InputError(
                    f"the reference catalogue has no flux in {band}; it has {', '.join(self.flux) or 'none'}"
                )
        first, second = self.flux[blue], self.flux[red]
        good = (first > 0) & (second > 0)
        ratio = np.divide(first, second, out=np.ones(len(self)), where=good)
        return np.where(good, -2.5 * np.log10(ratio), np.nan)
