"""Assignment of most worth, against all ways there are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from diapipe.numerics.assignment import most_worth


def best_sum(worth):
    """The largest sum over all one-to-one choices, staying alone included: every permutation of a padded table."""
    n, m = worth.shape
    padded = np.hstack([worth, np.zeros((n, n))])
    return max(sum(padded[i, j] for i, j in enumerate(order)) for order in permutations(range(m + n), n))


def assigned(worth, seed=None):
    first, second = np.nonzero(np.isfinite(worth))
    return most_worth(first, second, worth[first, second], n_first=len(worth))


@pytest.mark.parametrize("seed", range(20))
def test_no_other_assignment_is_worth_more(seed):
    """Sparse tables of 4 by 4, worths of both signs: the best of all permutations, and nobody is taken twice."""
    rng = np.random.default_rng(seed)
    worth = rng.normal(size=(4, 4))
    worth[rng.random((4, 4)) < 0.4] = -np.inf
    partner = assigned(worth)
    made = np.flatnonzero(partner >= 0)
    assert len(set(partner[made].tolist())) == len(made)
    assert worth[made, partner[made]].sum() == pytest.approx(best_sum(np.where(np.isfinite(worth), worth, -1e9)))


@pytest.mark.parametrize("density", [0.02, 0.05, 0.2])
def test_large_problems_have_the_optimum_of_scipy(rng, density):
    """60 by 50, from many small components to one large: the sum is that of SciPy's solver on the whole table."""
    worth = np.where(rng.random((60, 50)) < density, rng.normal(size=(60, 50)), -np.inf)
    partner = assigned(worth)
    made = np.flatnonzero(partner >= 0)
    cost = np.hstack([np.where(np.isfinite(worth), -worth, 1e3), np.zeros((60, 60))])
    assert -worth[made, partner[made]].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum(), abs=1e-9)
    assert len(set(partner[made].tolist())) == len(made) > 10


def test_the_closest_pair_gives_way_where_both_gain_by_it():
    """Greedy would take the 3 and leave the other with nothing; together 2 + 2 is more."""
    assert assigned(np.array([[3.0, 2.0], [2.0, -np.inf]])).tolist() == [1, 0]


def test_what_is_worth_nothing_is_not_made():
    assert assigned(np.array([[0.0, -1.0], [-0.5, 0.0]])).tolist() == [-1, -1]


def test_no_pairs():
    """None to choose from: everybody stays alone."""
    nobody = np.empty(0, np.int64)
    assert most_worth(nobody, nobody, np.empty(0), n_first=3).tolist() == [-1, -1, -1]


def test_equal_choices_are_made_the_same_way_every_time():
    assert assigned(np.ones((3, 2))).tolist() == assigned(np.ones((3, 2))).tolist() == [0, 1, -1]
