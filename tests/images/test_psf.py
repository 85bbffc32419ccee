"""The PSF models: unit sum, centroid, widths known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images import Box, ConvolvedPsf, GaussianPsf, ImageField, PolynomialPsf, Psf, SpatialKernel
from diapipe.images.psf import SIGMA_TO_FWHM

BOX = Box(0, 400, 0, 600)
positions = st.floats(-2.0, 402.0)


def gaussian_image(sigma: float, size: int) -> np.ndarray:
    return GaussianPsf(sigma, size).kernel_image(x=0.0, y=0.0)


def varying() -> PolynomialPsf:
    """A PSF that widens from sigma 1.8 to 2.2 along x: linear in x between two Gaussians."""
    narrow, wide = gaussian_image(1.8, 25), gaussian_image(2.2, 25)
    return PolynomialPsf(ImageField(np.stack([(narrow + wide) / 2, (wide - narrow) / 2, np.zeros((25, 25))]), BOX))


MODELS: dict[str, Psf] = {
    "gaussian": GaussianPsf(2.0),
    "constant": PolynomialPsf.constant(3.0 * gaussian_image(2.0, 25), BOX),
    "varying": varying(),
    "convolved": ConvolvedPsf(varying(), SpatialKernel.constant(gaussian_image(1.0, 11), BOX)),
}


def centroid(image: np.ndarray) -> tuple[float, float]:
    """First moments (x, y) from the middle pixel."""
    offset = np.arange(len(image)) - len(image) // 2
    return float((image.sum(axis=0) * offset).sum() / image.sum()), float(
        (image.sum(axis=1) * offset).sum() / image.sum()
    )


def variance_along_x(image: np.ndarray) -> float:
    """Second central moment along x."""
    offset = np.arange(len(image)) - len(image) // 2
    profile = image.sum(axis=0) / image.sum()
    return float((profile * offset**2).sum() - (profile * offset).sum() ** 2)


@pytest.mark.parametrize("name", MODELS)
@given(x=positions, y=positions)
def test_a_kernel_image_is_centred_and_has_unit_sum(name, x, y):
    """Unit sum to rounding; a convolved PSF loses what the kernel carries beyond the stamp, 1e-6 at five sigma."""
    psf = MODELS[name]
    image = psf.kernel_image(x=x, y=y)
    assert image.shape == (psf.size, psf.size)
    assert image.dtype == np.float64
    assert abs(image.sum() - 1) < (1e-6 if name == "convolved" else 1e-12)
    np.testing.assert_allclose(centroid(image), (0, 0), atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
@given(x=positions, y=positions)
def test_a_star_is_drawn_where_it_stands(name, x, y):
    """The centroid of ``image_at`` is the sub-pixel part of the position, to the 0.012 px of `shift_stamp`."""
    image = MODELS[name].image_at(x=x, y=y)
    expected = (x - np.floor(x + 0.5), y - np.floor(y + 0.5))
    np.testing.assert_allclose(centroid(image), expected, atol=0.012)
    assert abs(image.sum() - 1) < 1e-3


@given(st.floats(1.0, 4.0))
def test_the_width_of_a_gaussian_is_its_sigma(sigma):
    """Sum of P² = 1/(4 pi sigma²), but for aliasing, 2 exp(-pi² sigma²) of it (Poisson's formula)."""
    psf = GaussianPsf(sigma, 51)
    aliasing = 2.1 * np.exp(-((np.pi * sigma) ** 2)) + 1e-9
    assert abs(psf.sigma_at(x=0, y=0) / sigma - 1) < aliasing
    assert abs(psf.fwhm_at(x=0, y=0) / (2.354820045 * sigma) - 1) < aliasing


def test_fwhm_is_two_root_two_log_two_sigmas():
    assert abs(SIGMA_TO_FWHM - 2.3548200450309493) < 1e-15


@given(st.floats(1.2, 2.5), st.floats(1.0, 2.0))
def test_variances_add_under_convolution(sigma_psf, sigma_kernel):
    """Two Gaussians: sigma² = sigma_P² + sigma_K², within the 1e-6 that the borders at six sigma cut off."""
    psf = ConvolvedPsf(
        GaussianPsf(sigma_psf, 41), SpatialKernel.constant(gaussian_image(sigma_kernel, 25), Box(0, 9, 0, 9))
    )
    expected = sigma_psf**2 + sigma_kernel**2
    assert abs(variance_along_x(psf.kernel_image(x=4.0, y=4.0)) / expected - 1) < 1e-5
    assert abs(psf.sigma_at(x=4.0, y=4.0) ** 2 / expected - 1) < 1e-5


def test_convolution_moves_a_psf_by_the_kernels_centroid():
    """True convolution: a kernel with its weight one pixel to the right moves the star one pixel to the right."""
    image = np.zeros((5, 5))
    image[2, 3] = 1.0
    psf = ConvolvedPsf(GaussianPsf(1.5, 25), SpatialKernel.constant(image, Box(0, 9, 0, 9)))
    np.testing.assert_allclose(centroid(psf.kernel_image(x=0, y=0)), (1.0, 0.0), atol=1e-9)


def test_what_a_kernel_carries_off_the_stamp_is_not_made_up_for():
    """A tenth of the light, sent six pixels away from a stamp that ends at three, is missing from the sum."""
    image = np.zeros((13, 13))
    image[6, 6], image[6, 12] = 0.9, 0.1
    psf = ConvolvedPsf(GaussianPsf(0.5, 7), SpatialKernel.constant(image, Box(0, 9, 0, 9)))
    assert abs(psf.kernel_image(x=0, y=0).sum() - 0.9) < 1e-8


def test_a_varying_psf_has_its_widths_at_the_edges():
    psf = varying()
    np.testing.assert_allclose(psf.kernel_image(x=-0.5, y=200.0), gaussian_image(1.8, 25), atol=1e-12)
    np.testing.assert_allclose(psf.kernel_image(x=599.5, y=200.0), gaussian_image(2.2, 25), atol=1e-12)


def test_outside_its_region_a_polynomial_psf_is_that_of_the_border():
    """Polynomials run away; a PSF must not."""
    psf = varying()
    np.testing.assert_array_equal(psf.kernel_image(x=-900.0, y=200.0), psf.kernel_image(x=-0.5, y=200.0))
    np.testing.assert_array_equal(psf.kernel_image(x=9999.0, y=9999.0), psf.kernel_image(x=599.5, y=399.5))


def test_a_psf_without_a_positive_sum_is_undefined():
    with pytest.raises(PsfUndefinedError, match=r"sum 0 at \(3\.0, 4\.0\); a positive sum is needed"):
        PolynomialPsf.constant(np.zeros((5, 5)), BOX).kernel_image(x=3.0, y=4.0)


@pytest.mark.parametrize(("sigma", "width"), [(0.0, 25), (-1.0, 25), (float("nan"), 25), (2.0, 24)])
def test_an_impossible_gaussian_is_refused(sigma, width):
    with pytest.raises(InputError, match=f"needs sigma > 0 and an odd width, not {sigma} and {width}"):
        GaussianPsf(sigma, width)
