"""Principal components of kernels: eigenvalues to 7 decimals where they are known (SPEC N)."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.kernel_components import principal_components


def kernel(sigma: float = 1.2, *, shift: float = 0.0) -> np.ndarray:
    """A Gaussian of unit norm."""
    offset = np.arange(11) - 5.0
    image = np.outer(np.exp(-0.5 * (offset / sigma) ** 2), np.exp(-0.5 * ((offset - shift) / sigma) ** 2))
    return image / np.linalg.norm(image)


def test_identical_kernels_have_one_component() -> None:
    """Eigenvalues (1, 0, 0): the kernel of unit norm itself, and nothing else."""
    found = principal_components(np.array([kernel()] * 3), n_components=5, subtract_mean=False)
    np.testing.assert_allclose(found.eigenvalues, [1.0, 0.0, 0.0], atol=1e-7)
    assert len(found.images) == 1
    np.testing.assert_allclose(np.abs(found.images[0]), kernel(), atol=1e-7)


def test_identical_kernels_less_their_mean_have_none() -> None:
    """Eigenvalues (0, 0, 0), and the mean is the kernel."""
    found = principal_components(np.array([kernel()] * 3), n_components=5)
    np.testing.assert_allclose(found.eigenvalues, 0.0, atol=1e-7)
    np.testing.assert_allclose(found.mean, kernel(), atol=1e-7)
    assert len(found.images) == 0


def test_one_variant_is_one_component() -> None:
    """Two alike and one other: one eigenvalue above zero, and its image is the difference of the two kinds.

    Deviations from the mean are (-1, -1, 2)/3 of it: the eigenvalue is 6/27 of its square.
    """
    one, other = kernel(), kernel(shift=0.5)
    found = principal_components(np.array([one, one, other]), n_components=5)
    apart = other - one
    assert found.eigenvalues[0] == pytest.approx(6.0 / 27.0 * (apart**2).sum(), abs=1e-7)
    np.testing.assert_allclose(found.eigenvalues[1:], 0.0, atol=1e-7)
    np.testing.assert_allclose(np.abs(np.vdot(found.images[0], apart)), np.linalg.norm(apart), atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_as_many_eigenvalues_as_kernels(n: int, rng: np.random.Generator) -> None:
    """n² kernels, n² eigenvalues, descending; their sum is the mean square of the deviations."""
    kernels = np.array([kernel(1 + 0.3 * rng.random(), shift=rng.normal(0, 0.2)) for _ in range(n * n)])
    found = principal_components(kernels, n_components=99)
    deviations = kernels - kernels.mean(axis=0)
    assert len(found.eigenvalues) == n * n
    assert (np.diff(found.eigenvalues) <= 0).all()
    assert found.eigenvalues.sum() == pytest.approx((deviations**2).sum() / (n * n), abs=1e-7)


def test_components_are_those_of_a_singular_value_decomposition(rng: np.random.Generator) -> None:
    """Against SVD of the kernels, up to sign; orthonormal, made of the kernels by their weights, cut to a number."""
    kernels = rng.normal(size=(8, 5, 5))
    found = principal_components(kernels, n_components=3)
    deviations = (kernels - kernels.mean(axis=0)).reshape(8, -1)
    _, values, rows = np.linalg.svd(deviations, full_matrices=False)
    np.testing.assert_allclose(found.eigenvalues[:7], values[:7] ** 2 / 8, atol=1e-10)
    flat = found.images.reshape(3, -1)
    np.testing.assert_allclose(np.abs((flat * rows[:3]).sum(axis=1)), 1.0, atol=1e-10)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(found.weights @ deviations, flat, atol=1e-12)
