"""Adaptive moments: exact on Gaussians, honest errors in noise, blind to masked pixels."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.moments import COLLAPSED, NO_SIGNAL, adaptive_moments

CELL = 40
TRUE_MOMENTS = (3.2, 0.4, 2.5)


def gaussians(rng, n_side, *, flux=1000.0):
    """Elliptical Gaussians of one shape at random sub-pixel places on a grid; image, x, y."""
    ixx, ixy, iyy = TRUE_MOMENTS
    inverse = np.linalg.inv([[ixx, ixy], [ixy, iyy]])
    image = np.zeros((CELL * n_side, CELL * n_side))
    centres = np.array([(j * CELL + 20, i * CELL + 20) for i in range(n_side) for j in range(n_side)], float)
    centres += rng.uniform(-0.5, 0.5, centres.shape)
    yy, xx = np.mgrid[:CELL, :CELL]
    for k, (x, y) in enumerate(centres):
        i, j = divmod(k, n_side)
        u, v = xx + j * CELL - x, yy + i * CELL - y
        q = inverse[0, 0] * u * u + 2 * inverse[0, 1] * u * v + inverse[1, 1] * v * v
        norm = flux / (2 * np.pi * np.sqrt(ixx * iyy - ixy**2))
        image[i * CELL : (i + 1) * CELL, j * CELL : (j + 1) * CELL] = norm * np.exp(-0.5 * q)
    return image.astype(np.float32), centres[:, 0], centres[:, 1]


def test_gaussian_is_recovered(rng):
    """A noiseless Gaussian: centroid and moments to the convergence limit, flux to the part beyond four sigma, 3e-4."""
    image, x, y = gaussians(rng, 5)
    found = adaptive_moments(image, np.ones_like(image), np.rint(x), np.rint(y), sigma_start=1.5)
    assert (found.flag == 0).all()
    np.testing.assert_allclose(found.x, x, atol=1e-3)
    np.testing.assert_allclose(found.y, y, atol=1e-3)
    np.testing.assert_allclose(found.flux, 1000.0, rtol=1e-3)
    for values, truth in zip((found.ixx, found.ixy, found.iyy), TRUE_MOMENTS, strict=True):
        np.testing.assert_allclose(values, truth, rtol=2e-3)


def test_errors_are_honest(rng):
    """Pulls of 900 sources have unit width: sigma of the estimate is 1/sqrt(1800) = 0.024, five of them allowed."""
    image, x, y = gaussians(rng, 30)
    noisy = image + rng.normal(0.0, 1.5, image.shape).astype(np.float32)
    found = adaptive_moments(noisy, np.full_like(image, 1.5**2), np.rint(x), np.rint(y), sigma_start=1.5)
    pulls = [
        (found.x - x) / found.x_err,
        (found.y - y) / found.y_err,
        (found.flux - 1000.0) / found.flux_err,
        (found.ixx - TRUE_MOMENTS[0]) / found.ixx_err,
        (found.ixy - TRUE_MOMENTS[1]) / found.ixy_err,
        (found.iyy - TRUE_MOMENTS[2]) / found.iyy_err,
    ]
    assert (found.flag == 0).all()
    assert [np.std(pull) for pull in pulls] == pytest.approx([1.0] * 6, abs=0.12)


@pytest.mark.parametrize("by_mask", [False, True])
def test_masked_pixels_do_not_count(rng, by_mask):
    """A bad row and column through every source, filled with NaN, change the shape by less than 1%."""
    image, x, y = gaussians(rng, 5)
    variance, mask = np.ones_like(image), np.zeros(image.shape, np.int32)
    bad = np.zeros(image.shape, bool)
    bad[21::CELL], bad[:, 18::CELL] = True, True
    image[bad] = np.nan
    if by_mask:
        mask[bad] = 4
    else:
        variance[bad] = 0.0
    found = adaptive_moments(
        image, variance, np.rint(x), np.rint(y), sigma_start=1.5, mask=mask, bad_bits=4 if by_mask else 0
    )
    assert (found.flag == 0).all()
    np.testing.assert_allclose(found.x, x, atol=0.01)
    np.testing.assert_allclose(found.ixx, TRUE_MOMENTS[0], rtol=0.01)
    np.testing.assert_allclose(found.flux, 1000.0, rtol=0.01)


def test_what_is_no_source_is_flagged():
    """Empty sky has no flux, a single hot pixel no width."""
    image = np.zeros((60, 60), np.float32)
    image[30, 40] = 100.0
    found = adaptive_moments(
        image, np.ones_like(image), np.array([15.0, 40.0]), np.array([15.0, 30.0]), sigma_start=2.0
    )
    assert found.flag[0] == NO_SIGNAL
    assert found.flag[1] == COLLAPSED


def test_no_sources_give_empty_arrays():
    """Empty in, empty out."""
    image = np.zeros((60, 60), np.float32)
    assert len(adaptive_moments(image, image, np.empty(0), np.empty(0), sigma_start=2.0).x) == 0
