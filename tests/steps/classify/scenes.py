"""Differences with one thing on each, to be judged."""

from __future__ import annotations

import numpy as np

from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    SpatialKernel,
)

PSF = GaussianPsf(1.5, 31)


def difference_of(image, *, template=None, mask=None, variance=1.0, box=None, psf=PSF):
    """A difference of given pixels."""
    box = Box.from_shape(image.shape) if box is None else box
    planes = MaskedImage.from_planes(image, mask=mask, variance=variance, box=box)
    kernel = SpatialKernel.constant(GaussianPsf(1.0, 9).kernel_image(x=0, y=0), box)
    matched = None if template is None else MaskedImage.from_planes(template, box=box)
    return Difference(
        exposure=Exposure(name="difference", masked_image=planes, psf=psf),
        kernel=kernel,
        background=ChebyshevField.constant(0.0, box),
        convolved="template",
        matched_template=matched,
    )


def science_of(image, *, box=None):
    """A science image of given pixels."""
    box = Box.from_shape(image.shape) if box is None else box
    return Exposure(name="science", masked_image=MaskedImage.from_planes(image, box=box))


def star(shape, *, x, y, flux, sigma=1.5):
    """A Gaussian star."""
    rows, columns = np.indices(shape)
    profile = np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / sigma**2)
    return flux * profile / (2.0 * np.pi * sigma**2)
