"""psf_flux: what a fit of one PSF finds in the image of another, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import GaussianPsf
from diapipe.numerics.psf_overlap import psf_flux


def gaussian(sigma, size, dx=0.0, dy=0.0):
    """Sampled, of unit integral."""
    offset = np.arange(size) - size // 2
    x, y = np.meshgrid(offset - dx, offset - dy)
    return np.exp(-0.5 * (x**2 + y**2) / sigma**2) / (2.0 * np.pi * sigma**2)


@pytest.mark.parametrize(("star", "psf"), [(2.0, 2.0), (1.6, 2.2), (3.0, 2.0)])
@pytest.mark.parametrize("sizes", [(41, 41), (61, 41), (41, 61)])
def test_gaussians_have_their_closed_form(star, psf, sizes):
    """Σ S P / ΣP² of Gaussians is 2 σ_P² / (σ_S² + σ_P²), whatever the sizes of the images that hold them."""
    found = psf_flux(gaussian(star, sizes[0]), GaussianPsf(psf, sizes[1]).kernel_image(x=0, y=0))
    assert found == pytest.approx(2 * psf**2 / (star**2 + psf**2), rel=1e-6)


@pytest.mark.parametrize(("dx", "dy"), [(0.3, 0.0), (-0.2, 0.4), (0.5, 0.5)])
def test_a_star_beside_its_pixel_loses_nothing(dx, dy):
    """At its own place it would have lost 1 - exp(-d² / 4σ²), 3% at half a pixel in both."""
    psf = GaussianPsf(2.0, 41).kernel_image(x=0, y=0)
    assert psf_flux(gaussian(2.0, 41, dx, dy), psf) == pytest.approx(1.0, abs=1e-6)
    assert (gaussian(2.0, 41, dx, dy) * psf).sum() / (psf**2).sum() < 1.0 - (dx**2 + dy**2) / 20


def test_what_has_no_maximum_is_unknown():
    """A flat image, or one turned over."""
    psf = GaussianPsf(2.0, 21).kernel_image(x=0, y=0)
    assert np.isnan(psf_flux(-psf, psf))
    assert np.isnan(psf_flux(np.zeros((21, 21)), psf))
