"""AbstractSubtractor: how two images and what the stars said of them become a difference."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import Psf
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """What is subtracted, and how the match found the images to be related: reference ≈ kernel ⊗ target + background.

    Attributes
    ----------
    science, template
        On one grid, with PSFs.
    kernel, background, convolved, relative_error, stars
        As in `diapipe.steps.subtract.subtract`.
    """

    science: Exposure
    template: Exposure
    kernel: SpatialKernel
    background: ChebyshevField
    convolved: str
    relative_error: float = 0.0
    stars: tuple[FloatArray, FloatArray] | None = None

    @property
    def target(self) -> Exposure:
        """The image that the kernel applies to."""
        return self.template if self.convolved == "template" else self.science

    @property
    def reference(self) -> Exposure:
        """The image that it is matched to."""
        return self.science if self.convolved == "template" else self.template


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subtracted:
    """Pixels of a difference before its level and its noise are looked at.

    Attributes
    ----------
    pixels, mask, variance
        On the science image's grid and flux scale; the variance is positive.
    bad
        Indices, in the flattened array, of the pixels that one of the images has not.
    psf
        Of a source on the difference.
    matched_template
        The template as it was subtracted.
    whitening, template_filter, relative_error
        As in `Difference`.
    """

    pixels: Float32Array
    mask: MaskArray
    variance: Float32Array
    bad: IntArray
    psf: Psf
    matched_template: MaskedImage
    whitening: SpatialKernel | None = None
    template_filter: SpatialKernel | None = None
    relative_error: float = 0.0


class AbstractSubtractor(Limited, ABC):
    """Makes the pixels of a difference, with mask, variance and PSF."""

    whitens: ClassVar[bool]
    """Whether its differences have white noise without a kernel that whitens them afterwards."""

    @abstractmethod
    def subtracted(self, pair: Pair, *, whitening: SpatialKernel | None, n_threads: int) -> Subtracted:
        """Science minus template; ``whitening`` is to be convolved with the difference, or None."""
