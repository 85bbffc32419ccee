"""Pixels of one image of many that do not agree with the rest: medians, scores, and regions counted over the images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import BoolArray, Float32Array, IntArray, MaskArray
from diapipe.numerics.components import label_runs, runs_above
from diapipe.numerics.jit import inlined, jit

type ByteArray = NDArray[np.uint8]


@jit
def medians(values: Float32Array, good: ByteArray, median: Float32Array, number: MaskArray) -> None:
    """Median over the images at every pixel, and of how many.

    Parameters
    ----------
    values
        Shape (n, rows, columns).
    good
        Not 0 where a value counts; the same shape.
    median, number
        Filled; shape (rows, columns). NaN where there is none.
    """
    n, height, width = values.shape
    found = np.empty((width, n), np.float32)
    for y in range(height):
        row = number[y]
        for x in range(width):
            row[x] = 0
        for i in range(n):
            line, usable = values[i, y], good[i, y]
            for x in range(width):
                if usable[x] != 0:
                    found[x, row[x]] = line[x]
                    row[x] += 1
        for x in range(width):
            median[y, x] = _median(found[x], row[x])


@inlined
def _median(values: Float32Array, n: int) -> float:
    """Median of the first ``n`` values, which are reordered: sorted by insertion if they are few."""
    if n == 0:
        return math.nan
    if n > 48:
        ordered = np.sort(values[:n])  # a median takes as long as three kernels to compile, and n is seldom as large
        return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))
    for k in range(1, n):
        value, i = values[k], k - 1
        while i >= 0 and values[i] > value:
            values[i + 1] = values[i]
            i -= 1
        values[i + 1] = value
    return float(0.5 * (values[(n - 1) // 2] + values[n // 2]))


@jit
def score_beyond(
    off: Float32Array,
    variance: Float32Array,
    allowed: Float32Array,
    good: ByteArray,
    number: MaskArray,
    least: int,
    score: Float32Array,
) -> None:
    """By how many sigma pixels are off by more than is allowed, with the sign of what they are off by.

    Parameters
    ----------
    off
        Image less median.
    variance
        Of the image.
    allowed
        By what sources may differ.
    good
        Not 0 where the image has a say.
    number
        Images of which the median is.
    least
        Where the median is of fewer images the score is 0.
    score
        Filled; all of shape (rows, columns).
    """
    for y in range(off.shape[0]):
        for x in range(off.shape[1]):
            beyond = np.float32(0.0)
            size = abs(off[y, x]) - allowed[y, x]
            if size > 0.0 and good[y, x] != 0 and number[y, x] >= least:
                beyond = size / math.sqrt(variance[y, x])
                beyond = beyond if off[y, x] > 0.0 else -beyond
            score[y, x] = beyond


def significant_regions(score: Float32Array, *, low: float, high: float) -> tuple[IntArray, IntArray, int]:
    """Connected pixels beyond ``low`` in either sign that hold one beyond ``high``.

    Returns
    -------
    tuple
        Runs (row, first column, last column + 1), shape (n, 3); the region of each; how many regions there are.
    """
    runs = runs_above(score, low)
    if len(runs) == 0:
        return np.ascontiguousarray(runs[:, :3]), np.zeros(0, np.int64), 0
    labels, n = label_runs(runs)
    kept = region_peaks(score, runs, labels, n) > high
    number = np.cumsum(kept) - 1
    inside = kept[labels]
    return np.ascontiguousarray(runs[inside, :3]), number[labels[inside]], int(kept.sum())


def region_peaks(image: Float32Array, runs: IntArray, labels: IntArray, n: int) -> Float32Array:
    """Largest size of a pixel in each region, shape (n,); runs and labels of `significant_regions`."""
    peaks = np.zeros(n, np.float32)
    _peaks(image, np.ascontiguousarray(runs[:, :3]), labels, peaks)
    return peaks


@jit
def _peaks(image: Float32Array, runs: IntArray, labels: IntArray, peaks: Float32Array) -> None:
    for k in range(len(runs)):
        for x in range(runs[k, 1], runs[k, 2]):
            peaks[labels[k]] = max(peaks[labels[k]], abs(image[runs[k, 0], x]))


@jit
def count_runs(runs: IntArray, counts: MaskArray) -> None:
    """Add 1 on the pixels of runs."""
    for k in range(len(runs)):
        for x in range(runs[k, 1], runs[k, 2]):
            counts[runs[k, 0], x] += 1


def seldom(
    runs: IntArray, labels: IntArray, n: int, counts: MaskArray, most: MaskArray, *, least_share: float
) -> BoolArray:
    """Regions that at least ``least_share`` of their pixels share with no more than ``most`` images.

    Parameters
    ----------
    runs, labels, n
        Of `significant_regions`.
    counts
        In how many images a pixel is in a region.
    most
        Up to how many are seldom.
    least_share
        Part of the pixels.

    Returns
    -------
    BoolArray
        Shape (n,).
    """
    pixels, few = np.zeros(n), np.zeros(n)
    _count_few(runs, labels, counts, most, pixels, few)
    return np.asarray(few >= least_share * pixels)


@jit
def _count_few(
    runs: IntArray,
    labels: IntArray,
    counts: MaskArray,
    most: MaskArray,
    pixels: NDArray[np.float64],
    few: NDArray[np.float64],
) -> None:
    for k in range(len(runs)):
        y = runs[k, 0]
        for x in range(runs[k, 1], runs[k, 2]):
            pixels[labels[k]] += 1.0
            few[labels[k]] += 1.0 if counts[y, x] <= most[y, x] else 0.0
