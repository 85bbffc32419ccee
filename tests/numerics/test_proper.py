"""proper: the filters against the formula on a whole frame, against noise, and against themselves exchanged."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import GaussianPsf
from diapipe.numerics.proper import POINT_PART, ProperFilters, gaussian_centroid, proper_filters, tapered

SIDE = 128


def gaussian(sigma, *, skew=0.0):
    """A PSF of 41 px, lopsided where asked for."""
    image = GaussianPsf(sigma, 41).kernel_image(x=0, y=0)
    return (1.0 - skew) * image + skew * np.roll(image, (1, 2), axis=(0, 1))


def spectrum(image):
    """Complex DFT on a periodic frame, the middle pixel at the origin."""
    frame, half = np.zeros((SIDE, SIDE)), image.shape[0] // 2
    rows, columns = np.ix_(*2 * [np.arange(-half, half + 1) % SIDE])
    np.add.at(frame, (rows, columns), image)
    return np.fft.fft2(frame)


def bounded(science, template):
    """Transforms of both with the point that keeps them from vanishing together."""
    s, t = spectrum(science), spectrum(template)
    point = POINT_PART / (1.0 + (np.abs(s) ** 2 + np.abs(t) ** 2) ** 2 / POINT_PART**4)
    return s + point, t + point


def both(science, template, **more):
    options = {"flux_ratio": 0.5, "science_variance": 4.0, "template_variance": 9.0, "n": SIDE} | more
    return proper_filters(science, template, **options)


def test_the_difference_is_equation_13(rng):
    """On a periodic frame: F_t P_t S - F_s P_s T over the root of the noise, times √(σ_s² F_t² + σ_t² F_s²) / F_t."""
    p_s, p_t = gaussian(2.0, skew=0.3), gaussian(1.5)
    s, t = rng.normal(size=(2, SIDE, SIDE))
    hat_s, hat_t = bounded(p_s, p_t)
    root = np.sqrt(4.0 * np.abs(hat_t) ** 2 + 9.0 * 0.25 * np.abs(hat_s) ** 2)
    expected = np.fft.ifft2((hat_t * np.fft.fft2(s) - 0.5 * hat_s * np.fft.fft2(t)) / root).real
    expected *= np.sqrt(4.0 + 9.0 * 0.25)
    filters = both(p_s, p_t)
    found = np.fft.ifft2(spectrum(filters.of_science) * np.fft.fft2(s) - spectrum(filters.of_template) * np.fft.fft2(t))
    np.testing.assert_allclose(found.real, expected, atol=1e-10)


def test_exchanging_the_images_exchanges_the_filters():
    """On the other flux scale: B / F and A / F, to rounding."""
    one = both(gaussian(2.0, skew=0.2), gaussian(1.5))
    other = both(gaussian(1.5), gaussian(2.0, skew=0.2), flux_ratio=2.0, science_variance=9.0, template_variance=4.0)
    np.testing.assert_allclose(other.of_science, one.of_template / 0.5, atol=1e-13)
    np.testing.assert_allclose(other.of_template, one.of_science / 0.5, atol=1e-13)


@pytest.mark.parametrize("variances", [(4.0, 9.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_noise_is_white_and_stars_are_gone(variances):
    """σ_s² |A|² + σ_t² |B|² is one number at all frequencies; A ⊗ P_s F_s = B ⊗ P_t F_t. Also without noise in one."""
    p_s, p_t = gaussian(2.0), gaussian(1.5)
    filters = both(p_s, p_t, science_variance=variances[0], template_variance=variances[1])
    a, b = (spectrum(image) for image in filters)
    power = variances[0] * np.abs(a) ** 2 + variances[1] * np.abs(b) ** 2
    np.testing.assert_allclose(power, power[0, 0], rtol=1e-9)
    star = np.fft.ifft2(0.5 * a * spectrum(p_s)).real
    left = star - np.fft.ifft2(b * spectrum(p_t)).real
    # what the point changes where the PSFs end: less than 1/200 of a star
    hat_s, hat_t = bounded(p_s, p_t)
    point = hat_s - spectrum(p_s)
    expected = np.fft.ifft2(0.5 * a / hat_t * point * (hat_s - hat_t)).real
    np.testing.assert_allclose(left, expected, atol=1e-12)
    assert np.abs(left).max() < 5e-3 * star.max()
    assert filters.of_science.sum() == pytest.approx(1.0, abs=1e-9)
    assert filters.of_template.sum() == pytest.approx(0.5, abs=1e-9)


def test_a_tapered_filter_keeps_its_sum_and_its_middle():
    """Whole within half the reach up to the common factor, nothing at the corner."""
    filters: ProperFilters = both(gaussian(2.0), gaussian(1.5))
    cut = tapered(filters.of_science, 16)
    assert cut.shape == (33, 33)
    assert cut.sum() == pytest.approx(filters.of_science.sum())
    middle = filters.of_science.shape[0] // 2
    core = filters.of_science[middle - 5 : middle + 6, middle - 5 : middle + 6]
    np.testing.assert_allclose(cut[11:22, 11:22] / cut[16, 16], core / core[5, 5], rtol=1e-12)
    assert abs(cut[0, 0]) < 1e-30


def test_the_centroid_of_a_moved_gaussian():
    """To 0.001 px, and nothing for a centred one."""
    psf = GaussianPsf(2.0, 41)
    assert gaussian_centroid(psf.kernel_image(x=0, y=0), sigma=2.0) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert gaussian_centroid(psf.image_at(x=10.3, y=4.6), sigma=2.0) == pytest.approx((0.3, -0.4), abs=1e-3)
