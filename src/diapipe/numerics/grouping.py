"""Rows brought together by group in two passes: counted, then put in their places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import IntArray
from diapipe.numerics.jit import jit


class Groups(NamedTuple):
    """Rows by group: those of group g are ``rows[starts[g] : starts[g + 1]]``.

    Attributes
    ----------
    rows
        Indices, shape (m,); within a group in the order that they were given in.
    starts
        Shape (n_groups + 1,).
    """

    rows: IntArray
    starts: IntArray

    def every(self, n: int) -> Groups:
        """The same rows in groups of n that followed each other."""
        return Groups(self.rows, self.starts[::n].copy())


def groups_of(group: IntArray, *, n_groups: int, order: IntArray) -> Groups:
    """Bring rows together by their group; linear in their number.

    Parameters
    ----------
    group
        Group of each row, shape (n,), from 0; negative for a row of none.
    n_groups
        How many groups there are.
    order
        Indices of the rows in the order that they shall have within their groups.
    """
    starts = np.zeros(n_groups + 1, np.int64)
    np.cumsum(np.bincount(group[group >= 0], minlength=n_groups), out=starts[1:])
    rows = np.empty(starts[-1], np.int64)
    _place(group, order, starts[:-1].copy(), rows)
    return Groups(rows, starts)


@jit
def _place(group: IntArray, order: IntArray, free: IntArray, rows: IntArray) -> None:
    """Put each row at the next free place of its group."""
    for row in order:
        g = group[row]
        if g >= 0:
            rows[free[g]] = row
            free[g] += 1
