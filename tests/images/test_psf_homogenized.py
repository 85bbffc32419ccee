"""HomogenizedPsf: each region's PSF through the kernel of the region."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import InputError
from diapipe.images import GaussianPsf
from diapipe.images.psf import HomogenizedPsf

TARGET = GaussianPsf(2.0, 31).kernel_image(x=0.0, y=0.0)


def homogenized(n_kernels: int = 2) -> HomogenizedPsf:
    """Squares of 4 px from (20, 10) on: the right half has a kernel that moves a tenth of the light by two pixels."""
    changes = np.zeros((n_kernels, 5, 5), np.float32)
    changes[1:, 2, 2], changes[1:, 2, 4] = -0.1, 0.1
    labels = np.array([[0, 0, 1, 1]] * 3)
    return HomogenizedPsf(GaussianPsf(2.0, 31), TARGET, changes, labels, 20, 10, 4)


@pytest.mark.parametrize(("x", "moved"), [(20.0, 0.0), (27.4, 0.0), (27.6, 0.2), (500.0, 0.2), (-3.0, 0.0)])
def test_the_kernel_is_that_of_the_square(x, moved):
    """The centroid moves by a tenth of two pixels where the kernel says so: from half a pixel before the square on."""
    image = homogenized().kernel_image(x=x, y=14.0)
    assert image.shape == TARGET.shape
    assert image.sum() == pytest.approx(1.0, abs=1e-12)
    offsets = np.arange(31) - 15
    assert (image.sum(axis=0) * offsets).sum() == pytest.approx(moved, abs=1e-6)


def test_at_many_positions_it_is_the_one_aimed_at():
    """Its layer is the target, wherever the PSF before is known."""
    (layer,) = homogenized().layers(x=np.array([21.0, 33.0]), y=np.array([12.0, 12.0]))
    np.testing.assert_array_equal(layer.shares, np.ones((2, 1)))
    np.testing.assert_array_equal(layer.images_at(21.0, 12.0), TARGET[None])
    assert not homogenized().is_smooth


def test_a_kernel_that_is_not_there():
    with pytest.raises(InputError, match="a HomogenizedPsf of 1 kernels has squares with kernels 0 to 1"):
        homogenized(1)
