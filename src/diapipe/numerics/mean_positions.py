"""Mean positions on the sphere, weighted by their covariances: no seam at RA 0, no pole.

A position with covariance C in the basis B = (east, north) of its own place gives a direction m the chi squared
(Bᵀm)ᵀ C⁻¹ (Bᵀm) = mᵀ P m, with the 3x3 matrix P = B C⁻¹ Bᵀ. These matrices add up, and the mean is the direction that
makes their sum least. As the positions of one object lie within arc seconds, one step from their plain mean gets there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.jit import inlined, jit

LARGEST_CORRELATION = 0.9999
"""Of the two coordinates: a covariance beyond it, as rounding makes it, could not be inverted."""


class MeanPositions(NamedTuple):
    """One position for each group, NaN for a group without any; degrees.

    Attributes
    ----------
    longitude, latitude
        Direction.
    longitude_err, latitude_err
        Errors on the sky, that of the longitude times cos(latitude). NaN for one position without an error.
    covariance
        Of the two, square degrees.
    """

    longitude: FloatArray
    latitude: FloatArray
    longitude_err: FloatArray
    latitude_err: FloatArray
    covariance: FloatArray


def mean_positions(
    longitude: FloatArray,
    latitude: FloatArray,
    longitude_err: FloatArray,
    latitude_err: FloatArray,
    covariance: FloatArray,
    starts: IntArray,
) -> MeanPositions:
    """Weighted mean of every group of positions.

    A position that is not finite does not count, and one without errors does not weigh, unless none of its group has
    any: then all weigh alike, and the error of their mean comes from their scatter.

    Parameters
    ----------
    longitude, latitude
        Degrees, shape (n,).
    longitude_err, latitude_err, covariance
        Errors on the sky in degrees, that of the longitude times cos(latitude), and their covariance in square degrees;
        a covariance that is not finite is 0.
    starts
        First row of each group and the end of the last, shape (n_groups + 1,), as `grouping.Groups` has them.
    """
    found = np.full((5, len(starts) - 1), np.nan)
    _means(longitude, latitude, longitude_err, latitude_err, covariance, starts, found)
    return MeanPositions(*found)


@inlined
def _basis(longitude: float, latitude: float, basis: FloatArray) -> None:
    """East, north and outward at a place; angles in radians."""
    sin_lon, cos_lon = np.sin(longitude), np.cos(longitude)
    sin_lat, cos_lat = np.sin(latitude), np.cos(latitude)
    basis[0, 0], basis[0, 1], basis[0, 2] = -sin_lon, cos_lon, 0.0
    basis[1, 0], basis[1, 1], basis[1, 2] = -sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat
    basis[2, 0], basis[2, 1], basis[2, 2] = cos_lat * cos_lon, cos_lat * sin_lon, sin_lat


@inlined
def _basis_at(direction: FloatArray, basis: FloatArray) -> None:
    """The same at a direction that need not be a unit vector."""
    _basis(
        np.arctan2(direction[1], direction[0]),
        np.arctan2(direction[2], np.hypot(direction[0], direction[1])),
        basis,
    )


@inlined
def _between(matrix: FloatArray, left: FloatArray, right: FloatArray) -> float:
    """The number left' matrix right."""
    total = 0.0
    for i in range(3):
        for j in range(3):
            total += left[i] * matrix[i, j] * right[j]
    return total


@inlined
def _has_errors(longitude_err: float, latitude_err: float) -> bool:
    """Whether both errors are usable."""
    product = longitude_err * latitude_err
    return bool(np.isfinite(product) and longitude_err > 0.0 and latitude_err > 0.0)


@inlined
def _add_information(
    basis: FloatArray, variance_e: float, variance_n: float, covariance: float, information: FloatArray
) -> None:
    """Add B C⁻¹ B' of one position."""
    limit = LARGEST_CORRELATION * np.sqrt(variance_e * variance_n)
    cov = min(max(covariance, -limit), limit) if np.isfinite(covariance) else 0.0
    determinant = variance_e * variance_n - cov * cov
    ee, nn, en = variance_n / determinant, variance_e / determinant, -cov / determinant
    for i in range(3):
        for j in range(3):
            information[i, j] += (
                ee * basis[0, i] * basis[0, j]
                + nn * basis[1, i] * basis[1, j]
                + en * (basis[0, i] * basis[1, j] + basis[1, i] * basis[0, j])
            )


@inlined
def _gather(
    lon: FloatArray,
    lat: FloatArray,
    lon_err: FloatArray,
    lat_err: FloatArray,
    cov: FloatArray,
    basis: FloatArray,
    direction: FloatArray,
    information: FloatArray,
) -> tuple[int, int]:
    """Sum the directions and the information of a group; returns how many positions count, and how many weigh."""
    n = n_weighed = 0
    direction[:] = 0.0
    information[:] = 0.0
    for row in range(len(lon)):
        if not (np.isfinite(lon[row]) and np.isfinite(lat[row])):
            continue
        n += 1
        _basis(np.radians(lon[row]), np.radians(lat[row]), basis)
        for i in range(3):
            direction[i] += basis[2, i]
        if _has_errors(lon_err[row], lat_err[row]):
            n_weighed += 1
            _add_information(basis, lon_err[row] ** 2, lat_err[row] ** 2, cov[row], information)
    return n, n_weighed


@inlined
def _step(basis: FloatArray, information: FloatArray, direction: FloatArray) -> None:
    """Move from the outward direction of ``basis`` to where the information is least."""
    ee = _between(information, basis[0], basis[0])
    nn = _between(information, basis[1], basis[1])
    en = _between(information, basis[0], basis[1])
    e = -_between(information, basis[0], basis[2])
    n = -_between(information, basis[1], basis[2])
    determinant = ee * nn - en * en
    east, north = (nn * e - en * n) / determinant, (ee * n - en * e) / determinant
    for i in range(3):
        direction[i] = basis[2, i] + east * basis[0, i] + north * basis[1, i]


@inlined
def _scatter(lon: FloatArray, lat: FloatArray, mean: FloatArray, basis: FloatArray) -> tuple[float, float, float]:
    """Sums of squares and products of the offsets, in square degrees, from the place that ``mean`` is the basis of."""
    ee = nn = en = 0.0
    for row in range(len(lon)):
        if np.isfinite(lon[row]) and np.isfinite(lat[row]):
            _basis(np.radians(lon[row]), np.radians(lat[row]), basis)
            east = north = 0.0
            for i in range(3):
                east += np.degrees(basis[2, i] * mean[0, i])
                north += np.degrees(basis[2, i] * mean[1, i])
            ee += east * east
            nn += north * north
            en += east * north
    return ee, nn, en


@jit
def _means(
    lon: FloatArray,
    lat: FloatArray,
    lon_err: FloatArray,
    lat_err: FloatArray,
    cov: FloatArray,
    starts: IntArray,
    found: FloatArray,
) -> None:
    """Fill the five rows of ``found``."""
    basis, own = np.empty((3, 3)), np.empty((3, 3))
    direction, information = np.empty(3), np.empty((3, 3))
    for g in range(len(starts) - 1):
        a, b = starts[g], starts[g + 1]
        n, n_weighed = _gather(lon[a:b], lat[a:b], lon_err[a:b], lat_err[a:b], cov[a:b], own, direction, information)
        if n == 0:
            continue
        _basis_at(direction, basis)
        if n_weighed > 0:
            _step(basis, information, direction)
            _basis_at(direction, basis)
        turn = np.degrees(np.arctan2(basis[2, 1], basis[2, 0])) % 360.0
        found[0, g] = turn if turn < 360.0 else 0.0  # as the remainder of what is hardly below 0 is
        found[1, g] = np.degrees(np.arctan2(basis[2, 2], np.hypot(basis[2, 0], basis[2, 1])))
        if n_weighed > 0:
            ee = _between(information, basis[0], basis[0])
            nn = _between(information, basis[1], basis[1])
            en = _between(information, basis[0], basis[1])
            determinant = ee * nn - en * en
            found[2, g], found[3, g] = np.sqrt(nn / determinant), np.sqrt(ee / determinant)
            found[4, g] = -en / determinant
        elif n > 1:
            ee, nn, en = _scatter(lon[a:b], lat[a:b], basis, own)
            scale = 1.0 / (n * (n - 1.0))
            found[2, g], found[3, g], found[4, g] = np.sqrt(scale * ee), np.sqrt(scale * nn), scale * en
