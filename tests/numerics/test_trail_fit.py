"""Trail fits and their errors, beside slow and obviously right ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, signal

from diapipe.numerics.trail_fit import TrailStamps, fit_trails, point_gains, psf_spectra, transform_size
from diapipe.numerics.trail_kernels import ANGLE, GAIN, LENGTH, SHIFT, best_lines, fill_spectra, sum_trails

SIGMA, HALF, PSF_HALF = 1.8, 18, 12
FWHM = 2.3548 * SIGMA
SIDE = 2 * HALF + 1
STEPS, WEIGHTS = (v / 2.0 for v in np.polynomial.legendre.leggauss(40))


def trail(place, flux=1.0, half=HALF, sigma=SIGMA):
    """A Gaussian star of unit flux moved along a segment, by quadrature."""
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    x, y, dx, dy = place
    stars = [np.exp(-0.5 * ((u - x - s * dx) ** 2 + (v - y - s * dy) ** 2) / sigma**2) for s in STEPS]
    return flux * np.tensordot(WEIGHTS, stars, axes=1) / (2 * np.pi * sigma**2)


def stamps_of(values, variance=None):
    spread = np.ones(values.shape, np.float32) if variance is None else variance.astype(np.float32)
    psf = trail((0.0, 0.0, 0.0, 0.0), half=PSF_HALF)
    spectra = psf_spectra(psf[None], transform_size(HALF, PSF_HALF))
    weights = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return TrailStamps(values.astype(np.float32), weights, spread, np.repeat(spectra, len(values), axis=0))


def places(rng, n, length):
    """Middles near the stamp's, extents of any direction; shape (n, 4)."""
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    extent = length * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([rng.uniform(-1.0, 1.0, (n, 2)), extent], axis=1)


def test_models_are_the_integral_of_the_psf(rng):
    """The trail to 1e-4 of a star's peak, its slopes, of five points, to 2%: from a point to 20 px."""
    place = np.concatenate([places(rng, 8, length) for length in (0.0, 2.0, 20.0)])
    n, stamps = len(place), stamps_of(np.zeros((len(place), SIDE, SIDE)))
    size = stamps.psfs.shape[1]
    spectra = np.empty((n, 2, size, stamps.psfs.shape[2]), np.complex64)
    fill_spectra(stamps.psfs, place[:, :2], place[:, 2:], spectra)
    images, flat = np.empty((n, 5, SIDE, SIDE), np.float32), stamps.values.reshape(n, -1)
    drawn = np.fft.irfft2(spectra, (size, size)).astype(np.float32)
    sum_trails(drawn, flat, flat, np.arange(n), images, np.empty((n, 5, 5)), np.empty((n, 5)))
    peak = trail((0.0, 0.0, 0.0, 0.0)).max()
    for k in range(n):
        np.testing.assert_allclose(images[k, 0], trail(place[k]), atol=1e-4 * peak)
        for j in range(4):
            step = 1e-4 * np.eye(4)[j]
            slope = (trail(place[k] + step) - trail(place[k] - step)) / 2e-4
            np.testing.assert_allclose(images[k, j + 1], slope, atol=0.02 * peak / SIGMA)


def test_the_fit_is_the_least_squares_of_scipy(rng):
    """Same flux, place and extent as a general optimiser on the same pixels, to a twentieth of the error."""
    n = 8
    place, flux = places(rng, n, 12.0), rng.uniform(300.0, 900.0, n)
    values = np.stack([trail(p, f) for p, f in zip(place, flux, strict=True)]) + rng.normal(size=(n, SIDE, SIDE))
    variance = np.where(rng.random(values.shape) < 0.05, 0.0, 1.0)
    fits = fit_trails(stamps_of(values, variance), place + rng.normal(0, 0.5, (n, 4)), reach=16.0, correlation=None)
    assert fits.converged.all()
    for k in range(n):
        root = np.sqrt(variance[k])
        best = optimize.least_squares(
            lambda p, k=k, root=root: (root * (values[k] - trail(p[1:], p[0]))).ravel(), [flux[k], *place[k]]
        )
        covariance = np.linalg.inv(best.jac.T @ best.jac)
        error = np.sqrt(np.diag(covariance))
        found = np.array([fits.flux[k], *fits.middle[k], *fits.extent[k]])
        np.testing.assert_allclose((found - best.x) / error, 0.0, atol=0.05)
        np.testing.assert_allclose(np.sqrt(np.diag(fits.covariance[k])) / error, 1.0, atol=0.02)
        assert fits.chi2[k] == pytest.approx(2 * best.cost, rel=1e-3)
        assert fits.gain[k] == pytest.approx((variance[k] * values[k] ** 2).sum() - 2 * best.cost, rel=1e-3)
        assert fits.n_used[k] == (variance[k] > 0).sum()


def pulls(rng, length_fwhm, snr, n):
    """(Flux, middle along x, length, direction) less the truth, in units of their errors; those that converged."""
    place = places(rng, n, length_fwhm * FWHM)
    clean = np.stack([trail(p) for p in place])
    flux = snr / np.sqrt((clean**2).sum(axis=(1, 2)))
    values = flux[:, None, None] * clean + rng.normal(size=clean.shape)
    start = place + rng.normal(0.0, 0.15 * FWHM, place.shape)
    fits = fit_trails(stamps_of(values), start, reach=HALF - 0.5 * FWHM, correlation=None)
    along = place[:, 2:] / (length_fwhm * FWHM)
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    of_extent = fits.covariance[:, 3:, 3:]
    length_err, aside_err = (np.sqrt(np.einsum("ni,nij,nj->n", v, of_extent, v)) for v in (along, aside))
    found = [
        (fits.flux - flux) / np.sqrt(fits.covariance[:, 0, 0]),
        (fits.middle[:, 0] - place[:, 0]) / np.sqrt(fits.covariance[:, 1, 1]),
        (np.hypot(*fits.extent.T) - length_fwhm * FWHM) / length_err,
        np.einsum("ni,ni->n", fits.extent, aside) / aside_err,
    ]
    return np.array(found)[:, fits.converged], fits.converged.mean()


@pytest.mark.parametrize(("length_fwhm", "snr"), [(1.0, 100.0), (2.0, 30.0), (4.0, 15.0), (5.0, 100.0)])
def test_trails_are_measured_honestly(length_fwhm, snr, rng):
    """Flux, middle, length and direction of 400 trails: unbiased, pulls of width one.

    The mean pull scatters by 0.05, its width by 0.035: four of each, and for the mean 0.05 more for what the noise of
    a nonlinear fit moves it (the flux at S/N 15 by 2/S/N of its error, which the table takes out).
    """
    found, converged = pulls(rng, length_fwhm, snr, 400)
    assert converged > 0.98
    np.testing.assert_allclose(found.mean(axis=1), 0.0, atol=4 / np.sqrt(400) + 0.05)
    np.testing.assert_allclose(found.std(axis=1), 1.0, atol=4 / np.sqrt(2 * 400))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("length_fwhm", "snr"), [(0.5, 300.0), (1.0, 100.0), (2.0, 30.0), (3.0, 15.0), (5.0, 30.0), (5.0, 100.0)]
)
def test_pulls_of_trails_to_one_tenth(length_fwhm, snr, rng):
    """Of 1600 trails the width of every pull lies between 0.9 and 1.1, the mean within 0.1 + four of its scatter."""
    found, converged = pulls(rng, length_fwhm, snr, 1600)
    assert converged > 0.98
    assert np.abs(found.mean(axis=1)).max() < 0.1 + 4 / 40
    assert np.abs(found.std(axis=1) - 1.0).max() < 0.1


def test_errors_know_the_correlation_of_the_noise(rng):
    """One trail under 600 draws of correlated noise: each error matches the scatter to four times 1/sqrt(2 n), 12%."""
    n, kernel = 600, np.outer([1.0, 2.0, 1.0], [1.0, 3.0, 1.0])
    kernel /= np.sqrt((kernel**2).sum())
    place = np.array([0.3, -0.2, 9.0, 5.0])
    noise = rng.normal(size=(n, SIDE + 2, SIDE + 2))
    values = trail(place, 1500.0) + np.stack([signal.convolve2d(plane, kernel, "valid") for plane in noise])
    rho = signal.convolve2d(kernel, kernel[::-1, ::-1])
    fits = fit_trails(stamps_of(values), np.tile(place, (n, 1)), reach=16.0, correlation=rho)
    error = np.sqrt(np.einsum("nii->ni", fits.covariance)).mean(axis=0)
    found = np.column_stack([fits.flux, fits.middle, fits.extent])
    np.testing.assert_allclose(found.std(axis=0) / error, 1.0, atol=4 / np.sqrt(2 * n))


def test_a_point_explains_what_a_point_fit_does(rng):
    """F² ΣP² at the best place, to 1e-3; of a star of S/N 50."""
    star = trail((0.4, -0.3, 0.0, 0.0))
    values = 50.0 * star / np.sqrt((star**2).sum()) + rng.normal(size=(1, SIDE, SIDE))
    found = point_gains(stamps_of(values), np.zeros((1, 2)), reach=16.0)[0]

    def unexplained(place):
        model = trail((*place, 0.0, 0.0))
        return -((model * values[0]).sum() ** 2) / (model**2).sum()

    assert found == pytest.approx(-optimize.minimize(unexplained, [0.4, -0.3]).fun, rel=1e-3)


def test_what_runs_away_is_not_told_of(rng):
    """A line across the whole stamp, and a stamp of noise started with an end outside: not converged, errors NaN."""
    values = np.stack([trail((0.0, 0.0, 60.0, 0.0), 5000.0), rng.normal(size=(SIDE, SIDE))])
    start = np.array([[0.0, 0.0, 20.0, 0.0], [10.0, 0.0, 20.0, 0.0]])
    for correlation in (None, np.ones((1, 1))):
        fits = fit_trails(stamps_of(values), start, reach=16.0, correlation=correlation)
        assert not fits.converged.any()
        assert np.isnan(fits.covariance).all()


def test_lines_of_light_are_found(rng):
    """A row of unit significance each: the line is as long as the light, in its direction, wherever the source sits."""
    v, u = np.mgrid[:80, :80]
    angle = np.pi * 5 / 16
    along, aside = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
    t, w = (u - 40) * along[0] + (v - 40) * along[1], (u - 40) * aside[0] + (v - 40) * aside[1]
    score = (20.0 * np.exp(-0.5 * (w / 3.0) ** 2) * (np.abs(t) < 15)).astype(np.float32)
    spread, out = np.maximum(np.arange(62.0), 1e-9), np.empty((2, 4))
    x, y = np.array([40.0, 40.0 + 10 * along[0]]), np.array([40.0, 40.0 + 10 * along[1]])
    best_lines(-score, x, y, -np.ones(2), 1.0, 16, spread, out)
    np.testing.assert_allclose(out[:, LENGTH], 29.0, atol=2.0)
    np.testing.assert_allclose(out[:, SHIFT], [0.0, -10.0], atol=1.0)
    np.testing.assert_allclose(out[:, ANGLE], angle)
    np.testing.assert_allclose(out[:, GAIN], 400.0 * 29, rtol=0.1)
