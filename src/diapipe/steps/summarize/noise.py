"""What the noise of a difference claims, against what it is: on sky where nothing was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diapipe.images import UNUSABLE_DIFFERENCE, Box, MaskedImage, MaskPlane
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.stats import robust_sigma, thinned

MAX_LAG_PX = 4
"""The autocorrelation is measured up to this lag along either axis."""
_BLOCK_PX = 256
_BLOCKS_PER_SIDE = 4
_OUTLIER_SIGMA = 5.0
_SAMPLE = 20_000
_EDGES = np.linspace(-6.0, 6.0, 49)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoiseCheck:
    """Statistics of source-free pixels of a difference; NaN where there are too few.

    Attributes
    ----------
    n_pixels
        Source-free pixels that were looked at (blocks spread over the image).
    pixel_sigma
        Scatter of pixels over their claimed sigma; 1 where the variance plane is right.
    lag1_x, lag1_y
        Correlation of neighbours; 0 for white noise.
    autocorrelation
        Shape (2 `MAX_LAG_PX` + 1, same), 1 at the centre.
    score_mean, score_sigma
        Of the matched-filter score; 0 and 1 where a threshold of 5 means 5 sigma.
    score_edges, score_counts
        Its histogram.
    """

    n_pixels: int
    pixel_sigma: float
    lag1_x: float
    lag1_y: float
    autocorrelation: FloatArray
    score_mean: float
    score_sigma: float
    score_edges: FloatArray
    score_counts: IntArray


def check_noise(difference: MaskedImage, score: MaskedImage, science: MaskedImage) -> NoiseCheck:
    """Measure the noise where neither the difference nor the science image has a source.

    Parameters
    ----------
    difference
        Pixels and claimed variance.
    score
        Its matched-filter score, in sigma, with DETECTED planes in its mask.
    science
        The science image; its own DETECTED plane, if set, keeps stars out.
    """
    side = 2 * MAX_LAG_PX + 1
    products, pairs = np.zeros((side, side)), np.zeros((side, side))
    scores = []
    for box in _blocks(difference.box):
        empty = _empty_sky(difference[box], score[box], science[box])
        cut = difference[box]
        relative = np.where(empty, cut.image, 0.0) / np.sqrt(np.where(empty, cut.variance, 1.0))
        scatter = robust_sigma(thinned(relative[empty], _SAMPLE)) if empty.any() else 1.0
        empty &= np.abs(relative) < _OUTLIER_SIGMA * max(1.0, scatter)
        _add_lagged(products, pairs, np.where(empty, relative, 0.0).astype(np.float32), empty)
        value = score[box].image
        scores.append(value[empty & np.isfinite(value)])
    return _of_sums(products, pairs, np.concatenate(scores))


def _of_sums(products: FloatArray, pairs: FloatArray, scores: Float32Array) -> NoiseCheck:
    """Ratios of the accumulated sums."""
    centre = MAX_LAG_PX
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = products / pairs
        correlation = covariance / covariance[centre, centre]
    spread = robust_sigma(thinned(scores, _SAMPLE)) if len(scores) else 1.0
    kept = scores[np.abs(scores) < _OUTLIER_SIGMA * max(spread, 1.0)].astype(np.float64) if len(scores) else scores
    counts, _ = np.histogram(scores, bins=_EDGES)
    return NoiseCheck(
        n_pixels=int(pairs[centre, centre]),
        pixel_sigma=float(np.sqrt(covariance[centre, centre])),
        lag1_x=float(correlation[centre, centre + 1]),
        lag1_y=float(correlation[centre + 1, centre]),
        autocorrelation=correlation,
        score_mean=float(kept.mean()) if len(kept) else float("nan"),
        score_sigma=float(kept.std()) if len(kept) else float("nan"),
        score_edges=_EDGES,
        score_counts=counts.astype(np.int64),
    )


def _blocks(box: Box) -> Iterator[Box]:
    """Blocks spread evenly over the image: enough pixels for three digits, the same ones every time."""
    rows, columns = _starts(box.y0, box.height), _starts(box.x0, box.width)
    for y in rows:
        for x in columns:
            block = Box(y, y + _BLOCK_PX, x, x + _BLOCK_PX).intersect(box)
            if block is not None:
                yield block


def _starts(first: int, length: int) -> list[int]:
    """Where the blocks begin along one axis."""
    n = min(_BLOCKS_PER_SIDE, -(-length // _BLOCK_PX))
    if n * _BLOCK_PX >= length:
        return [first + k * _BLOCK_PX for k in range(n)]
    gap = (length - n * _BLOCK_PX) / n
    return [first + int((k + 0.5) * gap + k * _BLOCK_PX) for k in range(n)]


def _empty_sky(difference: MaskedImage, score: MaskedImage, science: MaskedImage) -> BoolArray:
    """Usable pixels outside all footprints."""
    detected = np.int32(int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE))
    empty = difference.usable(UNUSABLE_DIFFERENCE)
    empty &= ((score.mask | science.mask) & detected) == 0
    return empty


def _add_lagged(products: FloatArray, pairs: FloatArray, values: Float32Array, good: BoolArray) -> None:
    """Add a block's sums of v(x) v(x + lag) over pairs of good pixels, for all lags; ``values`` are 0 elsewhere."""
    height, width = values.shape
    weight = good.astype(np.float32)
    for dy in range(MAX_LAG_PX + 1):
        for dx in range(-MAX_LAG_PX if dy else 0, MAX_LAG_PX + 1):
            here = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
            there = (slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
            product = float(np.einsum("ij,ij->", values[here], values[there]))
            pair = float(np.einsum("ij,ij->", weight[here], weight[there]))
            for sign in {1, -1} if (dy, dx) != (0, 0) else {1}:
                products[MAX_LAG_PX + sign * dy, MAX_LAG_PX + sign * dx] += product
                pairs[MAX_LAG_PX + sign * dy, MAX_LAG_PX + sign * dx] += pair
