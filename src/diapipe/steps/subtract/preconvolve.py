"""Pre-convolution: images through a filter made of the science PSF, so that a kernel is fitted for a score image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.kernel import SpatialKernel
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import ConvolvedPsf, GaussianPsf, Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.matched_filter import cropped
from diapipe.numerics.whitening import noise_covariance
from diapipe.steps.limits import Limited
from diapipe.steps.subtract.convolve import convolve_pixels, variance_through, without_holes
from diapipe.steps.subtract.masks import grown
from diapipe.steps.subtract.score_image import field_through


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractPreconvolution(Limited, ABC):
    """What a source is expected to look like on the science image.

    Attributes
    ----------
    cells
        Positions per axis at which that is asked.
    order
        Polynomial order of the filter over the image.
    """

    may_be_zero = ("order",)

    cells: int = 6
    order: int = 3

    @abstractmethod
    def profile(self, psf: Psf, *, x: float, y: float) -> FloatArray:
        """Expected image of a source at a position, on the middle pixel, of unit sum; shape (size, size), size odd."""

    def filter(self, exposure: Exposure) -> SpatialKernel:
        """The kernel whose convolution correlates an image with the profiles: these, mirrored.

        Raises
        ------
        PsfUndefinedError
            If the exposure has no PSF, or one that is defined nowhere.
        """
        psf = exposure.psf
        if psf is None:
            raise PsfUndefinedError(f"{exposure.name} has no PSF; a score image needs one")

        def mirrored(x: float, y: float) -> FloatArray:
            return self.profile(psf, x=x, y=y)[::-1, ::-1]

        return SpatialKernel(field_through(mirrored, exposure.box, cells=self.cells, order=self.order))


@dataclass(frozen=True, slots=True, kw_only=True)
class PsfFilter(AbstractPreconvolution):
    """The PSF itself: the matched filter, also where the PSF has no symmetry."""

    def profile(self, psf: Psf, *, x: float, y: float) -> FloatArray:
        """The PSF."""
        image = psf.kernel_image(x=x, y=y)
        return image / image.sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianFilter(AbstractPreconvolution):
    """A circular Gaussian of the PSF's noise-equivalent area, on a stamp of the PSF's size."""

    def profile(self, psf: Psf, *, x: float, y: float) -> FloatArray:
        """The Gaussian."""
        return GaussianPsf(psf.sigma_at(x=x, y=y), psf.size).kernel_image(x=x, y=y)


def can_be_matched(template: Exposure, science: Exposure, filter_: SpatialKernel) -> bool:
    """Whether a kernel that smooths brings a template to the filtered science image: its PSF is not the wider one.

    False where an image has no PSF.
    """
    if science.psf is None or template.psf is None:
        return False
    smooth = ConvolvedPsf(science.psf, filter_)
    return _area(template.psf, science.box) <= _area(smooth, science.box)


def _area(psf: Psf, box: Box) -> float:
    """Noise-equivalent area of a PSF in the middle of a box, in pixels."""

    def image_at(x: float, y: float) -> FloatArray:
        return psf.kernel_image(x=x, y=y)

    image = field_through(image_at, box, cells=3, order=1).at(x=box.x_center, y=box.y_center)
    return float(image.sum() ** 2 / (image**2).sum())


def preconvolve(exposure: Exposure, filter_: SpatialKernel, *, n_threads: int = 1) -> Exposure:
    """An image through a filter, as the fit of a kernel needs it.

    Parameters
    ----------
    exposure
        Science image or template, on the grid of the filter.
    filter_
        From `AbstractPreconvolution.filter`.
    n_threads
        Threads over rows of tiles; they change no bit of the result.

    Returns
    -------
    Exposure
        Filtered pixels, unusable ones filled before; the variance of each pixel and how their noise is correlated; the
        mask, grown by as much of the filter as matters; the PSF of a source on it, √2 times as wide where the filter is
        the exposure's own PSF.
    """
    box = exposure.box
    filled, _ = without_holes(exposure, exposure.masked_image.usable())
    pixels = convolve_pixels(filled, box, filter_, n_threads=n_threads)
    variance = variance_through([(exposure, lambda x, y: filter_.image_at(x=x, y=y))], n_threads=n_threads)
    middle = filter_.image_at(x=box.x_center, y=box.y_center)
    mask = grown(exposure.masked_image.mask, abs(middle), filled, variance)
    return replace(
        exposure,
        masked_image=MaskedImage(pixels, mask, variance, box),
        psf=None if exposure.psf is None else ConvolvedPsf(exposure.psf, filter_),
        noise_correlation=_correlation(middle, exposure.noise_correlation),
    )


def _correlation(kernel: FloatArray, before: FloatArray | None) -> FloatArray:
    """Autocorrelation of noise after a kernel, 1 at the centre, as far as the kernel reaches."""
    half = kernel.shape[0] // 2
    covariance = cropped(noise_covariance(kernel, before), half)
    return np.asarray(covariance / covariance[half, half], dtype=np.float64)
