"""Roughness of kernels: the forms against differences taken pixel by pixel, and how they weigh against stamps."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.kernel_bases import delta_basis, smoothness_penalty
from diapipe.numerics.kernel_penalties import Penalty, central_differences, forward_differences, in_coefficients
from diapipe.numerics.stamp_sums import StampSums

SIZE = 7


@pytest.mark.parametrize(
    ("stencil", "points"),
    [(5, {(0, 0): -4, (0, 1): 1, (1, 1): 0}), (9, {(0, 0): -20 / 6, (0, 1): 4 / 6, (1, 1): 1 / 6})],
)
def test_central_differences_by_hand(stencil: int, points: dict, rng: np.random.Generator) -> None:
    """kᵀHk = Σ over inner pixels of the squared Laplacian, plus (3 k)² over the border."""
    kernel = rng.normal(size=(SIZE, SIZE))
    expected = 0.0
    for y in range(SIZE):
        for x in range(SIZE):
            if 0 in (y, x) or SIZE - 1 in (y, x):
                expected += (3.0 * kernel[y, x]) ** 2
                continue
            near = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            laplacian = sum(points[tuple(sorted((abs(dy), abs(dx))))] * kernel[y + dy, x + dx] for dy, dx in near)
            expected += laplacian**2
    form = central_differences(SIZE, stencil=stencil, border_penalty=3.0)
    assert kernel.ravel() @ form @ kernel.ravel() == pytest.approx(expected)


@pytest.mark.parametrize("orders", [(1,), (2,), (3,), (1, 2), (1, 2, 3)])
def test_forward_differences_by_hand(orders: tuple[int, ...], rng: np.random.Generator) -> None:
    """Both axes, each order, lowered where the border is near, 3 k at the last pixel."""
    kernel, expected = rng.normal(size=(SIZE, SIZE)), 0.0
    for image in (kernel, kernel.T):
        for order in orders:
            for row in image:
                for x in range(SIZE):
                    part = row[x : x + order + 1]
                    expected += (3.0 * part[0]) ** 2 if len(part) == 1 else np.diff(part, n=len(part) - 1)[0] ** 2
    form = forward_differences(SIZE, orders=orders, border_penalty=3.0)
    assert kernel.ravel() @ form @ kernel.ravel() == pytest.approx(expected)


@pytest.mark.parametrize("stencil", [5, 9])
def test_laplacians_do_not_see_a_slope(stencil: int) -> None:
    """A plane is not rough, a curved surface is by its curvature: x² has a Laplacian of 2 with both stencils."""
    x = np.tile(np.arange(SIZE, dtype=float), (SIZE, 1))
    form = central_differences(SIZE, stencil=stencil, border_penalty=0.0)
    assert x.ravel() @ form @ x.ravel() == pytest.approx(0.0, abs=1e-9)
    assert (x**2).ravel() @ form @ (x**2).ravel() == pytest.approx(4.0 * (SIZE - 2) ** 2)


def test_forms_in_the_coefficients_of_a_basis(rng: np.random.Generator) -> None:
    """aᵀ H_a a = kᵀ H k for k = Σ a B, whatever a is; five points with a border of zeros are `smoothness_penalty`."""
    basis = delta_basis(half=3)
    coefficients = rng.normal(size=len(basis))
    kernel = np.tensordot(coefficients, basis.images, axes=1).ravel()
    pixels = central_differences(SIZE, stencil=9, border_penalty=2.0)
    form = in_coefficients(pixels, basis)
    assert coefficients @ form @ coefficients == pytest.approx(kernel @ pixels @ kernel)
    assert smoothness_penalty(basis).shape == form.shape


def test_strength_over_stamps(rng: np.random.Generator) -> None:
    """Absolute λ counts stamps, relative λ their information: ten times brighter stamps are held ten times as much."""
    matrix = np.array([np.diag([5.0, 2.0, 3.0, 7.0])] * 4)
    sums = StampSums(matrix, np.zeros((4, 4)), np.zeros(4), np.zeros(4), np.ones(4))
    brighter = StampSums(10 * matrix, np.zeros((4, 4)), np.zeros(4), np.zeros(4), np.ones(4))
    form = np.diag([0.0, 1.0, 4.0])
    np.testing.assert_allclose(Penalty(form, absolute=0.5).over(sums), 4 * 0.5 * form)
    np.testing.assert_allclose(Penalty(form, absolute=0.5).over(brighter), 4 * 0.5 * form)
    np.testing.assert_allclose(Penalty(form, relative=0.1).over(sums), 0.1 * 4 * 5.0 / 5.0 * form)
    np.testing.assert_allclose(Penalty(form, relative=0.1).over(brighter), 0.1 * 40 * 5.0 / 5.0 * form)
