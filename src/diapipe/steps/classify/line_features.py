"""Whether a source is a bit of a line that runs on: of a faint trail, of a row that was read badly."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.steps.classify.seen import Seen

_SECTORS = 32
"""Of a turn; a line fills two neighbouring ones, and the two that are opposite."""
_NEAR, _FAR, _END = 1.25, 2.25, 3.0
"""Distances in FWHM: beyond the source itself, beyond most of its own trail, end of the cut-outs."""
_LARGEST = 50.0
_LEAST_PIXELS = 4.0


def line_features(seen: Seen) -> dict[str, FloatArray]:
    """Features of the light in sectors around a source, each of shape (n,).

    ``line_snr`` and ``line_end`` are the S/N of the fainter half of the best line through the source, beginning beyond
    the source and beyond a trail of its own; ``line_height`` is its mean height over the source's; ``side_snr`` is the
    best S/N of any one half.
    """
    sums, numbers = _sectors(seen)
    every, n = _pairs(sums.sum(axis=1)), _pairs(numbers.sum(axis=1))
    halves, fainter = _significance(every, n)
    _, ends = _significance(_pairs(sums[:, 1]), _pairs(numbers[:, 1]))
    height = (every + _opposite(every)) / np.maximum(n + _opposite(n), 1.0)
    peak = np.maximum(seen.flux * seen.model.max(axis=(1, 2)), 1e-9)
    return {
        "line_snr": np.clip(fainter.max(axis=1), 0.0, _LARGEST),
        "line_end": np.clip(ends.max(axis=1), 0.0, _LARGEST),
        "line_height": np.clip(height[np.arange(len(peak)), fainter.argmax(axis=1)] / peak, -1.0, 1.0),
        "side_snr": np.clip(halves.max(axis=1), 0.0, _LARGEST),
    }


def _sectors(seen: Seen) -> tuple[FloatArray, FloatArray]:
    """Sum of the pulls and number of usable pixels by source, ring and sector; shape (n, 2, `_SECTORS`)."""
    n, middle = len(seen.flux), seen.psf.shape[1] // 2
    offset = np.arange(seen.psf.shape[1]) - middle
    turn = np.arctan2(offset[:, None], offset[None, :]) / (2.0 * np.pi) + 1.0
    sector = (turn * _SECTORS).astype(np.int64) % _SECTORS
    inside = seen.within(_NEAR, _END)
    cell = 2 * _SECTORS * np.arange(n)[:, None, None] + _SECTORS * (seen.radius >= _FAR) + sector
    shape, size = (n, 2, _SECTORS), 2 * n * _SECTORS
    sums = np.bincount(cell[inside], weights=seen.pull[inside], minlength=size)
    return sums.reshape(shape), np.bincount(cell[inside], minlength=size).reshape(shape).astype(np.float64)


def _significance(sums: FloatArray, numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """S/N of every half of a line, and of the fainter half of its line: of the one that is seen, beside a border."""
    halves = sums / np.sqrt(np.maximum(numbers, 1.0))
    told = np.where(numbers >= _LEAST_PIXELS, halves, np.inf)
    fainter = np.minimum(told, _opposite(told))
    return halves, np.where(np.isfinite(fainter), fainter, 0.0)


def _pairs(values: FloatArray) -> FloatArray:
    """Each sector and the next."""
    return values + np.roll(values, -1, axis=1)


def _opposite(values: FloatArray) -> FloatArray:
    """What lies on the other side."""
    return np.roll(values, _SECTORS // 2, axis=1)
