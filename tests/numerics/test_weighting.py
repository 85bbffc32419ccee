"""Blocks of pixels and their weights, beside plain NumPy."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.weighting import MEAN_HALF, cut_blocks, weighted_blocks


def test_weights_are_one_over_the_mean_variance_around(rng):
    """Each weight is n / ΣV over the usable pixels of the 5x5 around; 0, as are value and variance, where unusable.

    Blocks in the middle, over each edge and wholly outside; masked, infinite and impossible pixels.
    """
    shape, half = (40, 50), 6
    image = rng.normal(size=shape).astype(np.float32)
    variance = rng.uniform(1.0, 3.0, shape).astype(np.float32)
    mask = np.where(rng.random(shape) < 0.1, 5, 2).astype(np.int32)
    image[10, 10], variance[12, 14], variance[20, 20] = np.nan, 0.0, np.inf
    rows, columns = np.array([12, 20, 1, 39, 25, 100]), np.array([14, 25, 2, 30, 49, 10])
    values, spread, weights = weighted_blocks(image, mask, variance, bits=4, rows=rows, columns=columns, half=half)
    wide = cut_blocks(image, mask, variance, bits=4, rows=rows, columns=columns, half=half + MEAN_HALF)
    inner = slice(MEAN_HALF, -MEAN_HALF)
    np.testing.assert_array_equal(values, wide[0][:, inner, inner])
    np.testing.assert_array_equal(spread, wide[1][:, inner, inner])
    for k, r, c in np.ndindex(weights.shape):
        around = (k, slice(r, r + 5), slice(c, c + 5))
        good = wide[2][around]
        expected = good.sum() / wide[1][around][good].sum(dtype=np.float64) if good[2, 2] else 0.0
        np.testing.assert_allclose(weights[k, r, c], expected, rtol=1e-6)
