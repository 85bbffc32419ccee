"""Spokes: what the slow sum over every pixel gives."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.spokes import fill_spokes, wheel

EDGES, N_SECTORS = np.array([1.0, 2.5, 4.3]), 8


def slow(image, mask, variance, row, column):
    """Every pixel of the image by its distance and direction."""
    out = np.zeros((2, len(EDGES) - 1, N_SECTORS))
    for i, j in np.ndindex(image.shape):
        distance = np.hypot(i - row, j - column)
        turn = (np.arctan2(i - row, j - column) / (2 * np.pi)) % 1.0
        for ring in range(len(EDGES) - 1):
            good = mask[i, j] & 1 == 0 and 0 < variance[i, j] < np.inf and np.isfinite(image[i, j])
            if EDGES[ring] <= distance < EDGES[ring + 1] and good:
                out[:, ring, int(turn * N_SECTORS)] += image[i, j] / np.sqrt(variance[i, j]), 1.0
    return out


def test_sums_are_those_of_the_slow_twin(rng):
    """Inside, beside a corner and off the image; masked, infinite, missing and noiseless pixels are left out."""
    image = rng.normal(size=(15, 18)).astype(np.float32)
    variance = rng.uniform(0.5, 2.0, (15, 18)).astype(np.float32)
    mask = (rng.random((15, 18)) < 0.2).astype(np.int32) * 3
    image[7, 8], image[8, 9], variance[6, 9], variance[9, 9] = np.nan, np.inf, np.inf, 0.0
    rows, columns = np.array([7, 0, 14, 30]), np.array([9, 1, 17, 9])
    found = np.full((4, 2, (len(EDGES) - 1) * N_SECTORS), np.nan)
    fill_spokes(image, mask, variance, 1, rows, columns, wheel(EDGES, N_SECTORS), found)
    for k in range(3):
        expected = slow(image, mask, variance, rows[k], columns[k])
        np.testing.assert_allclose(found[k].reshape(expected.shape), expected, atol=1e-5)
    assert not found[3].any()


def test_cells_are_numbered_from_x_towards_y():
    """The middle is none; what lies along x is in the first sector, along y a quarter of a turn on."""
    cells = wheel(EDGES, N_SECTORS)
    middle = len(cells) // 2
    assert cells[middle, middle] == -1
    assert cells[middle, middle + 2] == 0
    assert cells[middle + 2, middle] == N_SECTORS // 4
    assert cells[middle, middle - 4] == N_SECTORS + N_SECTORS // 2
