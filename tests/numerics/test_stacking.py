"""Stacks, medians, regions, levels and a common PSF against slow twins and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, signal

from diapipe.images import GaussianPsf
from diapipe.numerics.common_psf import noise_equivalent_sigma, noise_gain, smoothed, smoothing_to
from diapipe.numerics.outliers import medians, score_beyond, seldom, significant_regions
from diapipe.numerics.seen_noise import seen_variance
from diapipe.numerics.stacking import MaskRule, Stack, nothing_stacked, stack_rows

BAD, SOFT, NO_DATA, CLIPPED, LOST = 1, 2, 4, 8, 16
STEP = 4


def random_stack(rng, n=4, shape=(13, 18)):
    image = rng.normal(0, 1, (n, *shape)).astype(np.float32)
    variance = rng.uniform(0.5, 2, image.shape).astype(np.float32)
    mask = np.where(rng.random(image.shape) < 0.2, BAD, 0) | np.where(rng.random(image.shape) < 0.3, SOFT, 0)
    mask |= np.where(rng.random(image.shape) < 0.2, LOST, 0)
    image[rng.random(image.shape) < 0.2] = np.nan
    rejected = (rng.random(image.shape) < 0.2).astype(np.uint8)
    nodes = rng.uniform(0.2, 1, (n, 5, 6)).astype(np.float32)
    return Stack(image, variance, mask.astype(np.int32), rejected, nodes, STEP, 3, 2)


def weight_at(nodes, y, x):
    """Bilinear between the centres of cells, one pixel at a time."""
    half = 0.5 * (STEP - 1)
    v, u = (np.clip((p - half) / STEP, 0, n - 1) for p, n in zip((y, x), nodes.shape, strict=True))
    j, i = min(int(v), nodes.shape[0] - 2), min(int(u), nodes.shape[1] - 2)
    low, high = (nodes[j + k, i] * (1 - u + i) + nodes[j + k, i + 1] * (u - i) for k in (0, 1))
    return low * (1 - v + j) + high * (v - j)


def test_a_stack_is_what_its_definition_says(rng):
    """Every pixel of small random planes, with all kinds of holes, against the definition."""
    stack = random_stack(rng)
    bits_of = {"bad": BAD | LOST, "passed": np.array([SOFT]), "no_data": NO_DATA, "clipped": CLIPPED, "lost": LOST}
    rule = MaskRule(**bits_of, share=0.4, lost_share=0.3)
    n, height, width = stack.image.shape
    out = nothing_stacked((20, 24), n, (5, 6), no_data=NO_DATA)
    stack_rows(stack, np.arange(n), rule, out, 0, height, 0, width)
    used = np.zeros_like(out.used)
    for y in range(height):
        for x in range(width):
            at = y + stack.row, x + stack.column
            known = [i for i in range(n) if np.isfinite(stack.image[i, y, x])]
            sound = [i for i in known if not stack.mask[i, y, x] & (BAD | LOST)]
            kept = [i for i in sound if not stack.rejected[i, y, x]]
            bits = CLIPPED if len(kept) < len(sound) else 0
            if kept:
                w = np.array([weight_at(stack.nodes[i], *at) for i in kept])
                soft = np.array([bool(stack.mask[i, y, x] & SOFT) for i in kept])
                bits |= SOFT if soft.any() and w[soft].sum() >= 0.4 * w.sum() else 0
                missing = sum(weight_at(stack.nodes[i], *at) for i in range(n) if stack.mask[i, y, x] & LOST)
                bits |= LOST if missing > 0.3 * (missing + w.sum()) else 0
                for i, weight in zip(kept, w, strict=True):
                    used[i, at[0] // STEP, at[1] // STEP] += weight
            else:
                kept = sound or known
                w = np.array([1 / stack.variance[i, y, x] for i in kept])
                bits |= int(np.bitwise_or.reduce([stack.mask[i, y, x] for i in kept])) if kept else 0
            if not kept:
                assert np.isnan(out.image[at])
                assert out.mask[at] & NO_DATA
                continue
            values, spread = stack.image[kept, y, x], stack.variance[kept, y, x]
            assert out.image[at] == pytest.approx((w * values).sum() / w.sum(), rel=1e-4, abs=1e-5)
            assert out.variance[at] == pytest.approx((w**2 * spread).sum() / w.sum() ** 2, rel=1e-4)
            assert (out.mask[at], out.number[at]) == (bits, len(kept))
    np.testing.assert_allclose(out.used, used, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 61])
def test_medians_are_medians(rng, n):
    """Of those that count; NaN where none does. Few are sorted by insertion, many by NumPy."""
    values = rng.normal(0, 1, (n, 9, 11)).astype(np.float32)
    good = (rng.random(values.shape) < 0.8).astype(np.uint8)
    median, number = np.empty((9, 11), np.float32), np.zeros((9, 11), np.int32)
    medians(values, good, median, number)
    masked = np.ma.masked_array(values, good == 0)
    np.testing.assert_allclose(median, np.ma.median(masked, axis=0).filled(np.nan), rtol=1e-6)
    np.testing.assert_array_equal(number, good.sum(axis=0))


def test_scores_count_what_is_beyond_what_is_allowed():
    """(|off| - allowed) / sigma with its sign; 0 where less, where the image has no say, or there are too few."""
    off = np.array([[5.0, -5.0, 1.0, 9.0, 9.0]], np.float32)
    good, number = np.array([[1, 1, 1, 0, 1]], np.uint8), np.array([[3, 3, 3, 3, 2]], np.int32)
    score = np.empty_like(off)
    score_beyond(off, np.full_like(off, 4.0), np.full_like(off, 2.0), good, number, 3, score)
    np.testing.assert_allclose(score, [[1.5, -1.5, 0, 0, 0]])


def test_regions_are_those_of_hysteresis(rng):
    """Connected pixels of one sign beyond 2 that hold one beyond 4, as `scipy.ndimage.label` finds them."""
    score = ndimage.gaussian_filter(rng.normal(0, 1, (60, 70)), 2.0).astype(np.float32)
    score = np.abs(score * 2.5 / score.std())
    runs, labels, n = significant_regions(score, low=2.0, high=4.0)
    found = np.zeros(score.shape, int)
    for (y, first, last), label in zip(runs, labels, strict=True):
        found[y, first:last] = label + 1
    parts, n_parts = ndimage.label(score > 2.0, np.ones((3, 3)))
    high = [k for k in range(1, n_parts + 1) if score[parts == k].max() > 4.0]
    assert n == len(high) > 3
    np.testing.assert_array_equal(found > 0, np.isin(parts, high))
    assert all(len(np.unique(found[parts == k])) == 1 for k in high)


def test_a_region_is_judged_as_a_whole():
    """Half of the pixels, or more, must be seldom."""
    runs, labels = np.array([[0, 0, 4], [2, 0, 4]]), np.array([0, 1])
    counts = np.array([[1, 1, 5, 5], [0, 0, 0, 0], [1, 5, 5, 5]], np.int32)
    found = seldom(runs, labels, 2, counts, np.full((3, 4), 2, np.int32), least_share=0.5)
    np.testing.assert_array_equal(found, [True, False])


def test_all_psfs_become_one_gaussian():
    """A Gaussian and a Moffat, each through its kernel, are the same to 3e-3 of the peak."""
    y, x = np.mgrid[-20:21, -20:21]
    moffat = (1 + (x**2 + 1.1 * y**2) / 3.0**2) ** -3.0
    psfs = [GaussianPsf(1.6, 41).kernel_image(x=0, y=0), moffat / moffat.sum()]
    target = GaussianPsf(3.0, 41).kernel_image(x=0, y=0)
    assert max(noise_equivalent_sigma(psf) for psf in psfs) < 2.5
    for psf in psfs:
        kernel = smoothing_to(psf, 3.0, None).kernel
        made = signal.convolve2d(psf, kernel, mode="same")
        assert np.abs(made - target).max() < 3e-3 * target.max()


def test_smoothing_by_parts_is_convolution(rng):
    """To 3e-4 of the largest value, the border included, where there is nothing beyond."""
    y, x = np.mgrid[-20:21, -20:21]
    moffat = (1 + (x**2 + 1.2 * y**2 + 0.3 * x * y) / 3.0**2) ** -3.0
    kernel = smoothing_to(moffat / moffat.sum(), 3.2, None).kernel
    image = rng.normal(0, 1, (83, 71)).astype(np.float32)
    slow = signal.convolve2d(image, kernel, mode="same")
    np.testing.assert_allclose(smoothed(image, kernel), slow, atol=3e-4 * np.abs(slow).max())


def test_the_gain_is_the_variance_of_smoothed_noise(rng):
    """White noise and correlated noise: variance after the smoothing to 4% (it has 8,000 independent pixels)."""
    kernel = smoothing_to(GaussianPsf(1.6, 25).kernel_image(x=0, y=0), 2.4, None).kernel
    blur = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    white = rng.normal(0, 1, (700, 700)).astype(np.float32)
    grey = signal.convolve2d(white, blur, mode="same").astype(np.float32)
    correlation = signal.convolve2d(blur, blur) / (blur**2).sum()
    for image, shared in ((white, None), (grey, correlation)):
        inner = smoothed(image, kernel)[30:-30, 30:-30]
        assert inner.var() / image.var() == pytest.approx(noise_gain(kernel, shared), rel=0.04)


def test_noise_is_taken_as_it_is_seen(rng):
    """Less noise than claimed on one side, more on the other: what is seen to 7%, never less than what is claimed;
    light adds what its variance exceeds the dark one by.
    """
    variance = np.full((520, 520), 4.0, np.float32)
    light = np.zeros_like(variance)
    variance[100, 100], light[100, 100] = 104.0, 1e3
    off = rng.normal(0, np.where(np.arange(520) < 260, 1.4, 4.0), variance.shape).astype(np.float32)
    seen = seen_variance(off, variance, light, np.ones(variance.shape, np.uint8), dim_sigma=5.0, dim=0.0)
    assert seen[50, 50] == pytest.approx(4.0, rel=0.01)
    assert seen[50, 400] == pytest.approx(16.0, rel=0.07)
    assert seen[100, 100] == pytest.approx(104.0, rel=0.01)
