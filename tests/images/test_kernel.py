"""SpatialKernel: an image of the position."""

from __future__ import annotations

import numpy as np

from diapipe.images import Box, ImageField, SpatialKernel

BOX = Box(0, 100, 0, 200)


def test_a_constant_kernel_is_its_image_everywhere(rng):
    image = rng.normal(size=(7, 7))
    kernel = SpatialKernel.constant(image, BOX)
    for x, y in [(0, 0), (199, 99), (1e4, -1e4)]:
        np.testing.assert_array_equal(kernel.image_at(x=x, y=y), image)
        assert kernel.sum_at(x=x, y=y) == image.sum()
    assert (kernel.size, kernel.half, kernel.box) == (7, 3, BOX)


def test_the_sum_is_constant_where_the_varying_images_have_none(rng):
    """Alard-Lupton's constant flux scale: only the first term carries a sum, so the kernel's sum is its own."""
    images = rng.normal(size=(3, 5, 5))
    images[1:] -= images[1:].mean(axis=(1, 2), keepdims=True)
    kernel = SpatialKernel(ImageField(images, BOX))
    for x, y in [(0, 0), (150, 20), (199, 99)]:
        np.testing.assert_allclose(kernel.sum_at(x=x, y=y), images[0].sum(), atol=1e-12)
    np.testing.assert_allclose(kernel.sum, images[0].sum(), atol=1e-12)


def test_a_varying_sum_is_told_at_the_centre():
    """1 + 0.1 u, u = -1 … 1 along x: 1 in the middle, 1.1 at the right edge."""
    images = np.zeros((3, 3, 3))
    images[:, 1, 1] = [1.0, 0.1, 0.0]
    kernel = SpatialKernel(ImageField(images, BOX))
    np.testing.assert_allclose(kernel.sum, 1.0)
    np.testing.assert_allclose(kernel.sum_at(x=199.5, y=3.0), 1.1)
