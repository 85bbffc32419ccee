"""Dipole fits and their errors, beside slow and obviously right ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, signal

from diapipe.numerics.dipole_fit import DipoleStamps, fit_dipoles, free_linear
from diapipe.numerics.dipole_kernels import (
    PsfNodes,
    draw_and_sum,
    eliminate,
    psf_windows,
    sum_planes,
    window_side,
)
from diapipe.numerics.dipole_noise import covariance_matrix, covariances, shared_noise

SIDE, HALF, SHIFT = 17, 8, 5.0
SIGMAS = (2.1, 2.3, 1.9)
RELATIVE = np.array([1.0, 0.5, 0.5])


def star(x, y, sigma, half=HALF):
    """A Gaussian star of unit flux."""
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    return np.exp(-0.5 * ((u - x) ** 2 + (v - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)


def model(parameters):
    """The three images, drawn by the formula."""
    xp, yp, xm, ym, plus, minus, *planes = parameters
    v, u = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    science, template = (a + b * u + c * v for a, b, c in np.reshape(planes, (2, 3)))
    return np.stack(
        [
            plus * star(xp, yp, SIGMAS[0]) - minus * star(xm, ym, SIGMAS[0]),
            plus * star(xp, yp, SIGMAS[1]) + science,
            minus * star(xm, ym, SIGMAS[2]) + template,
        ]
    )


def stamps_of(values, weights):
    """Stamps with PSFs that are the same for all, told as four quarters of themselves."""
    n = len(values)
    index, quarters = np.zeros((n, 4), np.int64), np.full((n, 4), 0.25)
    psfs = [PsfNodes(psf_windows(star(0.0, 0.0, s, 25)[None], SIDE, SHIFT), index, quarters) for s in SIGMAS]
    return DipoleStamps(values.astype(np.float32), weights.astype(np.float32), tuple(psfs))


def summed(stamps, place):
    """The derivatives of every source's images and their sums over pixels, as the compiled kernels make them."""
    n, wide = len(place), window_side(SIDE, SHIFT)
    images, across = np.empty((n, 3, 6, SIDE, SIDE), np.float32), np.linspace(-1.0, 1.0, SIDE)
    images[:, 1:, 3], images[:, 1:, 4], images[:, 1:, 5] = 1.0, across, across[:, None]
    planes, matrices = (np.zeros((n, 3, 6, 6)), np.zeros((n, 3, 6))), (np.empty((n, 3, 6, 6)), np.empty((n, 3, 6)))
    sum_planes(images[0], *stamps.flat, *planes)
    windows = np.zeros((3, wide, wide), np.float32)
    draw_and_sum(stamps.psfs, *stamps.flat, np.arange(n), place, windows, images, planes, *matrices)
    return images.reshape(n, 3, 6, -1), *matrices


def truths(rng, n):
    """Parameters of n dipoles of any direction."""
    middle, half_way = rng.uniform(-0.7, 0.7, (n, 2)), rng.uniform(-2.0, 2.0, (n, 2))
    fluxes, planes = rng.uniform(800.0, 3000.0, (n, 2)), rng.normal(0.0, 3.0, (n, 6))
    return np.concatenate([middle + half_way, middle - half_way, fluxes, planes], axis=1)


def test_models_are_the_formula(rng):
    """Stars, signs, planes and slopes: to 4e-4 of a peak, and slopes of five points to 2%."""
    truth = truths(rng, 20)
    images, _, _ = summed(stamps_of(np.zeros((20, 3, SIDE, SIDE)), np.ones((20, 3, SIDE, SIDE))), truth[:, :4])
    step, peak = 1e-4, star(0, 0, 1.5).max()
    columns = ([0, 1, 2, 3, 4, 5], [0, 1, 4, 6, 7, 8], [2, 3, 5, 9, 10, 11])
    for k, parameters in enumerate(truth):
        unit = np.concatenate([parameters[:4], [1.0, 1.0], np.zeros(6)])
        for image, among in enumerate(columns):
            for j, which in enumerate(among):
                moved = unit.copy()
                moved[which] += step
                slope = (model(moved) - model(unit))[image].ravel() / step
                np.testing.assert_allclose(images[k, image, j], slope, atol=0.02 * peak)


def test_sums_over_pixels(rng):
    """The compiled sums are those of NumPy, pixels without weight left out."""
    weights = np.where(rng.random((5, 3, SIDE, SIDE)) < 0.1, 0.0, rng.random((5, 3, SIDE, SIDE)))
    stamps = stamps_of(rng.normal(size=weights.shape), weights)
    images, matrices, sides = summed(stamps, truths(rng, 5)[:, :4])
    values, weights = (part.astype(np.float64) for part in stamps.flat)
    np.testing.assert_allclose(matrices, np.einsum("nikp,nip,nilp->nikl", images, weights, images), atol=1e-9)
    np.testing.assert_allclose(sides, np.einsum("nikp,nip,nip->nik", images, weights, values), atol=1e-9)


@pytest.mark.parametrize(("separate", "planes"), [(True, True), (False, True), (True, False), (False, False)])
def test_elimination_is_the_solution_of_the_whole(separate, planes, rng):
    """What is left of the places when fluxes and planes are solved for: the Schur complement that NumPy finds."""
    free = free_linear(separate_fluxes=separate, planes=planes)
    stamps = stamps_of(rng.normal(100.0, 5.0, (1, 3, SIDE, SIDE)), rng.random((1, 3, SIDE, SIDE)))
    _, matrices, sides = summed(stamps, truths(rng, 1)[:, :4])
    found = [np.empty((1, *shape)) for shape in ((8,), (8, 4), (), (4,), (5, 4))]
    eliminate(matrices, sides, free, *found)
    linear, response, gain, downhill, reduced = (part[0] for part in found)
    whole, side = np.zeros((12, 12)), np.zeros(12)
    for image, columns in enumerate(([0, 1, 2, 3, 4, 5], [0, 1, 4, 6, 7, 8], [2, 3, 5, 9, 10, 11])):
        whole[np.ix_(columns, columns)] += matrices[0, image]
        side[columns] += sides[0, image]
    merge = np.zeros((8, free.max() + 1))
    merge[np.flatnonzero(free >= 0), free[free >= 0]] = 1.0
    expected = merge @ np.linalg.solve(merge.T @ whole[4:, 4:] @ merge, merge.T @ side[4:])
    np.testing.assert_allclose(linear, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert gain == pytest.approx(side[4:] @ expected, rel=1e-6)
    flux = np.diag(np.repeat(expected[:2], 2))
    mixed = flux @ whole[:4, 4:]
    inverse = merge @ np.linalg.inv(merge.T @ whole[4:, 4:] @ merge) @ merge.T
    np.testing.assert_allclose(response, -inverse @ mixed.T, rtol=1e-5, atol=1e-6 * np.abs(response).max())
    np.testing.assert_allclose(downhill, flux @ side[:4] - mixed @ expected, rtol=1e-5, atol=1e-5)
    schur = flux @ whole[:4, :4] @ flux - mixed @ inverse @ mixed.T
    np.testing.assert_allclose(reduced[:4], schur, rtol=1e-5, atol=1e-7 * np.abs(schur).max())


@pytest.mark.parametrize("separate", [True, False])
def test_the_fit_is_the_least_squares_of_scipy(separate, rng):
    """Same places and fluxes as a general optimiser on the same pixels, to a twentieth of the error: twelve dipoles."""
    n, noise = 12, 2.0
    truth = truths(rng, n)
    truth[:, 5] = truth[:, 5] if separate else truth[:, 4]
    values = np.stack([model(t) for t in truth]) + rng.normal(0, noise, (n, 3, SIDE, SIDE))
    weights = np.where(rng.random(values.shape) < 0.05, 0.0, noise**-2)
    start = truth[:, :4] + rng.uniform(-0.5, 0.5, (n, 4))
    fits = fit_dipoles(
        stamps_of(values, weights), start, max_shift=SHIFT, free=free_linear(separate_fluxes=separate, planes=True)
    )
    assert fits.converged.all()
    for k in range(n):

        def residual(p, k=k):
            full = p if separate else np.insert(p, 5, p[4])
            return (np.sqrt(weights[k] * RELATIVE[:, None, None]) * (values[k] - model(full))).ravel()

        first = truth[k] if separate else np.delete(truth[k], 5)
        best = optimize.least_squares(residual, first, x_scale="jac", xtol=1e-12, ftol=1e-12)
        error = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac)))
        found = np.concatenate([fits.place[k], fits.linear[k]])
        found = found if separate else np.delete(found, 5)
        np.testing.assert_allclose((found - best.x) / error, 0.0, atol=0.05)
        assert fits.chi2[k] @ RELATIVE == pytest.approx(2 * best.cost, rel=1e-3)
    assert (fits.inflation == 1.0).all()


def test_what_has_no_second_lobe_is_not_made_up(rng):
    """A lone star on science has a second flux of nothing, whatever place it was started at."""
    truth = truths(rng, 30)
    truth[:, 5] = 0.0
    values = np.stack([model(t) for t in truth]) + rng.normal(0, 2.0, (30, 3, SIDE, SIDE))
    fits = fit_dipoles(stamps_of(values, np.full(values.shape, 0.25)), truth[:, :4], max_shift=SHIFT)
    assert np.abs(fits.linear[fits.converged, 1]).max(initial=0.0) < 150.0


def test_a_covariance_matrix_is_a_convolution(rng):
    """C h = kernel ⊗ h inside the stamp, for a kernel without symmetry, smaller or larger than the stamp."""
    image = rng.normal(size=(9, 9))
    for size in (5, 21):
        kernel = rng.normal(size=(size, size))
        expected = signal.convolve2d(image, kernel)[size // 2 :, size // 2 :][:9, :9]
        found = covariance_matrix(kernel, 9) @ image.ravel()
        np.testing.assert_allclose(found.reshape(9, 9), expected, rtol=1e-4, atol=1e-4)


def test_errors_are_the_scatter_of_many_draws(rng):
    """One dipole under 1500 draws of shared noise: each error matches the scatter to four times 1/sqrt(2 n), 7%.

    Kernels without symmetry: a transposed or mirrored covariance would be 10% to 40% off.
    """
    n, side = 1500, SIDE + 24
    alpha, beta, gamma = (np.abs(rng.normal(size=(5, 5))) for _ in range(3))
    alpha, beta, gamma = alpha / alpha.sum(), beta / beta.sum(), gamma / gamma.sum()
    alpha[2, 2] += 1.0
    truth = np.array([0.9, 0.3, -0.4, -0.2, 4000.0, 3500.0, 0, 0, 0, 0, 0, 0])
    inner = slice(12, -12)
    values = np.empty((n, 3, SIDE, SIDE))
    for k in range(n):
        science, template = rng.normal(0, 3.0, (side, side)), rng.normal(0, 2.0, (side, side))
        difference = signal.fftconvolve(science, alpha, "same") - signal.fftconvolve(template, beta, "same")
        matched = signal.fftconvolve(template, gamma, "same")
        values[k] = model(truth) + np.stack([difference, science, matched])[:, inner, inner]
    stamps = stamps_of(values, np.full(values.shape, 1.0 / 9.0))
    fits = fit_dipoles(stamps, np.tile(truth[:4], (n, 1)), max_shift=SHIFT)
    full = [signal.fftconvolve(k, k[::-1, ::-1]) for k in (alpha, beta)]
    own = 9.0 * full[0] + 4.0 * full[1]
    spreads = np.broadcast_to(np.array([own[4, 4], 9.0, 4.0])[None, :, None, None], values.shape)
    noise = shared_noise(SIDE, alpha=alpha, beta=beta, gamma=gamma, correlation=own / own[4, 4])
    claimed = covariances(stamps, spreads, fits._replace(inflation=np.ones((n, 3))), noise, combinations=np.eye(6))
    found = np.concatenate([fits.place, fits.linear[:, :2]], axis=1)
    assert fits.converged.all()
    error = np.sqrt(np.einsum("nii->ni", claimed)).mean(axis=0)
    np.testing.assert_allclose(found.std(axis=0) / error, 1.0, atol=4 / np.sqrt(2 * n))
    np.testing.assert_allclose((found - truth[:6]).mean(axis=0) / error, 0.0, atol=4 / np.sqrt(n) + 0.02)
