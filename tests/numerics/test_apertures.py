"""Exact apertures against closed forms and an oversampled twin."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import apertures


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.75, 1.0, 3.3, 12.0])
@pytest.mark.parametrize("center", [(0.0, 0.0), (0.5, 0.5), (0.21, -0.37)])
def test_overlaps_sum_to_the_area_of_the_circle(radius, center):
    """Σ overlap = π r² wherever the centre lies, to rounding."""
    n = int(radius) + 3
    total = sum(
        apertures.overlap(c - center[0], r - center[1], radius) for r in range(-n, n + 1) for c in range(-n, n + 1)
    )
    assert total == pytest.approx(np.pi * radius**2, rel=1e-12)


def test_overlap_equals_the_oversampled_pixel(rng):
    """A pixel of 400x400 sub-pixels counted one by one: the border crosses 800 of 160,000, so 2e-3 at most."""
    t = (np.arange(400) + 0.5) / 400 - 0.5
    for x, y, radius in zip(rng.uniform(-4, 4, 60), rng.uniform(-4, 4, 60), rng.uniform(0.2, 4.5, 60), strict=True):
        expected = ((x + t[None, :]) ** 2 + (y + t[:, None]) ** 2 <= radius**2).mean()
        assert apertures.overlap(x, y, radius) == pytest.approx(expected, abs=2e-3)


def test_sums_leave_masked_pixels_out_and_know_the_edge():
    """On a constant image flux = level x usable area and variance = Σ a² V; what lies off the image is missing."""
    image, mask = np.full((40, 40), 3.0, np.float32), np.zeros((40, 40), np.int32)
    variance = np.full((40, 40), 2.0, np.float32)
    mask[20, 20] = 4
    sums = apertures.aperture_sums(
        image, mask, variance, bits=4, x=np.array([20.2, 0.0, np.nan]), y=np.array([19.9, 20.0, 5.0]), radius=5.0
    )
    area = np.pi * 25
    np.testing.assert_allclose(sums[0, [0, 2, 3]], [3 * (area - 1), area - 1, area], rtol=1e-6)
    assert sums[0, 1] < 2 * (area - 1)
    assert sums[1, 3] == pytest.approx(area / 2 + 0.5 * 10, rel=0.01)
    assert sums[2].tolist() == [0, 0, 0, 0]
