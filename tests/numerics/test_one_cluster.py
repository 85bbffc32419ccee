"""The cluster of smallest values in one dimension."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.one_cluster import k_medians, smallest_cluster


def test_clusters_far_apart_are_told_apart(rng):
    """Three clumps, a hundred of their own widths apart, from any start among them; an idle centre takes nobody."""
    values = np.concatenate([rng.normal(centre, 0.01, 50) for centre in (1.0, 2.0, 3.0)])
    found = k_medians(values, np.array([0.9, 1.7, 3.3, 99.0]))
    np.testing.assert_array_equal(found, np.repeat([0, 1, 2], 50))


def test_medians_are_at_rest(rng):
    """Every value is in the cluster of the nearest median of members: no move improves anything."""
    values = rng.exponential(2.0, 400) + 1.0
    found = k_medians(values, np.array([1.0, 2.0, 4.0, 8.0]))
    medians = np.array([np.median(values[found == k]) for k in range(4)])
    np.testing.assert_array_equal(np.abs(values[:, None] - medians).argmin(axis=1), found)


def test_stars_are_the_smallest(rng):
    """100 stars of width 2 +- 0.02 among 300 galaxies twice as large and more: all stars but the 5% beyond 2 sigma."""
    width = np.concatenate([rng.normal(2.0, 0.02, 100), rng.uniform(4.0, 8.0, 300)])
    found = smallest_cluster(width)
    assert not found[100:].any()
    assert 85 <= found[:100].sum() <= 100


def test_the_clip_sets_what_is_left(rng):
    """At 2 sigma of a Gaussian 95.4% are left, at 1 sigma 68.3%; the scatter of 4000 is 0.7%, three allowed."""
    width = rng.normal(2.0, 0.02, 4000)
    for n_sigma, share in ((2.0, 0.954), (1.0, 0.683)):
        assert smallest_cluster(width, n_sigma=n_sigma, n_iter=1).mean() == pytest.approx(share, abs=0.022)


def test_a_wide_cluster_is_clipped_until_it_is_narrow(rng):
    """Scatter of 30% of the median: clipped again and again; called narrow enough, it is clipped once."""
    width = np.abs(rng.normal(2.0, 0.6, 2000)) + 0.1
    strict, loose = (smallest_cluster(width, n_clusters=1, relative_width=w, n_sigma=1.5).sum() for w in (0.05, 0.5))
    assert strict < loose


def test_equal_values_are_one_cluster():
    """A scatter of zero loses nobody; no values, no members; few are not clipped."""
    assert smallest_cluster(np.full(20, 2.0)).all()
    assert smallest_cluster(np.empty(0)).shape == (0,)
    assert smallest_cluster(np.array([2.0, 2.1, 9.0])).tolist() == [True, True, False]
