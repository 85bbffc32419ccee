"""Covariance of pixels and white variance: slow twins, and scenes of known noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from diapipe.numerics import noise


def test_covariance_equals_the_slow_twin(rng):
    """Sum over good pairs of products, divided by their number; float32 sums of 200 unit terms are good to 1e-5."""
    tiles = rng.normal(size=(2, 20, 30)).astype(np.float32)
    good = rng.random(tiles.shape) < 0.8
    tiles[~good] = 0.0
    lags = noise.half_plane(2)
    found = noise.pixel_covariance(tiles, good, lags)
    for (dy, dx), value, pairs in zip(lags, found.values, found.pairs, strict=True):
        products = [
            float(tiles[t, y, x]) * float(tiles[t, y + dy, x + dx])
            for t in range(2)
            for y in range(20 - dy)
            for x in range(max(0, -dx), min(30, 30 - dx))
            if good[t, y, x] and good[t, y + dy, x + dx]
        ]
        assert pairs == len(products)
        assert value == pytest.approx(np.mean(products), abs=1e-5)


def test_white_noise_has_no_covariance(rng):
    """All lags but zero within five of their error, 1/sqrt(n)."""
    tiles = rng.normal(0.0, 3.0, (1, 400, 400)).astype(np.float32)
    found = noise.pixel_covariance(tiles, np.ones(tiles.shape, bool), noise.half_plane(4))
    assert found.values[0] == pytest.approx(9.0, rel=5 * np.sqrt(2 / tiles.size))
    assert np.abs(found.values[1:]).max() < 5 * 9.0 / np.sqrt(tiles.size * 0.97)


def test_white_variance_ignores_a_smooth_scene(rng):
    """Stars of FWHM 7 px with ten times the noise's scatter add less than 3%."""
    scene = ndimage.gaussian_filter(rng.normal(size=(1, 300, 300)), (0, 3.0, 3.0))
    tiles = (10.0 * scene / scene.std() + rng.normal(size=scene.shape)).astype(np.float32)
    assert noise.white_variance(tiles, np.ones(tiles.shape, bool)) == pytest.approx(1.0, abs=0.04)


def test_white_variance_of_nothing_is_nan():
    """No five good pixels in a row, no answer."""
    tiles = np.zeros((1, 20, 20), np.float32)
    assert np.isnan(noise.white_variance(tiles, np.zeros(tiles.shape, bool)))
