"""Directions on the sky as unit vectors: no seam at RA 0, no pole."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray, RealArray


def unit_vectors(longitude: RealArray | float, latitude: RealArray | float) -> FloatArray:
    """Cartesian directions of angles in degrees; shape (*longitude.shape, 3)."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def chord_of(angle_deg: float) -> float:
    """Length of the straight line between two directions that far apart."""
    return float(2.0 * np.sin(0.5 * np.radians(min(angle_deg, 180.0))))


def angle_of(chord: FloatArray) -> FloatArray:
    """Angle in degrees between directions with this straight line between them."""
    return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0))), dtype=np.float64)


def tangent_plane(longitude: FloatArray, latitude: FloatArray, centre: FloatArray) -> FloatArray:
    """Gnomonic coordinates (ξ, η) in degrees about a point; shape (2, n). All angles in degrees."""
    da, d, d0 = np.radians(longitude - centre[0]), np.radians(latitude), np.radians(centre[1])
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(da)
    xi = np.cos(d) * np.sin(da) / depth
    eta = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(da)) / depth
    return np.degrees(np.stack([xi, eta]))


def equidistant_plane(longitude: FloatArray, latitude: FloatArray, centre: FloatArray) -> FloatArray:
    """Offsets east and north in degrees whose length is the angle from a point, for maps of any part of the sky.

    Parameters
    ----------
    longitude, latitude
        Degrees, shape (n,).
    centre
        Longitude and latitude of the point.

    Returns
    -------
    array
        Shape (2, n): the azimuthal equidistant projection.
    """
    da, d, d0 = np.radians(longitude - centre[0]), np.radians(latitude), np.radians(centre[1])
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(da)
    east, north = np.cos(d) * np.sin(da), np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(da)
    sine = np.hypot(east, north)
    stretched = np.where(sine > 0, np.arctan2(sine, depth) / np.where(sine > 0, sine, 1.0), 1.0)
    return np.degrees(np.stack([east, north]) * stretched)


def from_tangent_plane(plane: FloatArray, centre: FloatArray) -> FloatArray:
    """Longitude and latitude in degrees of a point (ξ, η) of the plane that touches the sky at ``centre``."""
    xi, eta, d0 = *np.radians(plane), np.radians(centre[1])
    east, up, north = xi, np.cos(d0) - eta * np.sin(d0), np.sin(d0) + eta * np.cos(d0)
    longitude = (centre[0] + np.degrees(np.arctan2(east, up))) % 360.0
    return np.array([longitude, np.degrees(np.arctan2(north, np.hypot(east, up)))])


def angles_of(vectors: FloatArray) -> FloatArray:
    """Longitude (0 to 360) and latitude in degrees of Cartesian directions, shape (..., 3); shape (2, ...)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    longitude = np.degrees(np.arctan2(y, x)) % 360.0
    return np.array([np.where(longitude == 360.0, 0.0, longitude), np.degrees(np.arctan2(z, np.hypot(x, y)))])
