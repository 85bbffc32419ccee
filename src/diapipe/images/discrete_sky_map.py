"""DiscreteSkyMap: tracts at given places, or as few as cover the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from diapipe.errors import InputError, UsageError
from diapipe.images.box import Box
from diapipe.images.sky import icrs_of, outline, pixels_of_icrs
from diapipe.images.sky_fields import SkyField, fields_of
from diapipe.images.sky_map import InChargeOf, SkyMap, middles_of
from diapipe.images.tract_grid import TractGrid
from diapipe.images.tracts import Tract, tan_wcs
from diapipe.numerics.arrays import FloatArray, IntArray, RealArray
from diapipe.numerics.sphere import tangent_plane, unit_vectors

MARGIN_PX = 16
"""Pixels around the data of a map made for them: what an interpolant needs beside them."""

_PART_PX = 1000
"""Pixels along a part of a field: only the shares of pixels matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TractPlace:
    """Where a tract lies and what part of the sky it must hold.

    Attributes
    ----------
    ra_deg, dec_deg
        Where its plane touches the sky: its middle.
    width_deg, height_deg
        Of the sky that it must hold at least; it has whole patches.

    Raises
    ------
    UsageError
        If that is no part of the sky.
    """

    ra_deg: float
    dec_deg: float
    width_deg: float
    height_deg: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ra_deg) and abs(self.dec_deg) <= 90 and self.width_deg > 0 and self.height_deg > 0):
            raise UsageError(
                f"a tract needs a position and a positive width and height, not RA {self.ra_deg:g}, "
                f"Dec {self.dec_deg:g}, {self.width_deg:g} by {self.height_deg:g} degrees"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteSkyMap(SkyMap):
    """Tracts at given places.

    Attributes
    ----------
    tracts
        Their places; the ids are 0 and up in this order.

    Raises
    ------
    InputError
        If there is no tract.

    Notes
    -----
    Among the tracts that have a position on their pixels the one whose middle is nearest is in charge of it.
    """

    kind: ClassVar[str] = "discrete"

    tracts: tuple[TractPlace, ...]

    def __post_init__(self) -> None:
        if not self.tracts:
            raise InputError(f"the discrete sky map {self.name} needs one tract or more")

    @classmethod
    def from_regions(
        cls,
        name: str,
        regions: Sequence[tuple[RealArray, RealArray]],
        *,
        pixel_scale_arcsec: float,
        patch_size_px: int | None = None,
        patch_border_px: int = 100,
        max_tract_deg: float = 4.0,
        tract_overlap_deg: float = 1.0 / 60.0,
    ) -> DiscreteSkyMap:
        """The fewest tracts that cover the data: one a field, or equal parts of a field that is larger than a tract.

        Parameters
        ----------
        name
            What the map is called.
        regions
            Right ascensions and declinations in degrees of the corners of each image, shapes (n,).
        pixel_scale_arcsec
            Side of a pixel.
        patch_size_px
            Side of a patch; None for equal patches of at most 4000 px.
        patch_border_px
            By which the patches' outer boxes reach beyond them.
        max_tract_deg
            Largest side of a tract.
        tract_overlap_deg
            Width of the strip that neighbouring tracts of one field have in common on either side of their border.

        Raises
        ------
        InputError
            If there is no region.
        UsageError
            If a field is wider than a tangent plane can show; that is what rings are for.
        """
        if not regions:
            raise InputError("a sky map around the data needs data: ingest exposures and define visits first")
        margin_deg = MARGIN_PX * pixel_scale_arcsec / 3600.0
        places = [
            place
            for sky_field in fields_of(regions)
            for place in _places(sky_field, margin_deg, max_tract_deg, tract_overlap_deg)
        ]
        size = patch_size_px or _equal_patch_px(places, pixel_scale_arcsec)
        grid = TractGrid(pixel_scale_arcsec=pixel_scale_arcsec, patch_size_px=size, patch_border_px=patch_border_px)
        return cls(name=name, grid=grid, tracts=tuple(places))

    @classmethod
    def _from(cls, values: dict[str, Any]) -> DiscreteSkyMap:
        return cls(**(values | {"tracts": tuple(TractPlace(**place) for place in values["tracts"])}))

    @property
    def n_tracts(self) -> int:
        """How many there are."""
        return len(self.tracts)

    def tract(self, id: int) -> Tract:
        """The tract of that number; BoundsError if there is none."""
        self._check(id)
        place = self.tracts[id]
        return self.grid.tract(
            id,
            ra_deg=place.ra_deg,
            dec_deg=place.dec_deg,
            half_width_deg=0.5 * place.width_deg,
            half_height_deg=0.5 * place.height_deg,
            inner_region=InChargeOf(sky_map=self, tract_id=id),
        )

    def find_tracts(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> IntArray:
        """Id of the tract in charge of each position, -1 where no tract has it on its pixels."""
        ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        here = unit_vectors(ra.ravel(), dec.ravel())
        middles = middles_of(self)
        found = np.full(ra.size, -1, dtype=np.int64)
        nearest = np.full(ra.size, -np.inf)
        for id in range(self.n_tracts):
            tract = self.tract(id)
            closeness = here @ middles[id]
            closer = np.flatnonzero(closeness > np.maximum(nearest, _cosine(self._reach_of(tract))))
            held = closer[tract.patches_at(**_pixels(tract, ra.ravel()[closer], dec.ravel()[closer])) >= 0]
            found[held], nearest[held] = id, closeness[held]
        return found.reshape(ra.shape)

    def _reach_of(self, tract: Tract) -> float:
        """How far the corners of a tract lie from where it touches the sky; at most a pixel too far."""
        sides = np.array(tract.box.shape) + 2.0
        tangent = math.radians(0.5 * float(np.hypot(*sides)) * self.grid.pixel_scale_arcsec / 3600.0)
        return math.degrees(math.atan(tangent))

    def _reach_deg(self) -> float:
        return max(self._reach_of(self.tract(id)) for id in range(self.n_tracts))

    def _middles(self) -> tuple[FloatArray, FloatArray]:
        return np.array([place.ra_deg for place in self.tracts]), np.array([place.dec_deg for place in self.tracts])


def _cosine(angle_deg: float) -> float:
    return math.cos(math.radians(angle_deg))


def _pixels(tract: Tract, ra: FloatArray, dec: FloatArray) -> dict[str, FloatArray]:
    return dict(zip("xy", pixels_of_icrs(tract.wcs, ra, dec), strict=True))


def _places(sky_field: SkyField, margin_deg: float, max_tract_deg: float, overlap_deg: float) -> list[TractPlace]:
    """One tract for a field, or several where it is too large; those without data are left out."""
    width, height = sky_field.width_deg + 2 * margin_deg, sky_field.height_deg + 2 * margin_deg
    if max(width, height) <= max_tract_deg:
        return [TractPlace(ra_deg=sky_field.ra_deg, dec_deg=sky_field.dec_deg, width_deg=width, height_deg=height)]
    if not max_tract_deg > 4 * overlap_deg:
        raise UsageError(f"tracts of {max_tract_deg:g} degrees cannot overlap by {overlap_deg:g} on every side")
    parts = _parts(sky_field, width, height, max_tract_deg - 2 * overlap_deg)
    used = {patch.index for ra, dec in sky_field.regions for patch in parts.patches_under(ra_deg=ra, dec_deg=dec)}
    return [_place_of(parts, parts.patch(index).inner, overlap_deg) for index in sorted(used)]


def _parts(sky_field: SkyField, width_deg: float, height_deg: float, max_part_deg: float) -> Tract:
    """The parts of a field, squares of its tangent plane, as patches of a tract of coarse pixels."""
    sides = np.degrees(2 * np.tan(np.radians(0.5 * np.array([width_deg, height_deg]))))
    columns, rows = (math.ceil(side / max_part_deg) for side in sides)
    scale_arcsec = 3600.0 * max(sides[0] / columns, sides[1] / rows) / _PART_PX
    box = Box.from_shape((rows * _PART_PX, columns * _PART_PX))
    middle = {"ra_deg": sky_field.ra_deg, "dec_deg": sky_field.dec_deg}
    wcs = tan_wcs(**middle, pixel_scale_arcsec=scale_arcsec, x=box.x_center, y=box.y_center)
    return Tract(id=0, wcs=wcs, box=box, patch_size_px=_PART_PX)


def _place_of(parts: Tract, box: Box, overlap_deg: float) -> TractPlace:
    """The tract that holds a part of a field, whose north is elsewhere than the field's."""
    ra, dec = icrs_of(parts.wcs, np.array([box.x_center]), np.array([box.y_center]))
    x, y = outline(Box(box.y0, box.y1 + 1, box.x0, box.x1 + 1))
    rim = tangent_plane(*icrs_of(parts.wcs, x - 0.5, y - 0.5), np.array([ra[0], dec[0]]))
    half = np.degrees(np.arctan(np.radians(np.abs(rim).max(axis=1)))) + overlap_deg
    return TractPlace(
        ra_deg=float(ra[0]), dec_deg=float(dec[0]), width_deg=2 * float(half[0]), height_deg=2 * float(half[1])
    )


def _equal_patch_px(places: Sequence[TractPlace], pixel_scale_arcsec: float) -> int:
    """Side of patches that fill the largest tract without waste, none larger than a patch usually is."""
    grid = TractGrid(pixel_scale_arcsec=pixel_scale_arcsec)
    side = 2 * grid.half_px(0.5 * max(max(place.width_deg, place.height_deg) for place in places)) + 1
    return -(-side // -(-side // grid.patch_size_px))
