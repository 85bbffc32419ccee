"""Kernels that bring several PSFs to one, and an image through a kernel that leaps."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.homogenizing import convolve_labelled, homogenized_noise, homogenizing_changes, settled
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.whitening import noise_gain

SIZE = 41


def gaussian(sigma: float, size: int = SIZE) -> np.ndarray:
    """A sampled Gaussian of unit sum."""
    v, u = np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1]
    image = np.exp(-0.5 * (u**2 + v**2) / sigma**2)
    return image / image.sum()


def seen(psf: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A PSF after a change, on its own stamp."""
    half = len(change) // 2
    return psf + convolved_in_full(psf, change)[half : half + len(psf), half : half + len(psf)]


@pytest.mark.parametrize(("sigma", "left"), [(1.8, 0.16), (2.1, 0.22)])
def test_a_psf_becomes_the_target(sigma, left):
    """Of the leap from either width to 1.95, a tenth of a star's height and more, a seventh or a quarter is left.

    What is left are frequencies at which a star has no light: no kernel brings them back without their noise, and
    sharpening needs them more.
    """
    psf, target = gaussian(sigma), gaussian(1.95)
    (change,) = homogenizing_changes(psf[None], target, damping=1e-3, half=6)
    before, after = (np.abs(image - target).max() for image in (psf, seen(psf, change)))
    assert before > 0.1 * target.max()
    assert after < left * before


def test_a_change_keeps_fluxes_and_the_target_as_it_is():
    """Changes have no sum; that of the target is nothing, to the digits of float32."""
    target = gaussian(2.0)
    changes = homogenizing_changes(np.array([gaussian(1.6), target]), target, damping=1e-3, half=8)
    np.testing.assert_allclose(changes.sum(axis=(1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(changes[1], 0.0, atol=1e-6)


def test_noise_of_a_single_kernel_is_exact():
    """With one kernel everywhere the gain is that of pixels, Σ K (ρ ⊗ K), and the noise correlated as K ⊗ ρ ⊗ K."""
    correlation = gaussian(0.45, 7) / gaussian(0.45, 7).max()
    changes = homogenizing_changes(gaussian(1.7)[None], gaussian(2.0), damping=1e-3, half=6)
    kernel = changes[0].copy()
    kernel[6, 6] += 1.0
    gains, after = homogenized_noise(changes, np.ones(1), gaussian(2.0), correlation)
    np.testing.assert_allclose(gains, (kernel**2).sum() * noise_gain(kernel, correlation), rtol=1e-6)
    expected = convolved_in_full(convolved_in_full(kernel, kernel[::-1, ::-1]), correlation)
    np.testing.assert_allclose(after, expected / expected.max(), atol=1e-6)


def test_noise_of_two_kernels_gives_fluxes_their_errors():
    """Gains times the mean correlation give each region the variance that a PSF's sum of its own noise has."""
    psf = gaussian(2.0)
    changes = homogenizing_changes(np.array([gaussian(1.8), gaussian(2.2)]), psf, damping=1e-3, half=9)
    gains, after = homogenized_noise(changes, np.array([3.0, 1.0]), psf, None)
    for change, gain in zip(changes, gains, strict=True):
        kernel = np.pad(change, 1)
        kernel[10, 10] += 1.0
        of_flux = (convolved_in_full(psf, kernel) ** 2).sum() / (psf**2).sum()
        assert gain * noise_gain(psf, after) == pytest.approx(of_flux, rel=1e-6)
    assert gains[0] < 1.0 < gains[1]


def ramp(column: float, shape: tuple[int, int] = (24, 30)) -> np.ndarray:
    """One value left of a column, another right of it, with a ramp of four nodes between."""
    share = np.clip(0.5 + (np.arange(shape[1]) - column) / 4.0, 0.0, 1.0)
    one, other = np.array([0.2, 0.9]), np.array([0.25, 0.8])
    values = one + share[None, :, None] * (other - one)
    return np.broadcast_to(values, (*shape, 2)).astype(np.float32)


def test_a_ramp_becomes_a_step():
    """Every node has the value of either side, and the step stands where the ramp is half-way up."""
    values = ramp(13.4)
    source = settled(values, np.ones((24, 30), np.bool_), flat=1e-3, reach=6)
    found = values.reshape(-1, 2)[source]
    np.testing.assert_array_equal(found[:, :14], values[0, 0] + np.zeros_like(found[:, :14]))
    np.testing.assert_array_equal(found[:, 14:], values[0, -1] + np.zeros_like(found[:, 14:]))


def test_a_hole_keeps_its_values():
    """What is lower than everything around it is in no ramp between two levels, and what is unknown is no level."""
    values = np.ones((24, 30, 1), np.float32)
    values[10:13, 11:14] = 0.7
    values[11, 12] = 0.5
    known = np.ones((24, 30), np.bool_)
    np.testing.assert_array_equal(settled(values, known, flat=1e-3, reach=6), np.arange(720).reshape(24, 30))
    values, known = ramp(13.4).copy(), np.ones((24, 30), np.bool_)
    known[:, 16:] = False
    source = settled(values, known, flat=1e-3, reach=6)
    np.testing.assert_array_equal(source, np.arange(720).reshape(24, 30))


def test_labelled_convolution_is_the_sum_it_says(rng):
    """T + Σ c (t' - t) over usable pixels, by the kernel of the pixel's square: the slow way, pixel by pixel."""
    shape, half, step = (21, 26), 2, 4
    image = rng.normal(size=shape).astype(np.float32)
    good = rng.random(shape) > 0.05
    labels = rng.integers(0, 3, (6, 7))
    changes = rng.normal(size=(3, 5, 5)).astype(np.float32) * np.float32(0.1)
    expected = image.astype(np.float64)
    for y in range(shape[0]):
        for x in range(shape[1]):
            change = changes[labels[y // step, x // step]]
            for v in range(-half, half + 1):
                for u in range(-half, half + 1):
                    inside = 0 <= y - v < shape[0] and 0 <= x - u < shape[1]
                    if labels[y // step, x // step] and inside and good[y - v, x - u]:
                        expected[y, x] += change[half + v, half + u] * (image[y - v, x - u] - image[y, x])
    usable = np.pad(good, half)
    light = np.where(usable, np.pad(image, half), np.float32(0.0))
    out, weights = image.copy(), usable.astype(np.float32)
    # what is not spoiled needs changes without a sum: here all pixels are taken for spoiled
    turned, spoiled = np.ascontiguousarray(changes[:, ::-1, ::-1]), np.ones(shape, np.bool_)
    wide = np.pad(image, half)
    light = np.where(usable, wide, np.float32(0.0))
    for first, last in ((0, 8), (8, 21)):
        convolve_labelled(light, weights, spoiled, labels, step, turned, out, first, last)
    np.testing.assert_allclose(out[good], expected[good], atol=3e-6)
