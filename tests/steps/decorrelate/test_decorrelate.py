"""decorrelate: the filter that whitens, where noise and kernel vary and where there is nothing to go by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from diapipe.images import Box, GaussianPsf, MaskPlane, SpatialKernel
from diapipe.images.fields import ImageField
from diapipe.steps.decorrelate import Afterburner, decorrelate
from gaussian_sky import exposure, masked, moved_to, with_planes

SHAPE = (360, 400)


def noise(name, sigma, rng):
    return exposure(name, np.zeros(SHAPE), sigma, 1.5, rng)


def gaussian(sigma, half=10):
    return GaussianPsf(sigma, 2 * half + 1).kernel_image(x=0, y=0)


def constant(image):
    return SpatialKernel.constant(image, Box.from_shape(SHAPE))


def power(kernel, n=128):
    """|FFT|² of a kernel image."""
    return np.abs(np.fft.fft2(kernel, (n, n))) ** 2


@pytest.mark.parametrize("noises", [(3.0, 10.0), (10.0, 10.0), (20.0, 10.0)])
def test_the_power_of_the_whitened_noise_is_flat(noises, rng):
    """|ψ̂|² (V_S + |K̂|² V_T) = V_S + V_T at every frequency, to 3%; the definition of Reiss & Lupton (2016)."""
    sigma_t, sigma_s = noises
    kernel = constant(gaussian(1.4))
    found = decorrelate(noise("t", sigma_t, rng), noise("s", sigma_s, rng), kernel, algorithm=Afterburner())
    psi = found.image_at(x=200, y=180)
    flat = power(psi) * (sigma_s**2 + power(kernel.image_at(x=0, y=0)) * sigma_t**2) / (sigma_s**2 + sigma_t**2)
    assert np.abs(flat - 1.0).max() < 0.03


def test_the_sum_is_one_everywhere(rng):
    """The flux scale of the difference stays that of the science image, at every place, under a varying kernel."""
    images = np.stack([gaussian(1.4), 0.4 * (gaussian(1.8) - gaussian(1.2)), np.zeros((21, 21))])
    kernel = SpatialKernel(ImageField(images, Box.from_shape(SHAPE)))
    found = decorrelate(noise("t", 8.0, rng), noise("s", 10.0, rng), kernel, algorithm=Afterburner())
    for x, y in ((0, 0), (399, 0), (200, 180), (30, 350)):
        assert found.sum_at(x=x, y=y) == pytest.approx(1.0, abs=1e-9)
    left, right = (found.image_at(x=x, y=180)[found.half, found.half] for x in (20, 380))
    assert right > left + 0.005


def test_it_follows_noise_that_varies(rng):
    """A template that is noisier on the right needs more whitening there: the local noise power decides."""
    template, science = noise("t", 1.0, rng), noise("s", 10.0, rng)
    level = (np.linspace(4.0, 200.0, SHAPE[1])[None, :] * np.ones((SHAPE[0], 1))).astype(np.float32)
    template = with_planes(template, variance=level)
    found = decorrelate(template, science, constant(gaussian(1.4)), algorithm=Afterburner())
    for x in (35, 200, 365):
        alone = with_planes(template, variance=np.full(SHAPE, level[0, x], np.float32))
        expected = decorrelate(alone, science, constant(gaussian(1.4)), algorithm=Afterburner()).image_at(x=x, y=180)
        half = min(found.half, len(expected) // 2)
        cuts = [k[len(k) // 2 - half : len(k) // 2 + half + 1] for k in (found.image_at(x=x, y=180), expected)]
        middle = [k[half, k.shape[1] // 2] for k in cuts]
        assert middle[0] == pytest.approx(middle[1], rel=0.02)


def test_a_noiseless_template_needs_no_whitening(rng):
    """ψ is a delta function to 1%."""
    found = decorrelate(noise("t", 0.1, rng), noise("s", 10.0, rng), constant(gaussian(1.4)), algorithm=Afterburner())
    psi = found.image_at(x=200, y=180)
    assert psi[found.half, found.half] == pytest.approx(1.0, abs=0.01)


def test_correlated_input_is_taken_into_account(rng):
    """A template resampled before: with its correlation given the whitened noise is white, measured on the pixels."""
    smoothing = gaussian(0.7, half=3)
    raw = rng.normal(size=SHAPE)
    pixels = signal.fftconvolve(raw, smoothing, mode="same")
    correlation = signal.convolve2d(smoothing, smoothing)
    spread = float((smoothing**2).sum())
    template = replace(
        with_planes(noise("t", 1.0, rng), image=pixels.astype(np.float32), variance=np.full(SHAPE, spread, np.float32)),
        noise_correlation=correlation / correlation.max(),
    )
    science, kernel = noise("s", 0.3, rng), gaussian(1.0)
    psi = decorrelate(template, science, constant(kernel), algorithm=Afterburner()).image_at(x=200, y=180)
    plain = science.masked_image.image - signal.fftconvolve(pixels, kernel, mode="same")
    white = signal.fftconvolve(plain, psi, mode="same")[30:-30, 30:-30]
    assert abs((white[:, 1:] * white[:, :-1]).mean() / white.var()) < 0.02


def test_cells_without_pixels_take_the_field_of_the_others(rng):
    """Half of the template missing: the rest decides, and the whitening stays finite and of unit sum everywhere."""
    template = masked(noise("t", 8.0, rng), slice(None), slice(0, 200), MaskPlane.NO_DATA)
    template = with_planes(template, variance=np.where(template.masked_image.mask > 0, np.nan, np.float32(64)))
    found = decorrelate(template, noise("s", 10.0, rng), constant(gaussian(1.4)), algorithm=Afterburner())
    whole = decorrelate(noise("t", 8.0, rng), noise("s", 10.0, rng), constant(gaussian(1.4)), algorithm=Afterburner())
    for x in (10, 300):
        rows = [k.image_at(x=x, y=100)[k.half] for k in (found, whole)]
        np.testing.assert_allclose(*rows, atol=1e-6)


def test_nothing_to_go_by_is_a_delta(rng):
    """No usable pixel at all: the difference is left as it is."""
    template = with_planes(noise("t", 8.0, rng), variance=np.full(SHAPE, np.nan, np.float32))
    found = decorrelate(template, noise("s", 10.0, rng), constant(gaussian(1.4)), algorithm=Afterburner())
    np.testing.assert_array_equal(found.image_at(x=5, y=5), [[1.0]])


def test_parent_coordinates(rng):
    """Elsewhere in a larger image: the same filter."""
    template, science = noise("t", 8.0, rng), noise("s", 10.0, rng)
    here = decorrelate(template, science, constant(gaussian(1.4)), algorithm=Afterburner())
    moved = [moved_to(e, x0=900, y0=-50) for e in (template, science)]
    kernel = SpatialKernel.constant(gaussian(1.4), moved[0].box)
    there = decorrelate(*moved, kernel, algorithm=Afterburner())
    assert there.box == moved[0].box
    np.testing.assert_allclose(there.image_at(x=1000, y=50), here.image_at(x=100, y=100), atol=1e-12)
