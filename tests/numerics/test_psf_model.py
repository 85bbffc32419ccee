"""The pieces of the PSF fit: shifts, profiles, modes, and a whole fit of known truth."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import polynomials, psf_model, star_stamps
from diapipe.numerics.shifting import shift_stamp

SIZE = 25


def test_shifted_equals_the_single_one(rng):
    """Each stamp moves as `shifting.shift_stamp` moves it, to rounding."""
    stamps, dx, dy = rng.normal(size=(5, SIZE, SIZE)), np.array([-0.5, -0.3, 0.0, 0.2, 0.5]), rng.uniform(-0.5, 0.5, 5)
    for moved, stamp, x, y in zip(star_stamps.shifted(stamps, dx=dx, dy=dy), stamps, dx, dy, strict=True):
        np.testing.assert_allclose(moved, shift_stamp(stamp, dx=x, dy=y), atol=1e-12)


def test_moffat_fit_finds_the_profile():
    """A Moffat star with flux and constant is recovered to 1e-4 of its peak."""
    truth = psf_model.moffat(SIZE, alpha=2.3, beta=3.3, e1=0.1, e2=-0.05)
    found = psf_model.fit_moffat(500.0 * truth + 3.0, np.ones_like(truth), fwhm=3.0)
    assert np.abs(found - truth).max() < 1e-4 * truth.max()


def test_stamps_keep_what_is_usable(rng):
    """Stamps hold image and inverse variance; outside the image and on bad pixels both are 0."""
    image, variance = rng.normal(size=(40, 50)).astype(np.float32), np.full((40, 50), 4.0, np.float32)
    mask = np.zeros((40, 50), np.int32)
    mask[20, 22], image[21, 22] = 1, np.nan
    stamps = star_stamps.cut_stamps(image, variance, mask, 1, x=np.array([22.3, 1.0]), y=np.array([19.6, 38.4]), half=3)
    assert stamps.dx == pytest.approx([0.3, 0.0])
    assert stamps.dy == pytest.approx([-0.4, 0.4])
    assert (stamps.weights[0][[3, 4], 3] == 0.0).all()
    assert np.count_nonzero(stamps.weights[0]) == 47
    assert stamps.values[0, 0, 0] == image[17, 19]
    assert np.count_nonzero(stamps.weights[1]) == 5 * 5


def test_shape_modes_are_the_derivatives_of_the_profile():
    """First order in size and ellipticity, against finite differences of a Moffat, to their sampling error (2%)."""
    base = psf_model.moffat(SIZE, alpha=3.5, beta=3.0)
    modes = psf_model.shape_modes(base)
    step = 1e-3
    wider = psf_model.moffat(SIZE, alpha=3.5 * (1 + step), beta=3.0)
    longer = psf_model.moffat(SIZE, alpha=3.5, beta=3.0, e1=2 * step)
    for mode, changed in ((modes[0], wider), (modes[1], longer)):
        truth = (changed - base) / step
        assert np.abs(mode - truth).max() < 0.02 * np.abs(truth).max()
    np.testing.assert_allclose(modes.sum(axis=(1, 2)), 0.0, atol=1e-12)


def stars(rng, *, n, fwhm=3.6):
    """Moffat stars whose size changes by 6% along x: stamps, position u in [-1, 1], flux."""
    u, flux = rng.uniform(-1, 1, n), 10 ** rng.uniform(4.0, 5.5, n)
    dx, dy = rng.uniform(-0.5, 0.5, (2, n))
    offset = np.arange(SIZE) - SIZE // 2
    alpha = 0.5 * fwhm / np.sqrt(2 ** (1 / 3) - 1) * (1 + 0.03 * u)
    radius = (offset[None, None, :] - dx[:, None, None]) ** 2 + (offset[None, :, None] - dy[:, None, None]) ** 2
    norm = 2 / (np.pi * alpha**2)
    values = (flux * norm)[:, None, None] * (1 + radius / alpha[:, None, None] ** 2) ** -3.0
    variance = values + 300.0
    values = values + rng.normal(size=values.shape) * np.sqrt(variance)
    return star_stamps.Stamps(values, 1 / variance, dx, dy), u, flux


def test_star_fits_are_unbiased_with_the_true_psf(rng):
    """Flux pulls and chi2 of 300 stars fitted with the PSF that made them: mean within 5/sqrt(300), chi2 within 5%."""
    n = 300
    base = psf_model.moffat(SIZE, alpha=3.0, beta=3.0)
    dx, dy = rng.uniform(-0.5, 0.5, (2, n))
    models = star_stamps.shifted(np.broadcast_to(base, (n, SIZE, SIZE)), dx=dx, dy=dy)
    variance = 1000.0 * models + 10.0
    values = 1000.0 * models + rng.normal(size=models.shape) * np.sqrt(variance)
    stamps = star_stamps.Stamps(values, 1 / variance, dx, dy)
    fits = star_stamps.fit_stars(stamps, models, core=8.0)
    weight = 1 / variance
    plain = (weight * models**2).sum(axis=(1, 2))
    mixed = (weight * models).sum(axis=(1, 2)) ** 2 / weight.sum(axis=(1, 2))
    error = 1 / np.sqrt(plain - mixed)
    pulls = (fits.flux - 1000.0) / error
    assert abs(pulls.mean()) < 5 / np.sqrt(n)
    assert pulls.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * n))
    assert fits.chi2.mean() == pytest.approx(1.0, abs=0.05)


def test_series_follows_a_changing_psf(rng):
    """Size along x: after three rounds the PSF at either side is right to 1% of its peak and in its area."""
    stamps, u, flux = stars(rng, n=150)
    terms = polynomials.chebyshev_terms(u, np.zeros_like(u), 1)
    stack, weight = psf_model.mean_star(stamps, flux)
    base = psf_model.fit_moffat(stack, weight, fwhm=3.6)
    series = psf_model.assembled(np.zeros((3, SIZE, SIZE)), base)
    for _ in range(3):
        models = psf_model.models_at(series, terms, dx=stamps.dx, dy=stamps.dy)
        fits = star_stamps.fit_stars(stamps, models, core=7.0)
        targets, weights = psf_model.centred_targets(stamps, fits, series, terms)
        series = psf_model.assembled(
            psf_model.solve_series(targets, weights, terms, base, psf_model.shape_modes(base)), base
        )
    for side in (-0.8, 0.0, 0.8):
        found = np.tensordot(polynomials.chebyshev_terms(np.array(side), np.array(0.0), 1), series.images, axes=1)
        truth = psf_model.moffat(SIZE, alpha=0.5 * 3.6 / np.sqrt(2 ** (1 / 3) - 1) * (1 + 0.03 * side), beta=3.0)
        assert np.abs(found - truth).max() < 0.01 * truth.max()
        assert (found**2).sum() / (truth**2).sum() == pytest.approx(1.0, abs=0.01)


def test_neighbour_in_the_residual_is_found(rng):
    """A star of a tenth of the flux two FWHM away is masked; the core and the quiet rest are not."""
    base = psf_model.moffat(SIZE, alpha=3.0, beta=3.0)
    models = np.repeat(base[None], 3, axis=0)
    values = 1e5 * models
    values[0] += 1e4 * np.roll(base, (6, 0), axis=(0, 1))
    values += rng.normal(0.0, 5.0, values.shape)
    stamps = star_stamps.Stamps(values, np.full(values.shape, 1 / 25.0), np.zeros(3), np.zeros(3))
    fits = star_stamps.fit_stars(stamps, models, core=6.0)
    bad = star_stamps.unexplained(stamps, fits, models, fwhm=3.0, n_sigma=5.0)
    assert bad[0, 18, 12]
    assert not bad[0, 12, 12]
    assert not bad[1:].any()
