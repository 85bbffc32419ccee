"""Padding: found to the pixel, and nothing else taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.padding import constant_regions


@pytest.mark.parametrize("value", [0.0, -999.0])
def test_a_padded_border_is_found_to_the_pixel(value: float, rng: np.random.Generator) -> None:
    """A slanted border, no multiple of the block: all padded pixels farther than a block's corner, no other."""
    image = rng.normal(100.0, 5.0, (203, 157)).astype(np.float32)
    y, x = np.mgrid[:203, :157]
    padded = x + 0.2 * y < 60
    image[padded] = value
    np.testing.assert_array_equal(constant_regions(image), padded)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 10.0])
def test_noise_in_whole_counts_is_no_padding(sigma: float, rng: np.random.Generator) -> None:
    """At σ = 0.5 two of three pixels are equal; 64 in a square are not."""
    assert constant_regions(np.round(rng.normal(3.0, sigma, (1000, 1000))).astype(np.float32)) is None


def test_a_flat_top_is_no_padding(rng: np.random.Generator) -> None:
    image = rng.normal(100.0, 5.0, (128, 128)).astype(np.float32)
    image[32:64, 40:80] = 65535.0
    assert constant_regions(image, below=30_000.0) is None
    assert constant_regions(image) is not None


def test_missing_values_are_no_padding() -> None:
    assert constant_regions(np.full((64, 64), np.nan, np.float32)) is None
