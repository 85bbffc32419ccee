"""image_basis: few images of which many are sums."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.image_basis import image_basis


def test_sums_of_few_need_no_more(rng):
    """Forty sums of three images have a basis of three, orthonormal, from which they come back."""
    images = np.einsum("nk,kij->nij", rng.normal(size=(40, 3)), rng.normal(size=(3, 7, 5)))
    basis, shares = image_basis(images, tolerance=1e-6)
    assert len(basis) == 3
    np.testing.assert_allclose(np.einsum("kij,lij->kl", basis, basis), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.einsum("nk,kij->nij", shares, basis), images, atol=1e-9)


def test_no_image_lacks_more_than_the_tolerance(rng):
    """Noise has no few images: what is left of each is below the tolerance times the norm of the largest."""
    images = rng.normal(size=(60, 4, 4)) * np.linspace(0.1, 1.0, 60)[:, None, None]
    basis, shares = image_basis(images, tolerance=0.3)
    left = np.linalg.norm((images - np.einsum("nk,kij->nij", shares, basis)).reshape(60, -1), axis=1)
    assert 1 < len(basis) < 16
    assert left.max() <= 0.3 * np.linalg.norm(images.reshape(60, -1), axis=1).max()
