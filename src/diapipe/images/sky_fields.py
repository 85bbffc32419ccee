"""SkyField: images that hang together on the sky, and the rectangle that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from diapipe.errors import InputError, UsageError
from diapipe.numerics.arrays import FloatArray, IntArray, RealArray
from diapipe.numerics.sphere import angle_of, angles_of, chord_of, from_tangent_plane, tangent_plane, unit_vectors

type Corners = tuple[RealArray, RealArray]
"""Right ascensions and declinations of a polygon's corners in order, degrees."""

MAX_RADIUS_DEG = 30.0
"""Beyond it a field is no field; there a tangent plane stretches by a third."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkyField:
    """Images that overlap, or do so with others of the field.

    Attributes
    ----------
    ra_deg, dec_deg
        Middle of the smallest rectangle, with sides to north and east, that holds them.
    width_deg, height_deg
        Its sides.
    regions
        The corners of the images.
    """

    ra_deg: float
    dec_deg: float
    width_deg: float
    height_deg: float
    regions: tuple[Corners, ...]

    @classmethod
    def around(cls, regions: Sequence[Corners]) -> SkyField:
        """The rectangle around images; UsageError if they reach farther than a tangent plane does."""
        ra, dec = (np.concatenate([np.asarray(r[axis], np.float64).ravel() for r in regions]) for axis in (0, 1))
        centre = angles_of(unit_vectors(ra, dec).mean(axis=0))
        for _ in range(2):
            _refuse_beyond(ra, dec, centre)
            plane = tangent_plane(ra, dec, centre)
            centre = from_tangent_plane(0.5 * (plane.min(axis=1) + plane.max(axis=1))[:, None], centre)[:, 0]
        half = np.degrees(np.arctan(np.radians(np.abs(tangent_plane(ra, dec, centre)).max(axis=1))))
        return cls(
            ra_deg=float(centre[0]),
            dec_deg=float(centre[1]),
            width_deg=2.0 * float(half[0]),
            height_deg=2.0 * float(half[1]),
            regions=tuple(regions),
        )


def fields_of(regions: Sequence[Corners]) -> tuple[SkyField, ...]:
    """Images by the fields that they make up, the fields in order of right ascension.

    Notes
    -----
    Two images are of one field if the circles around them touch.
    """
    if not regions:
        return ()
    labels = _labels(*circles_around(regions))
    groups = ([regions[i] for i in np.flatnonzero(labels == label).tolist()] for label in range(labels.max() + 1))
    return tuple(sorted((SkyField.around(group) for group in groups), key=lambda field: (field.ra_deg, field.dec_deg)))


def circles_around(regions: Sequence[Corners]) -> tuple[FloatArray, FloatArray]:
    """Middles as unit vectors, shape (n, 3), and radii in degrees of circles around polygons."""
    middles, radii = np.empty((len(regions), 3)), np.empty(len(regions))
    for i, (ra, dec) in enumerate(regions):
        corners = unit_vectors(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
        middle = corners.sum(axis=0)
        length = float(np.linalg.norm(middle))
        if not length > 0:
            raise InputError(f"region {i} has no middle: its corners are RA {ra}, Dec {dec}")
        middles[i] = middle / length
        radii[i] = angle_of(np.linalg.norm(corners - middles[i], axis=1)).max()
    return middles, radii


def _labels(middles: FloatArray, radii: FloatArray) -> IntArray:
    """Number of the group of each circle; circles that touch are in one group.

    Notes
    -----
    Many images of one field lie almost on each other; those within a twentieth of the smallest radius are taken for
    one circle, enlarged by as much, so that the pairs don't grow as the square of the number of visits.
    """
    cell = max(chord_of(0.05 * float(radii.min())), 1e-9)
    _, first, which = np.unique(np.round(middles / cell), axis=0, return_index=True, return_inverse=True)
    places = middles[first]
    reach = np.zeros(len(first))
    np.maximum.at(reach, which.ravel(), radii + float(angle_of(np.array([np.sqrt(3.0) * cell]))[0]))
    pairs = cKDTree(places).query_pairs(chord_of(2.0 * float(reach.max())), output_type="ndarray")
    apart = angle_of(np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1))
    near = pairs[apart <= reach[pairs].sum(axis=1)]
    links = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(first), len(first)))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)[which.ravel()]


def _refuse_beyond(ra: FloatArray, dec: FloatArray, centre: FloatArray) -> None:
    away = angle_of(np.linalg.norm(unit_vectors(ra, dec) - unit_vectors(*centre), axis=1)).max()
    if not away <= MAX_RADIUS_DEG:
        raise UsageError(
            f"the data reach {away:.0f} degrees from their middle, farther than the {MAX_RADIUS_DEG:g} that tracts "
            "around the data can show; use a sky map of rings"
        )
