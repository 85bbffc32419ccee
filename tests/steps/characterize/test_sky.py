"""The sky of a frame, to its corners, whatever its slope."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import Box
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
