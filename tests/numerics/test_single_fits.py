"""Stamps fitted alone: known kernels come back, what cannot be inverted ends, residuals and outliers are as known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from diapipe.numerics.kernel_bases import KernelBasis, StampConvolver, delta_basis, gaussian_basis
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.numerics.single_fits import (
    SingleFits,
    condition_numbers,
    far_from_the_others,
    fit_each,
    residual_moments,
)
from diapipe.numerics.stamp_sums import StampSums


def gaussian(size: int, sigma: float, flux: float = 1.0) -> np.ndarray:
    offset = np.arange(size) - size // 2
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    return flux * np.outer(profile, profile) / profile.sum() ** 2


def summed(targets: list[np.ndarray], references: list[np.ndarray], basis: KernelBasis) -> StampSums:
    """Sums with unit weights; references are cut to where the kernel lies inside the target."""
    n = references[0].shape[0]
    convolve = StampConvolver(basis, n)
    designs = [np.vstack([convolve(t.astype(np.float32)), np.ones(n * n)]).astype(float) for t in targets]
    values = [r.ravel() for r in references]
    return StampSums(
        np.array([d @ d.T for d in designs]),
        np.array([d @ v for d, v in zip(designs, values, strict=True)]),
        np.array([float(v @ v) for v in values]),
        np.zeros(len(targets)),
        np.full(len(targets), float(n * n)),
    )


@pytest.mark.parametrize("scale", [1.0, 0.25, 37.0])
def test_an_image_matched_to_itself(scale: float, rng: np.random.Generator) -> None:
    """Delta basis, reference = scale · target + 11.3: kernel sum to 5 decimals of the scale, background to 4 (SPEC N).

    On noise of S/N 10 a pixel, so that all pixels of the kernel are determined.
    """
    basis = delta_basis(half=2)
    target = rng.normal(0, 10, (41, 41))
    fits = fit_each(summed([target], [scale * target[2:-2, 2:-2] + 11.3], basis))
    assert fits.kernel_sum[0] / scale == pytest.approx(1.0, abs=5e-6)
    assert fits.background[0] == pytest.approx(11.3, abs=5e-5 * max(scale, 1.0))


def test_a_gaussian_kernel_is_recovered_pixel_by_pixel(rng: np.random.Generator) -> None:
    """Delta basis against a convolution by SciPy: every pixel of the kernel to 1e-5 of its sum (float32 stamps)."""
    basis, kernel = delta_basis(half=4), gaussian(9, 1.3)
    targets = [rng.normal(0, 10, (45, 45)) for _ in range(3)]
    references = [signal.convolve2d(t, kernel, mode="valid") for t in targets]
    found = fit_each(summed(targets, references, basis)).kernels(basis.images)
    np.testing.assert_allclose(found, np.broadcast_to(kernel, found.shape), atol=1e-5)


def test_without_a_background_the_constant_goes_into_the_kernel(rng: np.random.Generator) -> None:
    """A reference with a sky of its own: fitted, it is found; not fitted, it is 0 and the kernel sum is wrong."""
    basis = gaussian_basis((1.0,), (1,), half=4)
    target = gaussian(39, 2.0, 1e4) + rng.normal(0, 0.1, (39, 39))
    sums = summed([target], [signal.convolve2d(target, basis.images[0], mode="valid") + 30.0], basis)
    with_sky, without = fit_each(sums), fit_each(sums, with_background=False)
    assert with_sky.background[0] == pytest.approx(30.0, abs=0.1)
    assert without.background[0] == 0.0
    assert without.kernel_sum[0] > with_sky.kernel_sum[0] + 0.1


def test_what_cannot_be_inverted_has_the_shortest_solution() -> None:
    """A stamp of zeros says nothing: all coefficients are 0. One that tells a sum only: it is shared out evenly.

    To 1e-3: what the solution adds to the diagonal, 1e-12, times the condition number that it leaves.
    """
    matrix, vector = np.zeros((2, 3, 3)), np.zeros((2, 3))
    matrix[1], vector[1] = 1.0, 2.0
    fits = fit_each(StampSums(matrix, vector, np.zeros(2), np.zeros(2), np.ones(2)))
    np.testing.assert_array_equal(fits.coefficients[0], 0.0)
    np.testing.assert_allclose(fits.coefficients[1], 2.0 / 3.0, atol=1e-3)
    assert np.isinf(condition_numbers(matrix)[0])


def test_a_penalty_holds_each_stamp_by_itself(rng: np.random.Generator) -> None:
    """(M + λH) a = b for every stamp, by the slow solution; an absolute λ bends a faint one more than a bright one."""
    basis = delta_basis(half=1)
    faint = rng.normal(0, 1, (25, 25))
    targets = [faint, 30 * faint]
    kernel = rng.normal(0, 0.1, (3, 3))
    sums = summed(targets, [signal.convolve2d(t, kernel, mode="valid") for t in targets], basis)
    form = np.diag(np.r_[0.0, np.ones(8)])
    found = fit_each(sums, penalty=Penalty(form, absolute=500.0)).coefficients
    padded = np.pad(form, (0, 1))
    for k in range(2):
        twin = np.linalg.solve(sums.matrix[k] + 500.0 * padded, sums.vector[k])
        np.testing.assert_allclose(found[k], twin, atol=1e-8)
    free = fit_each(sums).coefficients
    bent = np.abs(found - free)[:, 1:-1].max(axis=1)
    assert bent[0] > 100 * bent[1]


def test_condition_numbers_know_no_unit() -> None:
    """diag(1, 4) with 1 off the diagonal: scaled, 1 ± 1/2 make 3; the same in any unit. A negative one: ∞, or 3."""
    matrix = np.array([[1.0, 1.0], [1.0, 4.0]])
    unit = np.diag([1e6, 1.0])
    numbers = condition_numbers(np.array([matrix, unit @ matrix @ unit, np.eye(2)]))
    np.testing.assert_allclose(numbers, [3.0, 3.0, 1.0])
    indefinite = np.array([[[1.0, 2.0], [2.0, 1.0]]])
    assert np.isinf(condition_numbers(indefinite)[0])
    assert condition_numbers(indefinite, kind="svd")[0] == pytest.approx(3.0)


def test_residuals_in_sigma_over_all_or_the_core() -> None:
    """Values by hand: 7 x 7 px, residual 2 in the middle 3 x 3 and 0 outside, variance 4; one bad pixel of nonsense."""
    residual = np.zeros((7, 7), np.float32)
    residual[2:5, 2:5] = 2.0
    good = np.ones((7, 7), bool)
    residual[0, 0], good[0, 0] = 1e9, False
    planes = [plane.reshape(1, -1) for plane in (residual, np.full((7, 7), 4.0, np.float32), good)]
    whole, core = residual_moments(*planes), residual_moments(*planes, core_radius=1)
    sample = np.r_[np.ones(9), np.zeros(39)]
    assert whole.mean[0] == pytest.approx(sample.mean())
    assert whole.std[0] == pytest.approx(sample.std(ddof=1))
    assert (core.mean[0], core.std[0]) == (1.0, 0.0)
    nothing = residual_moments(planes[0], planes[1], np.zeros((1, 49), bool))
    assert np.isnan([*nothing.mean, *nothing.std]).all()


@pytest.mark.parametrize(
    ("values", "out"),
    [
        ([1, 1, 1, 1, 2, 3, 4, 50], [50]),
        ([1.0], []),
        ([1.0, 1.0, 1.0], []),
        ([0.9, 1.0, 1.1, 1.0, 0.95, 1.05, 8.0, 90.0], [8.0, 90.0]),
    ],
)
def test_values_unlike_the_others(values: list[float], out: list[float]) -> None:
    """Of [1, 1, 1, 1, 2, 3, 4, 50] only 50 (SPEC N); no scatter, no rejection; one far value does not hide another."""
    far = far_from_the_others(np.array(values, float), 3.0)
    assert [v for v, is_far in zip(values, far, strict=True) if is_far] == out


def test_undefined_values_are_unlike_the_others() -> None:
    assert far_from_the_others(np.array([1.0, np.nan, 1.1, 0.9]), 3.0).tolist() == [False, True, False, False]


def test_noise_gain_is_the_sum_of_squares(rng: np.random.Generator) -> None:
    """ΣK² from the products of the basis images, against the kernel's pixels."""
    basis = gaussian_basis((1.0, 2.0), (2, 1), half=5)
    fits = SingleFits(rng.normal(size=(4, len(basis) + 1)))
    flat = basis.images.reshape(len(basis), -1)
    expected = (fits.kernels(basis.images) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(fits.noise_gain(flat @ flat.T), expected)
