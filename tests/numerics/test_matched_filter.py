"""The matched filter against its definition, written as four plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics import matched_filter
from diapipe.numerics.weighting import MEAN_HALF
from diapipe.numerics.whitening import noise_gain


def asymmetric(size: int = 13) -> np.ndarray:
    """A PSF without any symmetry, of unit sum."""
    y, x = np.mgrid[:size, :size] - size // 2
    image = np.exp(-0.5 * ((x / 1.6) ** 2 + (y / 2.0) ** 2)) + 0.4 * np.exp(
        -0.5 * (((x - 2) / 1.3) ** 2 + (y + 1) ** 2)
    )
    return image / image.sum()


def slow_score(image, bad, variance, q):
    """S(x) = Σ Q w D / sqrt(Σ Q² w² V) with w = 1 / (mean usable V in 5x5), pixel by pixel in float64."""
    good = ~bad & np.isfinite(image)
    half, m = q.shape[0] // 2, MEAN_HALF
    pad = half + m
    d, v, g = (np.pad(np.where(good, a, 0.0).astype(float), pad) for a in (image, variance, np.ones_like(image)))
    w = np.zeros_like(d)
    for r in range(m, d.shape[0] - m):
        for c in range(m, d.shape[1] - m):
            if g[r, c]:
                near = np.s_[r - m : r + m + 1, c - m : c + m + 1]
                w[r, c] = g[near].sum() / v[near].sum()
    score = np.full(image.shape, np.nan)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            near = np.s_[r + m : r + m + q.shape[0], c + m : c + m + q.shape[0]]
            if (q**2 * g[near]).sum() >= 0.5 * (q**2).sum():
                score[r, c] = (q * w[near] * d[near]).sum() / np.sqrt((q**2 * w[near] ** 2 * v[near]).sum())
    return score


def fast_score(image, bad, variance, q, lost=0.0):
    filter_ = matched_filter.separated(q, lost=lost)
    square = matched_filter.squared(filter_, lost=lost)
    score = np.empty(image.shape, np.float32)
    for first in range(0, image.shape[0], 16):
        rows = min(16, image.shape[0] - first)
        matched_filter.filter_block(
            image, bad.astype(np.int32), variance, 1, *filter_, *square, 1.0, 0.5, first, 0, rows, image.shape[1], score
        )
    return score


def test_equals_its_definition(rng):
    """With masked pixels, NaN, a step in the variance and an asymmetric filter: to float32 rounding."""
    image = rng.standard_normal((40, 36)).astype(np.float32)
    variance = np.where(np.arange(36) < 18, 1.0, 9.0).astype(np.float32) * np.ones((40, 1), np.float32)
    bad = rng.random(image.shape) < 0.05
    bad[:, 20] = True
    image[bad] = 1e6
    image[5, 5] = np.nan
    expected, found = slow_score(image, bad, variance, asymmetric()), fast_score(image, bad, variance, asymmetric())
    sure = np.isfinite(expected) & np.isfinite(found)
    assert (np.isfinite(expected) == np.isfinite(found)).mean() > 0.995  # coverage of one half is judged to 1e-3
    np.testing.assert_allclose(found[sure], expected[sure], atol=2e-5)


def test_correlates_and_does_not_convolve():
    """A noiseless point source is most significant at its own place, though its PSF is asymmetric."""
    psf = asymmetric(21)
    image = np.zeros((61, 61), np.float32)
    image[20:41, 20:41] = 100 * psf
    score = fast_score(image, np.zeros(image.shape, bool), np.ones_like(image), psf)
    assert np.unravel_index(np.nanargmax(score), score.shape) == (30, 30)
    assert score[30, 30] == pytest.approx(100 * np.sqrt((psf**2).sum()), rel=1e-5)


@pytest.mark.parametrize("lost", [1e-3, 1e-2])
def test_truncation_costs_half_of_what_it_drops(lost):
    """The S/N of a source falls by at most the dropped fraction of ΣP²; the noise stays exact."""
    psf = asymmetric(21)
    core = matched_filter.cropped(psf, matched_filter.core_half(psf, lost=lost))
    filter_ = matched_filter.separated(core, lost=lost)
    q = filter_.image()
    reach = q.shape[0] // 2
    kept = (q * psf[10 - reach : 11 + reach, 10 - reach : 11 + reach]).sum() / np.sqrt((q**2).sum() * (psf**2).sum())
    assert 1 - kept <= lost
    assert matched_filter.squared(filter_, lost=lost).image().sum() == pytest.approx((q**2).sum(), rel=1e-5)


def test_noise_gain_is_the_variance_of_filtered_noise():
    """White noise smoothed by k has autocorrelation ρ = k⋆k / Σk²; filtered by Q its variance is Σ (Q⋆k)²."""
    q = asymmetric()
    k = np.array([[0.0, 0.2, 0.0], [0.1, 1.0, 0.1], [0.0, 0.3, 0.05]])
    rho = np.zeros((5, 5))
    padded = np.pad(k, 2)
    for j in range(5):
        for i in range(5):
            rho[j, i] = (padded[j : j + 3, i : i + 3] * k).sum() / (k**2).sum()
    wide = np.zeros((15, 15))
    for j in range(3):
        for i in range(3):
            wide[j : j + 13, i : i + 13] += k[j, i] * q
    expected = (wide**2).sum() / (k**2).sum() / (q**2).sum()
    assert noise_gain(q, rho) == pytest.approx(expected, rel=1e-12)
    assert noise_gain(q, None) == 1.0


def test_weights_ignore_the_noise_of_the_variance(rng):
    """Poisson counts with their own variance: the mean score is near 0.

    Weights 1/V bias every pixel by -1 count, the score by -1/sqrt(V ΣP²) = -0.67 for V = 100; a 25th, 0.03, is left.
    """
    counts = rng.poisson(100.0, (256, 256)).astype(np.float32)
    score = fast_score(counts - 100, np.zeros(counts.shape, bool), counts, asymmetric(), lost=1e-3)
    assert abs(np.nanmean(score)) < 0.08
    assert np.nanstd(score) == pytest.approx(1.0, abs=0.03)
