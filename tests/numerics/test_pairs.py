"""Which points lie near each other, against the obvious double loop; directions on the sphere."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import pairs
from diapipe.numerics.sphere import angle_of, chord_of, tangent_plane, unit_vectors

RADIUS = 0.7


def loop(points, targets, radius):
    """All pairs by trying each: (first, second, distance), nearest target first for every point."""
    found = []
    for i, a in enumerate(points):
        near = [(np.sqrt(((a - b) ** 2).sum()), j) for j, b in enumerate(targets)]
        found += [(i, j, d) for d, j in sorted(near) if d <= radius]
    return found


@pytest.fixture
def two_lists(rng):
    return rng.uniform(0, 10, (120, 2)), rng.uniform(0, 10, (150, 2))


def test_all_pairs_are_those_of_the_double_loop(two_lists):
    expected = loop(*two_lists, RADIUS)
    found = pairs.all_pairs(*two_lists, radius=RADIUS)
    assert len(expected) > 50
    assert list(zip(found.first, found.second, strict=True)) == [(i, j) for i, j, _ in expected]
    np.testing.assert_allclose(found.distance, [d for *_, d in expected], rtol=1e-12)


def test_the_nearest_is_the_first_of_all(two_lists):
    """Each point once, with the first of its pairs; some target serves two points."""
    first = {i: j for i, j, _ in reversed(loop(*two_lists, RADIUS))}
    found = pairs.nearest(*two_lists, radius=RADIUS)
    assert dict(zip(found.first.tolist(), found.second.tolist(), strict=True)) == first
    assert len(set(found.second.tolist())) < len(found.second)


def test_one_to_one_takes_the_closest_pair_left(two_lists):
    """Nobody twice; the same as walking through all pairs by distance."""
    taken, expected = (set(), set()), []
    for i, j, _ in sorted(loop(*two_lists, RADIUS), key=lambda pair: pair[2]):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            expected.append((i, j))
    found = pairs.one_to_one(*two_lists, radius=RADIUS)
    assert list(zip(found.first, found.second, strict=True)) == sorted(expected)


def test_mutual_pairs_are_each_others_nearest(two_lists):
    """Both directions agree, and they are among the one-to-one pairs."""
    there, back = (pairs.nearest(*lists, radius=RADIUS) for lists in (two_lists, two_lists[::-1]))
    both = set(zip(there.first, there.second, strict=True)) & set(zip(back.second, back.first, strict=True))
    found = pairs.mutual(*two_lists, radius=RADIUS)
    mutual = set(zip(found.first, found.second, strict=True))
    assert mutual == both
    single = pairs.one_to_one(*two_lists, radius=RADIUS)
    assert mutual < set(zip(single.first, single.second, strict=True))


@pytest.mark.parametrize("way", [pairs.all_pairs, pairs.nearest, pairs.one_to_one, pairs.mutual])
def test_empty_lists_and_nan_have_no_partner(way):
    """Nothing, nowhere, and too far."""
    here, nowhere, far = np.zeros((1, 2)), np.array([[np.nan, 0.0]]), np.array([[5.0, 5.0]])
    for first, second in ((here, np.empty((0, 2))), (np.empty((0, 2)), here), (nowhere, here), (here, far)):
        assert len(way(first, second, radius=1.0).first) == 0
    mixed = way(np.concatenate([nowhere, here]), np.concatenate([nowhere, nowhere, here]), radius=1.0)
    assert (mixed.first.tolist(), mixed.second.tolist()) == ([1], [2])


def test_chords_and_angles_are_inverse():
    """From a milliarcsecond to the antipode, to 1e-9 of the angle."""
    angles = np.array([2.8e-7, 1e-3, 1.0, 90.0, 179.0])
    np.testing.assert_allclose(angle_of(np.array([chord_of(a) for a in angles])), angles, rtol=1e-9)


def test_unit_vectors_know_no_seam():
    """RA 359.9999 and 0.0001 on the equator are 0.0002 degrees apart; so are two points over the pole."""
    for a, b in (((359.9999, 0.0), (0.0001, 0.0)), ((10.0, 89.9999), (190.0, 89.9999))):
        first, second = (unit_vectors(*(np.array([v]) for v in place)) for place in (a, b))
        assert float(angle_of(np.linalg.norm(first - second, axis=1))[0]) == pytest.approx(2e-4, rel=1e-6)


def test_tangent_plane_is_the_angle_near_its_centre():
    """A step of 0.01 degrees to the north is (0, 0.01) to the third order in the angle."""
    xi, eta = tangent_plane(np.array([200.0]), np.array([-69.99]), np.array([200.0, -70.0]))
    np.testing.assert_allclose([xi[0], eta[0]], [0.0, 0.01], atol=1e-9)


def test_points_apart_are_those_that_no_earlier_kept_one_is_near(two_lists):
    """The same as taking points one by one, each kept if it is farther than the radius from all that were kept."""
    points, radius = two_lists[0], RADIUS
    points = points[np.isfinite(points).all(axis=1)]
    kept: list[int] = []
    for i, point in enumerate(points):
        if all(np.linalg.norm(point - points[j]) > radius for j in kept):
            kept.append(i)
    assert np.flatnonzero(pairs.apart(points, radius=radius)).tolist() == kept
    assert 1 < len(kept) < len(points)
    assert len(pairs.apart(np.empty((0, 2)), radius=radius)) == 0
