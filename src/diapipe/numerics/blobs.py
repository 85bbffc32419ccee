"""Connected groups of flagged pixels in a large mask, as lists: cost by the flagged pixels, not by the image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import Float32Array, IntArray, MaskArray
from diapipe.numerics.jit import jit


class Blobs(NamedTuple):
    """Flagged pixels and the group of each; shape (n,), pixels in row order, groups numbered from 0."""

    y: IntArray
    x: IntArray
    group: IntArray
    n_groups: int


@jit
def pixels_with(mask: MaskArray, bits: int) -> IntArray:
    """Flat indices of the pixels that have any of ``bits``, in order."""
    n_rows, n_columns = mask.shape
    capacity, n = 1024, 0
    found = np.empty(capacity, np.int64)
    for y in range(n_rows):
        any_bits = 0
        for x in range(n_columns):
            any_bits |= mask[y, x]
        if any_bits & bits == 0:
            continue
        for x in range(n_columns):
            if mask[y, x] & bits != 0:
                if n == capacity:
                    found = np.append(found, np.empty_like(found))
                    capacity *= 2
                found[n] = y * n_columns + x
                n += 1
    return found[:n]


@jit
def pixels_above(image: Float32Array, level: float) -> IntArray:
    """Flat indices of the pixels above a level, in order; NaN is not."""
    n_rows, n_columns = image.shape
    limit = np.float32(level)
    capacity, n = 1024, 0
    found = np.empty(capacity, np.int64)
    for y in range(n_rows):
        number = 0
        for x in range(n_columns):
            number += 1 if image[y, x] > limit else 0
        if number == 0:
            continue
        for x in range(n_columns):
            if image[y, x] > limit:
                if n == capacity:
                    found = np.append(found, np.empty_like(found))
                    capacity *= 2
                found[n] = y * n_columns + x
                n += 1
    return found[:n]


@jit
def set_around(mask: MaskArray, pixels: IntArray, radius: int, bit: int) -> None:
    """Set ``bit`` within ``radius`` + 0.5 of every listed pixel, in place."""
    n_rows, n_columns = mask.shape
    limit = (radius + 0.5) ** 2
    for index in pixels:
        row, column = index // n_columns, index % n_columns
        for y in range(max(0, row - radius), min(n_rows, row + radius + 1)):
            for x in range(max(0, column - radius), min(n_columns, column + radius + 1)):
                if (y - row) ** 2 + (x - column) ** 2 <= limit:
                    mask[y, x] |= bit


@jit
def _root(parent: IntArray, i: int) -> int:
    """Representative of a group, with the path halved on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@jit
def _group(pixels: IntArray, n_columns: int) -> tuple[IntArray, int]:
    """Group of each pixel, 8-connected; pixels sorted by flat index."""
    n = len(pixels)
    parent = np.arange(n)
    for i in range(n):
        column = pixels[i] % n_columns
        if i > 0 and column > 0 and pixels[i - 1] == pixels[i] - 1:
            parent[_root(parent, i)] = _root(parent, i - 1)
        for step in range(-1, 2):
            if column + step < 0 or column + step >= n_columns:
                continue
            above = pixels[i] - n_columns + step
            k = np.searchsorted(pixels[:i], above)
            if k < i and pixels[k] == above:
                parent[_root(parent, i)] = _root(parent, k)
    number = np.full(n, -1, np.int64)
    group = np.empty(n, np.int64)
    n_groups = 0
    for i in range(n):
        root = _root(parent, i)
        if number[root] < 0:
            number[root] = n_groups
            n_groups += 1
        group[i] = number[root]
    return group, n_groups


def blobs_of(mask: MaskArray, bits: int) -> Blobs:
    """Groups of 8-connected pixels that have any of ``bits``; ``mask`` has shape (rows, columns)."""
    pixels = pixels_with(mask, bits)
    group, n_groups = _group(pixels, mask.shape[1])
    return Blobs(pixels // mask.shape[1], pixels % mask.shape[1], group, int(n_groups))
