"""Assignment of most worth where most have no choice: exact, component by component."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from diapipe.numerics.arrays import FloatArray, IntArray


def most_worth(first: IntArray, second: IntArray, worth: FloatArray, *, n_first: int) -> IntArray:
    """Partner of each of the first kind, -1 for none, so that none is taken twice and the worths sum up to the most.

    Parameters
    ----------
    first, second
        Indices of the pairs that may be made, in the order of both, shape (k,).
    worth
        What each pair is worth against both staying alone; one that is worth nothing is not made.
    n_first
        How many there are of the first kind.

    Returns
    -------
    IntArray
        Shape (n_first,). The same for the same pairs; among equal sums SciPy's solver chooses by the order of indices.

    Notes
    -----
    Pairs that no chain of others joins do not know of each other, so each connected component has its own optimum. A
    pair alone in its component is made at once; the others are assignment problems (Crouse 2016, as in SciPy).
    """
    partner = np.full(n_first, -1, np.int64)
    rows = np.flatnonzero(worth > 0.0)
    alone = _times(first[rows]) * _times(second[rows]) == 1
    partner[first[rows[alone]]] = second[rows[alone]]
    for part in _components(first, second, rows[~alone], n_first):
        here, at = np.unique(first[part], return_inverse=True)
        there, to = np.unique(second[part], return_inverse=True)
        cost = np.zeros((len(here), len(there) + len(here)))  # as many columns for those who stay alone
        cost[at, to] = -worth[part]
        row, column = linear_sum_assignment(cost)
        made = (column < len(there)) & (cost[row, column] < 0.0)
        partner[here[row[made]]] = there[column[made]]
    return partner


def _times(numbers: IntArray) -> IntArray:
    """How often the number at each place is in the list."""
    _, at, times = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray(times[at])


def _components(first: IntArray, second: IntArray, rows: IntArray, n_first: int) -> Iterator[IntArray]:
    """The rows of the pairs of each connected component."""
    if len(rows) == 0:
        return
    nodes, ends = np.unique(np.concatenate([first[rows], n_first + second[rows]]), return_inverse=True)
    here, there = np.split(ends, 2)
    links = coo_array((np.ones(len(rows), np.int8), (here, there)), shape=(len(nodes), len(nodes)))
    _, label = connected_components(links, directed=False)
    order = np.argsort(label[here], kind="stable")
    yield from np.split(rows[order], np.flatnonzero(np.diff(label[here][order])) + 1)
