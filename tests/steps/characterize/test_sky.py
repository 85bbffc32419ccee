"""The sky of a frame, to its corners, whatever its slope."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import Box
from diapipe.numerics.noise import white_variance
from diapipe.steps.characterize.background import BackgroundMesh, measure_sky

SIDE, NOISE = 768, 10.0


@pytest.mark.parametrize("slope", [0.0, 300.0, -600.0])
def test_a_sloping_curved_sky_is_found_to_its_corners(slope: float, rng: np.random.Generator) -> None:
    """A cell of 96 px holds 576 blocks of 4 x 4 px: its level is known to 0.25 σ √(π/2) / 24 = 0.013 σ, at a corner
    four times worse, where the spline goes on by half a cell; and a hundred faint sources add a little.
    """
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    truth = 500.0 + slope * (x + 0.5 * (y - 0.3) ** 2)
    image = truth + rng.normal(0.0, NOISE, truth.shape)
    for column, row, flux in zip(*rng.uniform(0, SIDE, (2, 100)), rng.uniform(1e3, 2e4, 100), strict=True):
        image += flux / (2 * np.pi * 4.0) * np.exp(-0.5 * ((x * SIDE - column) ** 2 + (y * SIDE - row) ** 2) / 4.0)
    sky = measure_sky(
        image.astype(np.float32),
        np.zeros(image.shape, np.int32),
        Box.from_shape(image.shape),
        options=BackgroundMesh(),
    )
    left = sky.background.over(Box.from_shape(image.shape)) - truth
    assert np.abs(np.median(left)) < 0.02 * NOISE
    assert np.abs(left).max() < 0.25 * NOISE


def test_the_darkest_pixels_tell_the_noise_where_sources_are_everywhere(rng: np.random.Generator) -> None:
    """Stars of 8 px on 200 x 200 px, one in 36 px: 2000 pixels count as free, where less than half of that is,
    and their fourth differences have the noise's scatter to four errors of so many.
    """
    side, sigma = 200, 3.4
    y, x = np.mgrid[:side, :side]
    image = 500.0 + rng.normal(0.0, NOISE, (side, side))
    for column, row, flux in zip(
        *rng.uniform(0, side, (2, 1100)), 1e4 * rng.pareto(1.2, 1100).clip(0, 50), strict=True
    ):
        image += flux / (2 * np.pi * sigma**2) * np.exp(-0.5 * ((x - column) ** 2 + (y - row) ** 2) / sigma**2)
    pixels, mask = image.astype(np.float32), np.zeros(image.shape, np.int32)
    sky = measure_sky(pixels, mask, Box.from_shape(image.shape), options=BackgroundMesh())
    assert sky.source_free(mask).sum() < 1000
    free = sky.dark(mask)
    assert 2000 <= free.sum() < 4000
    assert white_variance(pixels[None], free[None]) == pytest.approx(NOISE**2, rel=4.0 * np.sqrt(8.0 / free.sum()))
