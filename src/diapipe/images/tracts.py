"""Tract and Patch: how a sky map cuts the sky into images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from scipy.spatial import ConvexHull

from diapipe.errors import BoundsError, InputError
from diapipe.images.box import Box
from diapipe.images.sky import box_around, icrs_of, outline_between, pixels_of_icrs
from diapipe.images.sky_regions import SkyRegion
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray, RealArray
from diapipe.numerics.sphere import angle_of, unit_vectors


def tan_wcs(*, ra_deg: float, dec_deg: float, pixel_scale_arcsec: float, x: float, y: float) -> WCS:
    """Tangent plane with north up and east left that touches the sky at a position, there being the 0-based (x, y)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra_deg, dec_deg], [x + 1.0, y + 1.0]
    wcs.wcs.cd = np.diag([-1.0, 1.0]) * pixel_scale_arcsec / 3600.0
    wcs.wcs.set()
    return wcs


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A part of a tract that is one image.

    Attributes
    ----------
    index
        Number in the tract, ``row * n_columns + column``.
    column, row
        Where it stands.
    inner
        Its own pixels: the inner boxes of a tract touch and do not overlap.
    outer
        The pixels of its image: the inner box and a border that it shares with its neighbours.
    """

    index: int
    column: int
    row: int
    inner: Box
    outer: Box


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tract:
    """A tangent plane of the sky map, cut into patches.

    Attributes
    ----------
    id
        Number in the sky map.
    wcs
        TAN projection, of 0-based pixels of the tract.
    box
        All pixels of the tract; its sides are filled with whole patches, the last of which may be smaller.
    patch_size_px
        Side of a patch's inner box.
    patch_border_px
        By which the outer box reaches beyond it, up to the tract's own border.
    inner_region
        The sky of which this tract is in charge: the inner regions of a sky map touch and do not overlap. None is the
        sky of ``box``.

    Raises
    ------
    InputError
        If the box is empty or the sizes make no patches.
    """

    id: int
    wcs: WCS
    box: Box
    patch_size_px: int
    patch_border_px: int = 0
    inner_region: SkyRegion | None = None

    def __post_init__(self) -> None:
        if self.box.area == 0 or self.patch_size_px < 1 or self.patch_border_px < 0:
            raise InputError(
                f"tract {self.id} needs pixels, patches of 1 px or more and a border of 0 or more, "
                f"not the box {self.box}, {self.patch_size_px} and {self.patch_border_px} px"
            )

    @classmethod
    def around(
        cls,
        id: int,
        *,
        ra_deg: float,
        dec_deg: float,
        pixel_scale_arcsec: float,
        n_patches: int,
        patch_size_px: int,
        patch_border_px: int = 0,
        inner_region: SkyRegion | None = None,
    ) -> Tract:
        """A square tract of ``n_patches`` by ``n_patches``, north up and east left, tangent at its middle."""
        side = n_patches * patch_size_px
        middle = 0.5 * (side - 1)
        return cls(
            id=id,
            wcs=tan_wcs(ra_deg=ra_deg, dec_deg=dec_deg, pixel_scale_arcsec=pixel_scale_arcsec, x=middle, y=middle),
            box=Box.from_shape((side, side)),
            patch_size_px=patch_size_px,
            patch_border_px=patch_border_px,
            inner_region=inner_region,
        )

    @property
    def n_columns(self) -> int:
        """Patches along x."""
        return -(-self.box.width // self.patch_size_px)

    @property
    def n_rows(self) -> int:
        """Patches along y."""
        return -(-self.box.height // self.patch_size_px)

    def patch(self, index: int) -> Patch:
        """The patch of that number; BoundsError if the tract has none."""
        if not 0 <= index < self.n_columns * self.n_rows:
            raise BoundsError(f"tract {self.id} has patches 0 to {self.n_columns * self.n_rows - 1}, not {index}")
        row, column = divmod(index, self.n_columns)
        size, box = self.patch_size_px, self.box
        y0, x0 = box.y0 + row * size, box.x0 + column * size
        inner = Box(y0, min(y0 + size, box.y1), x0, min(x0 + size, box.x1))
        outer = inner.dilated(self.patch_border_px).intersect(box) or inner
        return Patch(index=index, column=column, row=row, inner=inner, outer=outer)

    @property
    def patches(self) -> tuple[Patch, ...]:
        """All patches, by number."""
        return tuple(self.patch(index) for index in range(self.n_columns * self.n_rows))

    def contains(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> BoolArray:
        """Whether the tract is in charge of positions: in its inner region, or on its box where it has none."""
        if self.inner_region is not None:
            return self.inner_region.contains(ra_deg=ra_deg, dec_deg=dec_deg)
        return self.covers(ra_deg=ra_deg, dec_deg=dec_deg)

    def covers(self, *, ra_deg: RealArray | float, dec_deg: RealArray | float) -> BoolArray:
        """Whether positions lie on pixels of the tract; the shape of ``ra_deg``."""
        ra, dec = np.atleast_1d(np.asarray(ra_deg, np.float64)), np.atleast_1d(np.asarray(dec_deg, np.float64))
        x, y = pixels_of_icrs(self.wcs, ra, dec)
        return self.box.holds(x, y).reshape(np.shape(ra_deg))

    def distance_deg(self, *, ra_deg: float, dec_deg: float) -> float:
        """Angle between a position and the middle of the tract's box."""
        middle = np.array([self.box.x_center]), np.array([self.box.y_center])
        here, there = unit_vectors(*icrs_of(self.wcs, *middle)), unit_vectors(ra_deg, dec_deg)
        return float(angle_of(np.linalg.norm(here - there, axis=1))[0])

    def box_of(self, box: Box, wcs: WCS) -> Box | None:
        """Smallest box of pixels, also beyond the tract's border, that holds another image's box; None if none does."""
        return box_around(outline_between(wcs, self.wcs, box))

    def patches_overlapping(self, box: Box, wcs: WCS) -> tuple[Patch, ...]:
        """The patches whose outer box shares sky with the box of an image of another WCS."""
        places = outline_between(wcs, self.wcs, box)
        return self._patches_across(places[ConvexHull(places).vertices]) if len(places) > 2 else ()

    def patches_under(self, *, ra_deg: RealArray, dec_deg: RealArray) -> tuple[Patch, ...]:
        """The patches whose outer box shares sky with a convex polygon of great circles, given by its corners in order.

        A great circle is a straight line on the tangent plane.
        """
        ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        corners = np.stack(pixels_of_icrs(self.wcs, ra, dec), axis=1)
        return self._patches_across(corners) if np.isfinite(corners).all() else ()

    def touched_by(self, box: Box, *, ra_deg: RealArray, dec_deg: RealArray) -> BoolArray:
        """Which convex polygons of great circles share sky with a box of the tract's pixels.

        Parameters
        ----------
        box
            Of pixels.
        ra_deg, dec_deg
            Corners of the polygons in any order, shape (n, k).

        Returns
        -------
        bool array
            Shape (n,); False for a polygon with a corner that is nowhere.

        Notes
        -----
        As `patches_under`, for many polygons and one box at a time.
        """
        ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        corners = np.stack(pixels_of_icrs(self.wcs, ra.ravel(), dec.ravel()), axis=1).reshape(*ra.shape, 2)
        known = np.isfinite(corners).all(axis=(1, 2))
        found = np.zeros(len(ra), dtype=np.bool_)
        if known.any():
            found[known] = _share_pixels(corners[known], box)
        return found

    def patches_at(self, *, x: RealArray, y: RealArray) -> IntArray:
        """Number of the patch in whose inner box each position lies; -1 where there is none."""
        column = np.floor((np.nan_to_num(x, nan=-np.inf) + 0.5 - self.box.x0) / self.patch_size_px)
        row = np.floor((np.nan_to_num(y, nan=-np.inf) + 0.5 - self.box.y0) / self.patch_size_px)
        inside = (x < self.box.x1 - 0.5) & (y < self.box.y1 - 0.5) & (column >= 0) & (row >= 0)
        return np.where(inside, row * self.n_columns + column, -1).astype(np.int64)

    def _patches_across(self, corners: FloatArray) -> tuple[Patch, ...]:
        """The patches whose outer box shares pixels with a convex polygon, whose corners have shape (n, 2).

        Notes
        -----
        Two convex shapes are apart if and only if they are so along a normal of one of their sides.
        """
        sides = np.roll(corners, -1, axis=0) - corners
        axes = np.concatenate([np.eye(2), np.stack([sides[:, 1], -sides[:, 0]], axis=1)])
        of_image = corners @ axes.T
        patches = self._patches_near(corners)
        if not patches:
            return ()
        at = np.array([[(x, y) for x in (p.x0, p.x1) for y in (p.y0, p.y1)] for p in (q.outer for q in patches)]) - 0.5
        of_patches = at @ axes.T
        apart = (of_patches.max(axis=1) <= of_image.min(axis=0)) | (of_patches.min(axis=1) >= of_image.max(axis=0))
        return tuple(patch for patch, away in zip(patches, apart.any(axis=1), strict=True) if not away)

    def _patches_near(self, corners: FloatArray) -> tuple[Patch, ...]:
        """The patches whose outer box can touch the box around positions, shape (n, 2)."""
        size, border = self.patch_size_px, self.patch_border_px
        low = np.floor((corners.min(axis=0) + 0.5 - (self.box.x0, self.box.y0) - border) / size)
        high = np.floor((corners.max(axis=0) + 0.5 - (self.box.x0, self.box.y0) + border) / size)
        columns, rows = (
            range(max(0, int(first)), min(n, int(last) + 1))
            for first, last, n in zip(low, high, (self.n_columns, self.n_rows), strict=True)
        )
        return tuple(self.patch(row * self.n_columns + column) for row in rows for column in columns)


def _share_pixels(corners: FloatArray, box: Box) -> BoolArray:
    """Which convex polygons, corners in any order with shape (n, k, 2), have an area in common with a box."""
    away = corners - corners.mean(axis=1, keepdims=True)
    order = np.argsort(np.arctan2(away[..., 1], away[..., 0]), axis=1)
    ring = np.take_along_axis(corners, order[..., None], axis=1)
    sides = np.roll(ring, -1, axis=1) - ring
    normals = np.stack([sides[..., 1], -sides[..., 0]], axis=-1)
    axes = np.concatenate([np.broadcast_to(np.eye(2), (len(ring), 2, 2)), normals], axis=1)
    of_box = np.array([(x - 0.5, y - 0.5) for x in (box.x0, box.x1) for y in (box.y0, box.y1)])
    a, b = np.einsum("nkc,nac->nka", ring, axes), np.einsum("mc,nac->nma", of_box, axes)
    apart = (a.max(axis=1) <= b.min(axis=1)) | (b.max(axis=1) <= a.min(axis=1))
    is_axis = (axes != 0).any(axis=-1)  # a corner that is named twice has no side of its own
    return np.asarray(~(apart & is_axis).any(axis=1))


def tract_in_charge(tracts: Iterable[Tract], *, ra_deg: float, dec_deg: float) -> Tract | None:
    """The tract that is in charge of a position, else the nearest that has it on its pixels; None if none has.

    Where several are in charge, as where they have no inner regions, it is the one whose middle is nearest.
    """
    near = sorted(tracts, key=lambda tract: (tract.distance_deg(ra_deg=ra_deg, dec_deg=dec_deg), tract.id))
    for test in (Tract.contains, Tract.covers):
        for tract in near:
            if bool(test(tract, ra_deg=ra_deg, dec_deg=dec_deg)):
                return tract
    return None
