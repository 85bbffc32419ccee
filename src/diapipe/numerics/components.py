"""Connected pixels of an image, kept as runs (pieces of rows): the cost is that of the few pixels above threshold.

A run is (row, first column, last column + 1); runs are sorted by row, then by column.
"""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit

_LOOK = 64


@jit
def _count_above(image: Float32Array, threshold: float) -> int:
    """Number of pixels with absolute value above the threshold; NaN never is."""
    limit = np.float32(threshold)
    total = 0
    for r in range(image.shape[0]):
        n = 0
        row = image[r]
        for c in range(image.shape[1]):
            n += 1 if abs(row[c]) > limit else 0
        total += n
    return total


@jit
def _fill_runs(image: Float32Array, threshold: float, runs: IntArray) -> int:
    """Write (row, first, last + 1, sign) of every run; returns how many there are."""
    limit = np.float32(threshold)
    n_columns, n = image.shape[1], 0
    for r in range(image.shape[0]):
        row = image[r]
        sign = 0
        for first in range(0, n_columns, _LOOK):
            last = min(first + _LOOK, n_columns)
            seen = 0
            for c in range(first, last):
                seen += 1 if abs(row[c]) > limit else 0
            if seen == 0 and sign == 0:
                continue
            for c in range(first, last):
                here = 1 if row[c] > limit else (-1 if row[c] < -limit else 0)
                if here == sign:
                    continue
                if sign != 0:
                    runs[n - 1, 2] = c
                if here != 0:
                    runs[n, 0], runs[n, 1], runs[n, 3] = r, c, here
                    n += 1
                sign = here
        if sign != 0:
            runs[n - 1, 2] = n_columns
    return n


def runs_above(image: Float32Array, threshold: float) -> IntArray:
    """Runs of pixels above ``+threshold`` or below ``-threshold``.

    Parameters
    ----------
    image
        Shape (rows, columns), C-contiguous; NaN belongs to no run.
    threshold
        Positive.

    Returns
    -------
    IntArray
        Shape (n, 4): row, first column, last column + 1, sign (+1 or -1); sorted by row and column.
    """
    runs = np.zeros((_count_above(image, threshold), 4), np.int64)
    return runs[: _fill_runs(image, threshold, runs)]


@jit
def _count_bits(mask: MaskArray, bits: int) -> int:
    """Number of pixels with any of the bits."""
    total, wanted = 0, np.int32(bits)
    for r in range(mask.shape[0]):
        n = 0
        for c in range(mask.shape[1]):
            n += 1 if (mask[r, c] & wanted) != 0 else 0
        total += n
    return total


@jit
def _fill_bit_runs(mask: MaskArray, bits: int, runs: IntArray) -> int:
    """Write (row, first, last + 1) of every run of pixels with any of the bits; returns how many there are."""
    n, width, wanted = 0, mask.shape[1], np.int32(bits)
    for r in range(mask.shape[0]):
        inside = False
        for first in range(0, width, _LOOK):
            last = min(first + _LOOK, width)
            seen = np.int32(0)
            for c in range(first, last):
                seen |= mask[r, c]
            if (seen & wanted) == 0 and not inside:
                continue
            for c in range(first, last):
                here = (mask[r, c] & wanted) != 0
                if here and not inside:
                    runs[n, 0], runs[n, 1] = r, c
                    n += 1
                elif inside and not here:
                    runs[n - 1, 2] = c
                inside = here
        if inside:
            runs[n - 1, 2] = width
    return n


def runs_of_bits(mask: MaskArray, bits: int) -> IntArray:
    """Runs of pixels with any of the bits; shape (n, 3), sorted."""
    runs = np.zeros((_count_bits(mask, bits), 3), np.int64)
    return runs[: _fill_bit_runs(mask, bits, runs)]


def pixels_of(runs: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Row and column of every pixel of the runs, in order, and the index of its run."""
    lengths = runs[:, 2] - runs[:, 1]
    run = np.repeat(np.arange(len(runs)), lengths)
    along = np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return runs[run, 0], runs[run, 1] + along, run


@inlined
def _root(parent: IntArray, i: int) -> int:
    """Representative of a set, halving the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@jit
def _join_neighbours(runs: IntArray, parent: IntArray) -> None:
    """Unite runs of neighbouring rows that touch, diagonally too."""
    above = 0
    for i in range(len(runs)):
        parent[i] = i
        row, first, last = runs[i, 0], runs[i, 1], runs[i, 2]
        while above < i and (runs[above, 0] < row - 1 or (runs[above, 0] == row - 1 and runs[above, 2] < first)):
            above += 1
        j = above
        while j < i and runs[j, 0] == row - 1 and runs[j, 1] <= last:
            a, b = _root(parent, i), _root(parent, j)
            parent[max(a, b)] = min(a, b)
            j += 1


@jit
def _number(parent: IntArray, labels: IntArray) -> int:
    """Give the sets consecutive numbers in the order of their first runs; returns how many there are."""
    n = 0
    for i in range(len(parent)):
        root = _root(parent, i)
        if root == i:
            labels[i] = n
            n += 1
        else:
            labels[i] = labels[root]
    return n


def label_runs(runs: IntArray) -> tuple[IntArray, int]:
    """Eight-connected components of runs, by union-find.

    Parameters
    ----------
    runs
        Shape (n, >= 3), sorted by row and column; no two runs of a row overlap.

    Returns
    -------
    tuple
        The component of every run, shape (n,), numbered from 0 by first appearance, and the number of components.
    """
    parent, labels = np.empty(len(runs), np.int64), np.empty(len(runs), np.int64)
    _join_neighbours(runs, parent)
    return labels, _number(parent, labels)


def disk_half_widths(radius: float) -> IntArray:
    """Half-width of a disk of pixels in each row from -radius to +radius; shape (2 floor(radius) + 1,)."""
    reach = int(radius)
    dy = np.arange(-reach, reach + 1)
    return np.floor(np.sqrt(radius**2 - dy**2)).astype(np.int64)


def diamond_half_widths(radius: float) -> IntArray:
    """Half-width of a diamond, the pixels at most ``radius`` steps away, in each row; as `disk_half_widths`."""
    reach = int(radius)
    return reach - np.abs(np.arange(-reach, reach + 1))


@jit
def _merge_sorted(runs: IntArray) -> int:
    """Unite overlapping or adjacent runs of sorted rows in place; returns how many are left."""
    n = 0
    for i in range(len(runs)):
        if n > 0 and runs[n - 1, 0] == runs[i, 0] and runs[i, 1] <= runs[n - 1, 2]:
            runs[n - 1, 2] = max(runs[n - 1, 2], runs[i, 2])
        else:
            runs[n, 0], runs[n, 1], runs[n, 2] = runs[i, 0], runs[i, 1], runs[i, 2]
            n += 1
    return n


def grow_runs(runs: IntArray, radius: float, shape: tuple[int, int], *, isotropic: bool = True) -> IntArray:
    """Every pixel within ``radius`` pixels of a run, clipped to the image.

    Parameters
    ----------
    runs
        Shape (n, >= 3).
    radius
        In pixels; 0 only unites runs that touch in their row.
    shape
        Rows and columns of the image.
    isotropic
        Whether distances are those of the plane; otherwise columns plus rows are counted.

    Returns
    -------
    IntArray
        Shape (m, 3), sorted, no two runs of a row touching.
    """
    half = disk_half_widths(radius) if isotropic else diamond_half_widths(radius)
    dy = np.arange(len(half)) - len(half) // 2
    grown = np.empty((len(runs), len(half), 3), np.int64)
    grown[:, :, 0] = runs[:, None, 0] + dy
    grown[:, :, 1] = np.maximum(runs[:, None, 1] - half, 0)
    grown[:, :, 2] = np.minimum(runs[:, None, 2] + half, shape[1])
    flat = grown.reshape(-1, 3)
    flat = flat[(flat[:, 0] >= 0) & (flat[:, 0] < shape[0])]
    flat = np.ascontiguousarray(flat[np.argsort(flat[:, 0] * shape[1] + flat[:, 1], kind="stable")])
    return flat[: _merge_sorted(flat)]


@jit
def component_at(runs: IntArray, labels: IntArray, rows: IntArray, columns: IntArray, found: IntArray) -> None:
    """Component that holds each pixel, by bisection in the sorted runs; -1 where none does."""
    for k in range(len(rows)):
        low, high = 0, len(runs)
        while low < high:
            middle = (low + high) // 2
            if runs[middle, 0] < rows[k] or (runs[middle, 0] == rows[k] and runs[middle, 2] <= columns[k]):
                low = middle + 1
            else:
                high = middle
        inside = low < len(runs) and runs[low, 0] == rows[k] and runs[low, 1] <= columns[k]
        found[k] = labels[low] if inside else -1


@jit
def paint(mask: MaskArray, runs: IntArray, bits: int) -> None:
    """Set bits in the pixels of the runs."""
    for i in range(len(runs)):
        for c in range(runs[i, 1], runs[i, 2]):
            mask[runs[i, 0], c] |= np.int32(bits)
