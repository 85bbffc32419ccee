"""Open-addressed hash tables of whole numbers, for loops that are compiled: an array of keys, linear probing."""

from __future__ import annotations

import math

import numpy as np

from diapipe.numerics.arrays import BoolArray, IntArray
from diapipe.numerics.jit import inlined, jit

EMPTY = np.iinfo(np.int64).min
"""What stands where no key does."""

MOST_FULL = 0.5
"""Share of a table that may be taken: beyond it a search grows long."""


def table_size(n_keys: int) -> int:
    """Slots of a table for so many keys: a power of two."""
    return max(16, 1 << math.ceil(math.log2(max(n_keys, 1) / MOST_FULL)))


def empty_table(n_keys: int) -> IntArray:
    """A table with room for ``n_keys`` keys."""
    return np.full(table_size(n_keys), EMPTY, np.int64)


@inlined
def slot_of(keys: IntArray, key: int) -> int:
    """Where a key stands, or the empty slot where it would."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hashing, by the golden ratio
    slot = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(len(keys) - 1))
    while keys[slot] != EMPTY and keys[slot] != key:
        slot = (slot + 1) & (len(keys) - 1)
    return int(slot)


@jit
def enter_keys(keys: IntArray, wanted: IntArray, is_new: BoolArray) -> int:
    """Put numbers into the table, and write which were not there, nor earlier in the list; returns how many.

    The table must have room for all of them.
    """
    n = 0
    for i in range(len(wanted)):
        slot = slot_of(keys, wanted[i])
        is_new[i] = keys[slot] == EMPTY
        if is_new[i]:
            keys[slot] = wanted[i]
            n += 1
    return n


class NumberSet:
    """A set of whole numbers that grows, for millions of them: 16 to 32 bytes each."""

    __slots__ = ("_keys", "_n")

    def __init__(self) -> None:
        self._keys = empty_table(0)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, numbers: IntArray) -> BoolArray:
        """Put numbers in; which of them were not there before, nor earlier in this list. Shape (n,)."""
        if self._n + len(numbers) > MOST_FULL * len(self._keys):
            held = self._keys[self._keys != EMPTY]
            self._keys = empty_table(2 * (self._n + len(numbers)))
            enter_keys(self._keys, held, np.empty(len(held), np.bool_))
        is_new = np.empty(len(numbers), np.bool_)
        self._n += enter_keys(self._keys, np.ascontiguousarray(numbers, dtype=np.int64), is_new)
        return is_new
