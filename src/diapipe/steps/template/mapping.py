"""Where science pixels lie on the template: by the two WCSs, or by the pixel grid where neither image has one."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from scipy.spatial import cKDTree

from diapipe.errors import InputError
from diapipe.images import Box, Exposure
from diapipe.images.pixel_map import PixelMap, PositionMap
from diapipe.numerics.arrays import FloatArray

ROUND_TRIP_PX = 0.01
"""How well a template position must lead back to its sky position: else the inversion of a distortion has failed."""


def template_positions(science: Exposure, template: Exposure) -> PixelMap:
    """Template positions of the science pixels.

    Parameters
    ----------
    science, template
        Both with a WCS, or both without one and of one shape: then they are taken as aligned.

    Raises
    ------
    InputError
        If only one image has a WCS, a WCS has no celestial axes, or neither has one and the shapes differ.
    """
    if science.wcs is None and template.wcs is None:
        return _same_grid(science, template)
    for image, other in ((science, template), (template, science)):
        if image.wcs is None:
            raise InputError(
                f"{image.name} has no WCS but {other.name} has one; give both a WCS, or two images of one shape without"
            )
        if not image.wcs.has_celestial or image.wcs.naxis != 2:
            raise InputError(
                f"the WCS of {image.name} has axes {list(image.wcs.wcs.ctype)}; two celestial axes are needed"
            )
    return PixelMap.sampled(between(science.wcs, template.wcs), science.box)


def _same_grid(science: Exposure, template: Exposure) -> PixelMap:
    if science.box.shape != template.box.shape:
        raise InputError(
            f"{science.name} has {science.box.height} x {science.box.width} pixels, {template.name} has "
            f"{template.box.height} x {template.box.width}, and neither has a WCS; without one they must have one shape"
        )
    dx, dy = template.box.x0 - science.box.x0, template.box.y0 - science.box.y0
    return PixelMap.sampled(lambda x, y: (x + dx, y + dy), science.box)


def between(science: WCS, template: WCS) -> PositionMap:
    """Function from science to template pixel positions; NaN where a position cannot be mapped."""
    frames = wcs_to_celestial_frame(science), wcs_to_celestial_frame(template)
    one_frame = frames[0].is_equivalent_frame(frames[1])

    def positions(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        longitude, latitude = sky_of(science, x, y)
        if not one_frame:
            moved = SkyCoord(longitude, latitude, unit="deg", frame=frames[0]).transform_to(frames[1]).spherical
            longitude, latitude = moved.lon.deg, moved.lat.deg
        return _pixels_of(template, longitude, latitude)

    return positions


def sky_of(wcs: WCS, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Longitude and latitude in degrees of 0-based pixel positions, in the WCS's own frame."""
    world = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    return np.asarray(world[wcs.wcs.lng]).reshape(x.shape), np.asarray(world[wcs.wcs.lat]).reshape(x.shape)


def _pixels_of(wcs: WCS, longitude: FloatArray, latitude: FloatArray) -> tuple[FloatArray, FloatArray]:
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
    found = _unit_vectors(*back)
    miss = np.linalg.norm(found - _unit_vectors(longitude.ravel(), latitude.ravel()), axis=1)
    failed = ~(miss < ROUND_TRIP_PX * _pixel_radians(wcs))
    x[failed], y[failed] = np.nan, np.nan
    return x.reshape(longitude.shape), y.reshape(longitude.shape)


def _pixel_radians(wcs: WCS) -> float:
    return float(np.radians(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))))


def _unit_vectors(longitude: FloatArray, latitude: FloatArray) -> FloatArray:
    """Shape (n, 3)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def distance_arcmin(science: Exposure, template: Exposure) -> float:
    """Least distance on the sky between the borders of two images with a WCS, in arcmin (sampled 65 times a side)."""
    outlines = []
    for image in (science, template):
        sky = sky_of(image.wcs, *_outline(image.box))
        coordinates = SkyCoord(*sky, unit="deg", frame=wcs_to_celestial_frame(image.wcs)).icrs
        vectors = _unit_vectors(coordinates.ra.deg, coordinates.dec.deg)
        outlines.append(vectors[np.isfinite(vectors).all(axis=1)])
    chord, _ = cKDTree(outlines[0]).query(outlines[1])
    return float(np.degrees(2.0 * np.arcsin(0.5 * chord.min())) * 60.0)


def _outline(box: Box) -> tuple[FloatArray, FloatArray]:
    t = np.linspace(0.0, 1.0, 65)
    x, y = box.x0 + t * (box.width - 1), box.y0 + t * (box.height - 1)
    fixed = np.ones_like(t)
    return (
        np.concatenate([x, x, box.x0 * fixed, (box.x1 - 1) * fixed]),
        np.concatenate([box.y0 * fixed, (box.y1 - 1) * fixed, y, y]),
    )
