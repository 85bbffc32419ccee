"""A forest gives what walking down each of its trees gives."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.forest import Forest, forest_sums


def random_forest(rng, *, n_trees, depth, n_features):
    """Trees whose branches end at random."""
    rows = []

    def grow(level):
        at = len(rows)
        rows.append([0, 0.0, at, at, rng.normal()])
        if level < depth and (level == 0 or rng.random() < 0.7):
            left, right = grow(level + 1), grow(level + 1)
            rows[at] = [rng.integers(n_features), rng.normal(), left, right, 0.0]
        return at

    roots = [grow(0) for _ in range(n_trees)]
    columns = list(zip(*rows, strict=True))
    whole = [np.array(columns[k], dtype=np.int64) for k in (0, 2, 3)]
    real = [np.array(columns[k], dtype=np.float64) for k in (1, 4)]
    return Forest(whole[0], real[0], whole[1], whole[2], real[1], np.array(roots), depth)


def walked(forest, sample):
    """One sample, one tree at a time, one node at a time."""
    total = 0.0
    for node in forest.roots:
        while forest.left[node] != node:
            goes_left = sample[forest.feature[node]] <= forest.threshold[node]
            node = forest.left[node] if goes_left else forest.right[node]
        total += forest.value[node]
    return total


def test_sums_are_those_of_walking_every_tree(rng):
    """To rounding, for more samples than are taken at a time."""
    forest = random_forest(rng, n_trees=9, depth=5, n_features=4)
    table = rng.normal(size=(300, 4))
    np.testing.assert_allclose(forest_sums(forest, table), [walked(forest, row) for row in table], rtol=1e-12)


def test_a_value_on_the_threshold_goes_to_the_left():
    forest = Forest(
        feature=np.array([0, 0, 0]), threshold=np.array([1.5, 0, 0]), left=np.array([1, 1, 2]),
        right=np.array([2, 1, 2]), value=np.array([0.0, 10.0, 20.0]), roots=np.array([0]), depth=1,
    )  # fmt: skip
    np.testing.assert_array_equal(forest_sums(forest, np.array([[1.5], [1.6]])), [10.0, 20.0])


def test_no_samples_no_sums(rng):
    assert forest_sums(random_forest(rng, n_trees=2, depth=2, n_features=3), np.empty((0, 3))).shape == (0,)
