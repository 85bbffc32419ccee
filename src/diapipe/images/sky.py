"""Between pixels and sky: what two images with a WCS say of each other, right at RA 0 and at the poles."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.coordinates import ICRS, BaseCoordinateFrame, SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from diapipe.images.box import Box
from diapipe.images.pixel_map import PositionMap
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.sphere import unit_vectors

ROUND_TRIP_PX = 0.01
"""How well a position must lead back to its sky position: else the inversion of a distortion has failed."""


def between(target: WCS, source: WCS) -> PositionMap:
    """Function from pixel positions of one image to those of another; NaN where a position cannot be mapped."""
    frames = wcs_to_celestial_frame(target), wcs_to_celestial_frame(source)

    def positions(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return pixels_of(source, *in_frame(*sky_of(target, x, y), *frames))

    return positions


def sky_of(wcs: WCS, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Longitude and latitude in degrees of 0-based pixel positions, in the WCS's own frame."""
    world = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    return np.asarray(world[wcs.wcs.lng]).reshape(x.shape), np.asarray(world[wcs.wcs.lat]).reshape(x.shape)


def pixels_of(wcs: WCS, longitude: FloatArray, latitude: FloatArray) -> tuple[FloatArray, FloatArray]:
    """0-based pixel positions of sky positions; NaN where the projection or the inversion of its distortion fails."""
    x, y = np.full((2, longitude.size), np.nan)
    good = (np.isfinite(longitude) & np.isfinite(latitude)).ravel()
    world: list[FloatArray] = [np.empty(0), np.empty(0)]
    world[wcs.wcs.lng], world[wcs.wcs.lat] = longitude.ravel()[good], latitude.ravel()[good]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if good.any():
            x[good], y[good] = wcs.all_world2pix(*world, 0, quiet=True, tolerance=1e-6, maxiter=50)
        back = sky_of(wcs, x, y)
    found = unit_vectors(*back)
    miss = np.linalg.norm(found - unit_vectors(longitude.ravel(), latitude.ravel()), axis=1)
    failed = ~(miss < ROUND_TRIP_PX * np.radians(pixel_scale_deg(wcs)))
    x[failed], y[failed] = np.nan, np.nan
    return x.reshape(longitude.shape), y.reshape(longitude.shape)


def icrs_of(wcs: WCS, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Right ascension and declination (ICRS, degrees) of 0-based pixel positions, whatever frame the WCS is in."""
    return in_frame(*sky_of(wcs, x, y), wcs_to_celestial_frame(wcs), ICRS())


def pixels_of_icrs(wcs: WCS, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """0-based pixel positions of ICRS positions in degrees; NaN where there is none."""
    return pixels_of(wcs, *in_frame(ra, dec, ICRS(), wcs_to_celestial_frame(wcs)))


def are_on(box: Box, wcs: WCS, *, ra: FloatArray, dec: FloatArray) -> BoolArray:
    """Whether ICRS positions in degrees lie on the pixels of a box; False for a position that is none."""
    x, y = pixels_of_icrs(wcs, ra, dec)
    return box.holds(x, y)


def in_frame(
    longitude: FloatArray, latitude: FloatArray, frame: BaseCoordinateFrame, wanted: BaseCoordinateFrame
) -> tuple[FloatArray, FloatArray]:
    """Positions in degrees, brought from one celestial frame to another."""
    if frame.is_equivalent_frame(wanted):
        return longitude, latitude
    moved = SkyCoord(longitude, latitude, unit="deg", frame=frame).transform_to(wanted).spherical
    return np.asarray(moved.lon.deg), np.asarray(moved.lat.deg)


def pixel_scale_deg(wcs: WCS) -> float:
    """Side of a square with the area of a pixel at the reference point, in degrees."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))


def outline(box: Box, n: int = 65) -> tuple[FloatArray, FloatArray]:
    """The x and y of ``n`` pixel centres along each side of a box; shape (4 n,)."""
    t = np.linspace(0.0, 1.0, n)
    x, y = box.x0 + t * (box.width - 1), box.y0 + t * (box.height - 1)
    fixed = np.ones_like(t)
    return (
        np.concatenate([x, x, box.x0 * fixed, (box.x1 - 1) * fixed]),
        np.concatenate([box.y0 * fixed, (box.y1 - 1) * fixed, y, y]),
    )


def outline_between(target: WCS, source: WCS, box: Box, *, n: int = 33) -> FloatArray:
    """Where the outer border of a box of one image lies on another; shape (m, 2), without what cannot be mapped."""
    x, y = outline(Box(box.y0, box.y1 + 1, box.x0, box.x1 + 1), n)
    places = np.stack(between(target, source)(x - 0.5, y - 0.5), axis=1)
    return np.asarray(places[np.isfinite(places).all(axis=1)])


def box_around(places: FloatArray) -> Box | None:
    """Smallest box of pixels that holds positions, shape (n, 2); None if there are none."""
    if len(places) == 0:
        return None
    (x0, y0), (x1, y1) = np.floor(places.min(axis=0) + 0.5), np.ceil(places.max(axis=0) + 0.5)
    return Box(int(y0), int(y1), int(x0), int(x1))
