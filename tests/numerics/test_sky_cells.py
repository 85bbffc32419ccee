"""Cells of the sky: who is near whom, also after points have moved; means that take in measurements."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.hashing import EMPTY
from diapipe.numerics.running_positions import Means, offsets, take_in
from diapipe.numerics.sky_cells import Cells, enter, pairs_within
from diapipe.numerics.sphere import angles_of, chord_of, tangent_plane, unit_vectors

ARCSEC = np.radians(1.0 / 3600.0)
FIELDS = {"middle": (137.0, -30.0), "RA 0": (0.0, 5.0), "north pole": (20.0, 90.0), "south pole": (300.0, -90.0)}


def field(rng, n, centre, radius_arcsec=8.0):
    """Random directions around a point, which may be a pole."""
    middle = unit_vectors(*centre)
    return normalized(middle + rng.normal(size=(n, 3)) * radius_arcsec * ARCSEC)


def normalized(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute(vectors, places, radius):
    """Every pair, one by one."""
    chord = np.linalg.norm(places[:, None] - vectors[None], axis=2)
    return [tuple(pair) for pair in np.argwhere(chord <= radius).tolist()]


def cells_of(vectors, radius):
    cells = Cells.for_points(len(vectors), radius=radius)
    enter(cells, vectors, 0, len(vectors))
    return cells


@pytest.mark.parametrize("centre", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("radius_arcsec", [0.05, 1.0, 30.0])
def test_cells_find_every_neighbour(rng, centre, radius_arcsec):
    """The same pairs as all distances one by one, in the same order; also below the smallest cell (0.2 arcsec)."""
    wide = min(8.0, 10.0 * radius_arcsec)
    vectors, places = field(rng, 200, centre, wide), field(rng, 150, centre, wide)
    radius = chord_of(radius_arcsec / 3600.0)
    found = pairs_within(cells_of(vectors, radius), vectors, places)
    expected = brute(vectors, places, radius)
    assert list(zip(*(index.tolist() for index in found), strict=True)) == expected
    assert len(expected) > 30


def test_a_search_looks_at_few_points(rng):
    """Defect (7) of dia_pipe: it looked through all objects for each source.

    20,000 points on a square degree, cells of 2 arcsec: 0.006 points a cell; five in one have a chance below 1e-6.
    """
    ra, dec = rng.random((2, 20_000))
    cells = cells_of(unit_vectors(ra, dec), chord_of(1.0 / 3600.0))
    _, points = np.unique(cells.cell, return_counts=True)
    assert points.max() < 5
    assert len(points) == np.count_nonzero(cells.keys != EMPTY)


def test_points_take_their_cells_along(rng):
    """Defect (3) of dia_pipe: its index of an object was that of where it was founded. Points move, and are found."""
    vectors, radius = field(rng, 300, (0.0, 0.0)), chord_of(1.0 / 3600.0)
    cells, means = cells_of(vectors, radius), Means(vectors, np.ones((300, 2)), np.ones(300, np.int64))
    for _ in range(4):
        measured, target = field(rng, 100, (0.0, 0.0)), rng.permutation(300)[:100]
        take_in(means, cells, measured, np.full((100, 2), 5.0), target)
        places = field(rng, 100, (0.0, 0.0))
        first, second = pairs_within(cells, vectors, places)
        assert list(zip(first.tolist(), second.tolist(), strict=True)) == brute(vectors, places, radius)


@pytest.mark.parametrize("centre", FIELDS.values(), ids=FIELDS)
def test_a_mean_is_the_weighted_mean(rng, centre):
    """Twin: in the plane that touches the sky at the mean, the weighted offsets are zero, up to the square of offsets.

    At a pole east turns from place to place, so there both axes have one weight.
    """
    vectors = field(rng, 12, centre, radius_arcsec=1.0)
    weights = rng.uniform(1.0, 9.0, (12, 2))
    if abs(centre[1]) == 90.0:
        weights[:, 1] = weights[:, 0]
    means, cells = Means(vectors[:1].copy(), weights[:1].copy(), np.ones(1, np.int64)), cells_of(vectors[:1], 1e-5)
    take_in(means, cells, vectors[1:], weights[1:], np.zeros(11, np.int64))
    east, north = np.empty((2, 12))
    offsets(vectors, means.vectors, np.arange(12), np.zeros(12, np.int64), east, north)
    means_there = (weights * np.stack([east, north], axis=1)).sum(axis=0) / weights.sum(axis=0)
    assert np.abs(means_there).max() < (3.0 * ARCSEC) ** 2
    np.testing.assert_allclose(means.weight[0], weights.sum(axis=0))
    assert means.n_taken[0] == 12


def test_offsets_are_those_of_the_tangent_plane(rng):
    """East and north in radians, against the gnomonic coordinates; they differ by the cube of the offset."""
    vectors = field(rng, 50, (359.9999, -70.0), 3.0)
    ra, dec = angles_of(vectors)
    east, north = np.empty((2, 50))
    offsets(vectors, vectors, np.arange(50), np.zeros(50, np.int64), east, north)
    expected = np.radians(tangent_plane(ra, dec, np.array([ra[0], dec[0]])))
    np.testing.assert_allclose(np.stack([east, north]), expected, atol=1e-14)


def test_angles_are_those_of_the_directions(rng):
    """Forth and back; longitudes in [0, 360), latitudes right at the poles."""
    ra, dec = np.array([0.0, 359.9999999, 180.0, 12.5, 0.0]), np.array([0.0, -89.9999, 0.0, 45.0, 90.0])
    found = angles_of(unit_vectors(ra, dec))
    np.testing.assert_allclose(found, [ra, dec], atol=1e-9)
    assert ((found[0] >= 0) & (found[0] < 360)).all()
