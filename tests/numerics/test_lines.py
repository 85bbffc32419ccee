"""Bad columns are found, and nothing on the sky is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.lines import bad_columns

SHAPE = (520, 300)


def sky(rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return rng.normal(100, 10, SHAPE).astype(np.float32)


@pytest.mark.parametrize("change", [20.0, -20.0, 5000.0])
@pytest.mark.parametrize("width", [1, 2])
def test_hot_and_dead_columns_are_found(change: float, width: int, rng: np.random.Generator) -> None:
    """Two sigma over 300 rows: all of it, its neighbours not, and no more than a block beyond its ends."""
    image = sky(rng)
    image[150:450, 40 : 40 + width] += np.float32(change)
    found = bad_columns(image)
    assert found is not None
    assert found[150:450, 40 : 40 + width].all()
    assert not np.delete(found, range(40, 40 + width), axis=1).any()
    assert not found[: 150 - 2 * 64].any()


def test_a_gap_and_noise_are_no_columns(rng: np.random.Generator) -> None:
    """Stars, a galaxy along the columns, a row and pixels without a value leave nothing."""
    image = sky(rng)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for row, column, flux in ((100, 100, 1e6), (400, 200, 1e4)):
        image += (flux * np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / 2.0**2)).astype(np.float32)
    image += (500 * np.exp(-0.5 * ((y - 250) / 25.0) ** 2 - 0.5 * ((x - 150) / 2.0) ** 2)).astype(np.float32)
    image[50] += 100
    image[:, 250:260] = np.nan
    assert bad_columns(image) is None


def test_images_too_small_to_tell() -> None:
    assert bad_columns(np.ones((40, 40), np.float32)) is None
    assert bad_columns(np.ones((200, 200), np.float32)) is None
