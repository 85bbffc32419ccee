"""Residuals of stars where the PSF of a coadd leaps, as its models foretell them."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import Box, ChebyshevField, Difference, Exposure, GaussianPsf, MaskedImage, SpatialKernel
from diapipe.images.fields import ImageField
from diapipe.images.psf.stacked import StackedPsf
from diapipe.steps.measure.psf_steps import psf_mismatch

BOX = Box(50, 350, 100, 500)
SCIENCE, LEFT, RIGHT = 2.6, 1.7, 2.2


def leaping(left: float = LEFT, right: float = RIGHT) -> StackedPsf:
    """The PSF of a stack of one image on the left half of the box and of another on the right half."""
    images = np.stack([GaussianPsf(s, width=41).kernel_image(x=0.0, y=0.0)[None] for s in (left, right)])
    nodes = np.arange(BOX.x0, BOX.x1 + 1, 2.0)
    weights = np.stack([nodes < BOX.x_center, nodes >= BOX.x_center]).astype(np.float32)[:, None, :]
    return StackedPsf(images, (BOX, BOX), weights, float(BOX.x0), float(BOX.y0), 2.0)


def difference(kernel_sigma: float, *, convolved: str = "template") -> Difference:
    """A difference of nothing but a kernel and the science image's PSF."""
    kernel = GaussianPsf(kernel_sigma, width=31).kernel_image(x=0.0, y=0.0)
    planes = MaskedImage.from_planes(np.zeros(BOX.shape, np.float32), variance=np.ones(BOX.shape, np.float32), box=BOX)
    return Difference(
        exposure=Exposure(name="difference", masked_image=planes, psf=GaussianPsf(SCIENCE, width=41)),
        kernel=SpatialKernel.constant(kernel * 700.0, BOX),
        background=ChebyshevField.constant(0.0, BOX),
        convolved=convolved,
    )


def test_what_a_star_leaves_is_half_the_leap_on_either_side():
    """The median over a field of two equal halves is their mean, so each keeps half of P ⋆ (K ⊗ (P1 - P2)) / ΣP².

    A source of that flux is as high as the science star is, in units of it; where the template's is wider still, that
    is the lower one. Of Gaussians Σ G(a) G(b) = 1 / (2π (a² + b²)); sampling them changes that by less than a part in
    a thousand.
    """
    kernel_sigma = 1.5
    found = psf_mismatch(
        difference(kernel_sigma),
        GaussianPsf(SCIENCE, width=41),
        leaping(),
        x=np.array([150.0, 250.4, 340.0, 470.0]),
        y=np.array([100.0, 200.0, 300.0, 60.0]),
    )
    one, other = (SCIENCE**2 + s**2 + kernel_sigma**2 for s in (LEFT, RIGHT))
    expected = 0.5 * abs(1.0 / one - 1.0 / other) * 2.0 * SCIENCE**2
    widest = max(1.0, (RIGHT**2 + kernel_sigma**2) / SCIENCE**2)
    assert widest > 1.04
    np.testing.assert_allclose(found, expected * np.array([1.0, 1.0, widest, widest]), rtol=5e-3)


def test_a_science_image_that_is_convolved_tells_the_same_leap():
    """Then the template's PSF is the reference: half of P ⋆ (P1 - P2) / ΣP²."""
    found = psf_mismatch(
        difference(1.5, convolved="science"),
        GaussianPsf(1.2, width=41),
        leaping(),
        x=np.array([150.0, 470.0]),
        y=np.array([100.0, 200.0]),
    )
    one, other = (SCIENCE**2 + s**2 for s in (LEFT, RIGHT))
    expected = abs(1.0 / one - 1.0 / other) * SCIENCE**2
    lower = np.maximum(1.2**2 + 1.5**2, np.array([LEFT, RIGHT]) ** 2)  # sigma² of what is less high
    np.testing.assert_allclose(found, expected * lower / SCIENCE**2, rtol=5e-3)


@pytest.mark.parametrize("template", [None, GaussianPsf(LEFT, width=41), leaping(LEFT, LEFT)])
def test_a_psf_that_does_not_leap_accuses_nobody(template):
    """A smooth template's PSF, or none: 0, whatever the kernel leaves of every star alike."""
    science = GaussianPsf(SCIENCE, width=41)
    found = psf_mismatch(difference(1.5), science, template, x=np.array([150.0, 400.0]), y=np.array([100.0, 90.0]))
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


def test_a_smooth_field_of_psfs_is_told_from_a_stack():
    """Only stacks of several images leap."""
    assert not leaping().is_smooth
    assert GaussianPsf(2.0).is_smooth
    stamp = GaussianPsf(2.0).kernel_image(x=0.0, y=0.0)
    single = StackedPsf(
        ImageField(stamp[None], BOX).images[None], (BOX,), np.ones((1, 1, 1), np.float32), 0.0, 0.0, 1.0
    )
    assert single.is_smooth
