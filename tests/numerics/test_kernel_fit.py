"""Normal equations: a known kernel comes back, noise in the regressors does not bias it, HOTPANTS' numbers are met."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy import signal

from diapipe.numerics import kernel_fit, stamp_sums
from diapipe.numerics.kernel_bases import KernelBasis, StampConvolver, gaussian_basis
from diapipe.numerics.stamp_sums import StampSums


def summed(
    targets: list[np.ndarray], references: list[np.ndarray], basis: KernelBasis, *, noise: float = 0.0
) -> StampSums:
    """Sums of stamps with unit weights; references are already cut to where the kernel lies inside the target."""
    n = references[0].shape[0]
    convolve = StampConvolver(basis, n)
    matrices, vectors, squares = [], [], []
    for target, reference in zip(targets, references, strict=True):
        design = np.vstack([convolve(target.astype(np.float32)), np.ones(n * n)]).astype(float)
        matrices.append(design @ design.T)
        vectors.append(design @ reference.ravel())
        squares.append(float((reference**2).sum()))
    count = float(n * n)
    return StampSums(
        np.array(matrices),
        np.array(vectors),
        np.array(squares),
        np.full(len(targets), count * noise),
        np.full(len(targets), count),
    )


def star(size: int, sigma: float, flux: float) -> np.ndarray:
    u = np.arange(size) - size // 2
    profile = np.exp(-0.5 * (u / sigma) ** 2) / np.sqrt(2 * np.pi) / sigma
    return flux * np.outer(profile, profile)


def test_a_varying_kernel_is_found_again(rng: np.random.Generator) -> None:
    """Without noise, coefficients linear in x come back to 1e-4, chi-squares are zero."""
    basis = gaussian_basis((1.0, 2.0), (2, 1), half=6)
    x = np.linspace(-1, 1, 12)
    f, g = np.vstack([np.ones(12), x, np.zeros(12)]), np.ones((1, 12))
    true = np.zeros((len(basis), 3))
    true[:, :2] = rng.normal(0, 0.1, (len(basis), 2))
    true[0] = (1.3, 0, 0)
    targets = [star(33, 1.6, 1000.0) + rng.normal(0, 1, (33, 33)) for _ in x]
    references = [
        signal.convolve2d(t, np.tensordot(true @ f[:, k], basis.images, axes=1), mode="valid") + 7.0
        for k, t in enumerate(targets)
    ]
    sums = summed(targets, references, basis)
    solution = kernel_fit.solve(sums, f[:2], g)
    np.testing.assert_allclose(solution.kernel, true[:, :2], atol=2e-4)
    assert solution.background[0] == pytest.approx(7.0, abs=1e-3)
    assert np.all(np.abs(stamp_sums.chi_squares(sums, solution.local(f[:2], g))) < 1e-4 * sums.square)


def test_noise_in_the_template_does_not_bias_the_kernel_sum(rng: np.random.Generator) -> None:
    """Faint stars on a noisy template: the plain fit loses percents of the kernel, the corrected one stays within 3%.

    240 stars of S/N 18 fix the sum to 1 / (18 √240) = 0.4%, the noise of the template adds as much again.
    """
    basis = gaussian_basis((1.0, 2.0), (2, 0), half=6)
    kernel = star(13, 1.2, 1.0)
    clean = [star(53, 1.6, 400.0) for _ in range(240)]
    targets = [c + rng.normal(0, 4.0, c.shape) for c in clean]
    references = [signal.convolve2d(c, kernel, mode="valid") for c in clean]
    references = [r + rng.normal(0, 1.0, r.shape) for r in references]
    f = g = np.ones((1, 240))
    sums = summed(targets, references, basis, noise=16.0)
    flat = basis.images.reshape(len(basis), -1)
    plain = kernel_fit.solve(sums, f, g).kernel[0, 0]
    corrected = kernel_fit.solve(stamp_sums.noise_free(sums, flat @ flat.T), f, g).kernel[0, 0]
    assert plain < 0.98
    assert corrected == pytest.approx(1.0, abs=0.03)


def test_stamps_on_skies_of_their_own(rng: np.random.Generator) -> None:
    """Constants that scatter at will: kernel to 1e-4 and skies to 0.01, as from a column for each stamp.

    Without noise both are exact up to float32 pixels; the slow twin solves for kernel and all constants at once.
    """
    basis = gaussian_basis((1.0, 2.0), (2, 0), half=6)
    true = rng.normal(0, 0.1, len(basis))
    true[0] = 1.3
    skies = rng.normal(0, 50.0, 8)
    kernel = np.tensordot(true, basis.images, axes=1)
    targets = [star(33, 1.6, 1000.0) + rng.normal(0, 1, (33, 33)) for _ in skies]
    references = [signal.convolve2d(t, kernel, mode="valid") + sky for t, sky in zip(targets, skies, strict=True)]
    sums, f = summed(targets, references, basis), np.ones((1, 8))
    found = kernel_fit.solve(stamp_sums.loosened(sums, 1e4), f, f)
    twin = kernel_fit.solve(sums, f, np.eye(8))
    np.testing.assert_allclose(found.kernel[:, 0], true, atol=1e-4)
    np.testing.assert_allclose(twin.kernel[:, 0], true, atol=1e-4)
    local = found.local(f, f)
    offset, variance = stamp_sums.offsets(sums, local)
    np.testing.assert_allclose(local[:, -1] + offset, skies, atol=1e-2)
    np.testing.assert_allclose(twin.background, skies, atol=1e-2)
    np.testing.assert_allclose(variance, 1.0 / 21**2)


def test_constants_without_scatter_are_the_field(rng: np.random.Generator) -> None:
    """No scatter allowed: the sums are what they were."""
    basis = gaussian_basis((1.0,), (1,), half=4)
    targets = [rng.normal(size=(25, 25)) for _ in range(3)]
    sums = summed(targets, [t[4:-4, 4:-4] for t in targets], basis)
    same = stamp_sums.loosened(sums, 0.0)
    np.testing.assert_array_equal(same.matrix, sums.matrix)
    np.testing.assert_array_equal(same.vector, sums.vector)


def test_limits_on_the_spatial_order_hold(rng: np.random.Generator) -> None:
    """A basis image that may not vary does not."""
    basis = gaussian_basis((1.0, 2.0), (1, 0), half=4)
    f, g = np.vstack([np.ones(8), np.linspace(-1, 1, 8)]), np.ones((1, 8))
    targets = [rng.normal(size=(25, 25)) for _ in range(8)]
    references = [t[4:-4, 4:-4] * (1 + 0.1 * k) for k, t in enumerate(targets)]
    limits = np.array([2, 1, 2, 1])
    solution = kernel_fit.solve(summed(targets, references, basis), f, g, max_terms=limits)
    np.testing.assert_array_equal(solution.kernel[[1, 3], 1], 0.0)
    assert solution.kernel[2, 1] != 0.0


def test_a_penalty_is_on_the_whole_kernel(rng: np.random.Generator) -> None:
    """Σ over spatial terms of aᵀHa, k0 among the first one's coefficients, by the slow twin; a sum may be asked for."""
    basis = gaussian_basis((1.0, 2.0), (1, 0), half=4)
    f, g = np.vstack([np.ones(8), np.linspace(-1, 1, 8)]), np.ones((1, 8))
    targets = [rng.normal(size=(25, 25)) for _ in range(8)]
    sums = summed(targets, [t[4:-4, 4:-4] * (1 + 0.1 * k) for k, t in enumerate(targets)], basis)
    root = rng.normal(size=(4, 4))
    penalty = 300.0 * root @ root.T
    equations = kernel_fit.assembled(sums, f, g)
    constant, slope = [0, 1, 3, 5], [2, 4, 6]  # k0; a_10, a_11; a_20, a_21; a_30, a_31; b
    matrix = equations.matrix.copy()
    matrix[np.ix_(constant, constant)] += penalty
    matrix[np.ix_(slope, slope)] += penalty[1:, 1:]
    twin = np.linalg.solve(matrix, equations.vector)
    found = kernel_fit.solve(sums, f, g, penalty=penalty)
    np.testing.assert_allclose(found.kernel[:, 0], twin[constant], rtol=1e-7)
    np.testing.assert_allclose(found.kernel[1:, 1], twin[slope], rtol=1e-7)
    fixed = kernel_fit.solve(sums, f, g, penalty=penalty, kernel_sum=0.7)
    assert fixed.kernel[0, 0] == 0.7
    rest = np.linalg.solve(matrix[1:, 1:], equations.vector[1:] - 0.7 * matrix[1:, 0])
    np.testing.assert_allclose(fixed.kernel[1:].ravel(), rest[:-1], rtol=1e-7)


def test_what_is_known_of_the_solution() -> None:
    """Two unknowns by hand: the variance of the first is (M⁻¹)₀₀; the condition number that of a unit diagonal."""
    matrix = np.array([[4.0, 1.0], [1.0, 1.0]])
    equations = kernel_fit.NormalEquations(matrix, np.zeros(2), 1, 1, 1)
    assert equations.kernel_sum_variance() == pytest.approx(1.0 / 3.0)
    assert equations.condition_number() == pytest.approx(3.0)
    singular = kernel_fit.NormalEquations(np.ones((2, 2)) - np.diag([0, 1e-3]), np.zeros(2), 1, 1, 1)
    assert singular.condition_number() == float("inf")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("centres", "kernel_sum", "background"),
    [([(160, 160)], 0.959086, 0.602642), ([(96, 95), (160, 96), (96, 160), (160, 160)], 0.969559, 0.452304)],
)
def test_hotpants_comparison_pair(
    shared_data: Path, centres: list[tuple[int, int]], kernel_sum: float, background: float
) -> None:
    """Kernel sum and background that HOTPANTS finds with one Gaussian (sigma 3, degree 3, 19 px; SPEC N), to 5
    decimals.

    Stamps are centred on the detected footprints, one of which lies a pixel beside its star.
    """
    planes = [
        fits.getdata(shared_data / "lsst_afw_format" / f"ip_diffim__{kind}MI.fits", 1).astype(float)
        for kind in ("template", "science")
    ]
    basis = gaussian_basis((3.0,), (3,), half=9)
    stamps = [[p[y - 24 : y + 25, x - 24 : x + 25] for x, y in centres] for p in planes]
    references = [stamp[9:-9, 9:-9] for stamp in stamps[1]]
    ones = np.ones((1, len(centres)))
    solution = kernel_fit.solve(summed(stamps[0], references, basis), ones, ones)
    assert solution.kernel[0, 0] == pytest.approx(kernel_sum, abs=5e-6)
    assert solution.background[0] == pytest.approx(background, abs=2e-5)
