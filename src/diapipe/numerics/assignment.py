"""Assignment of most worth where most have no choice: exact, component by component."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.hashing import EMPTY, empty_table, slot_of
from diapipe.numerics.jit import inlined, jit

NONE = -1
"""No partner."""


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
        Shape (n_first,). The same for the same pairs.

    Notes
    -----
    Pairs that no chain of others joins do not know of each other, so each connected component has its own optimum. A
    pair alone in its component is made at once; the others are assignment problems, solved by shortest augmenting paths
    with potentials (the Hungarian method: Kuhn 1955, Munkres 1957).
    """
    rows = np.flatnonzero(worth > 0.0)
    first, second, worth = first[rows], second[rows], worth[rows]
    partner = np.full(n_first, NONE, np.int64)
    component = np.arange(n_first)
    keys = empty_table(len(rows))
    _join(first, second, keys, np.empty(len(keys), np.int64), component)
    order = np.argsort(component[first], kind="stable")
    _assign_each(first[order], second[order], worth[order], component, partner)
    return partner


@jit
def _join(first: IntArray, second: IntArray, keys: IntArray, owner: IntArray, component: IntArray) -> None:
    """Number the components: each entry of the first kind gets the smallest index in its own."""
    for pair in range(len(first)):
        slot = slot_of(keys, second[pair])
        if keys[slot] == EMPTY:
            keys[slot], owner[slot] = second[pair], first[pair]
        a, b = _root(component, owner[slot]), _root(component, first[pair])
        component[max(a, b)] = min(a, b)
    for entry in range(len(component)):
        component[entry] = _root(component, entry)


@inlined
def _root(component: IntArray, entry: int) -> int:
    """The smallest entry of a tree."""
    while component[entry] != entry:
        entry = component[entry]
    return entry


@jit
def _assign_each(first: IntArray, second: IntArray, worth: FloatArray, component: IntArray, partner: IntArray) -> None:
    """Write the partners of all; the pairs come component by component."""
    begin = 0
    while begin < len(first):
        end = begin + 1
        while end < len(first) and component[first[end]] == component[first[begin]]:
            end += 1
        if end == begin + 1:
            partner[first[begin]] = second[begin]
        else:
            _assign(first[begin:end], second[begin:end], worth[begin:end], partner)
        begin = end


@inlined
def _assign(first: IntArray, second: IntArray, worth: FloatArray, partner: IntArray) -> None:
    """Write the partners of one component."""
    row, column = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
    rows, columns = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
    n, m = _numbered(first, row, rows), _numbered(second, column, columns)
    cost = np.zeros((n, m + n))  # a column more for each that stays alone
    for pair in range(len(first)):
        cost[row[pair], column[pair]] = -worth[pair]
    taken_by = _least_cost(cost)
    for c in range(m):
        r = taken_by[c]
        if r != NONE and cost[r, c] < 0.0:
            partner[rows[r]] = columns[c]


@inlined
def _numbered(entries: IntArray, number: IntArray, listed: IntArray) -> int:
    """Write a number from 0 for each entry, and the entry of each number, as they come; returns how many there are."""
    n = 0
    for k in range(len(entries)):
        listed[n] = entries[k]  # found at the latest there
        at = 0
        while listed[at] != entries[k]:
            at += 1
        number[k] = at
        n = max(n, at + 1)
    return n


@inlined
def _least_cost(cost: FloatArray) -> IntArray:
    """Row that has each column, -1 for none, at the least sum; there are at least as many columns as rows.

    Row after row is brought in along the path of least reduced cost; potentials keep reduced costs non-negative.
    """
    n, m = cost.shape
    of_row, of_column = np.zeros(n), np.zeros(m)
    taken_by = np.full(m, NONE)
    for new in range(n):
        least, before, done = np.full(m, np.inf), np.full(m, NONE), np.zeros(m, np.bool_)
        row, here = new, NONE
        while row != NONE:
            step, there = np.inf, NONE
            for column in range(m):
                if done[column]:
                    continue
                reduced = cost[row, column] - of_row[row] - of_column[column]
                if reduced < least[column]:
                    least[column], before[column] = reduced, here
                if least[column] < step:
                    step, there = least[column], column
            of_row[new] += step
            for column in range(m):
                if done[column]:
                    of_row[taken_by[column]] += step
                    of_column[column] -= step
                else:
                    least[column] -= step
            here, done[there] = there, True
            row = taken_by[here]
        while here != NONE:
            earlier = before[here]
            taken_by[here] = new if earlier == NONE else taken_by[earlier]
            here = earlier
    return taken_by
