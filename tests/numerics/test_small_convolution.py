"""Small images convolved in full: against the sum that defines it."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.small_convolution import convolved_in_full


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_full_convolution_is_the_double_sum(rng, dtype):
    """Every pixel of one image lays the other down, times its value; to rounding of an FFT in the images' precision."""
    image, kernel = rng.normal(size=(7, 12)).astype(dtype), rng.normal(size=(5, 4)).astype(dtype)
    expected = np.zeros((11, 15))
    for j in range(7):
        for i in range(12):
            expected[j : j + 5, i : i + 4] += image[j, i] * kernel.astype(np.float64)
    found = convolved_in_full(image, kernel)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=100 * np.finfo(dtype).eps)


def test_several_images_are_convolved_as_each(rng):
    """With one kernel."""
    images, kernel = rng.normal(size=(3, 7, 12)), rng.normal(size=(5, 4))
    each = [convolved_in_full(image, kernel) for image in images]
    np.testing.assert_allclose(convolved_in_full(images, kernel), each, atol=1e-13)
