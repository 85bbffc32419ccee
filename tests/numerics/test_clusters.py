"""Clusters of points of many images, against the definition step by step."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.clusters import clusters


def slow_clusters(points, weights, image, radius):
    """The two closest clusters of no common image become one, until none are within the radius."""
    groups = [[k] for k in range(len(points))]

    def mean(group):
        return np.average(points[group], axis=0, weights=weights[group])

    while True:
        near = [
            (np.linalg.norm(mean(a) - mean(b)), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups)
            if i < j and not set(image[a]) & set(image[b])
        ]
        if not near or min(near)[0] > radius:
            label = np.empty(len(points), int)
            for number, group in enumerate(sorted(groups, key=min)):
                label[group] = number
            return label
        _, i, j = min(near)
        groups[i] = sorted(groups[i] + groups.pop(j))
        groups.sort(key=min)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n_images", [3, 90])
def test_the_closest_two_become_one(seed, n_images):
    """The same clusters, also where the images fill more than one word of 64."""
    rng = np.random.default_rng(seed)
    points, weights = rng.normal(size=(25, 3)), rng.uniform(1.0, 4.0, 25)
    image = rng.integers(0, n_images, 25)
    found = clusters(points, weights, image, radius=1.2)
    np.testing.assert_array_equal(found, slow_clusters(points, weights, image, 1.2))
    assert 3 < found.max() < 24


def test_one_image_is_never_joined_to_itself():
    assert clusters(np.zeros((5, 3)), np.ones(5), np.zeros(5, np.int64), radius=1.0).tolist() == [0, 1, 2, 3, 4]


def test_no_points():
    assert len(clusters(np.empty((0, 3)), np.empty(0), np.empty(0, np.int64), radius=1.0)) == 0
