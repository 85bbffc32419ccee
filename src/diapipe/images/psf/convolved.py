"""ConvolvedPsf: another PSF seen through a spatially varying kernel, as on a whitened difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from diapipe.images.kernel import SpatialKernel
from diapipe.images.psf.base import Psf, PsfLayer
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.small_convolution import convolved_in_full


@dataclass(frozen=True, slots=True, eq=False)
class ConvolvedPsf(Psf):
    """PSF ⊗ kernel at every position, on the PSF's own stamp.

    The kernel must have unit sum. What it carries beyond the stamp is cut off and not made up for: a flux fitted
    with the cut image is then right, while one fitted with a renormalised image would be low by the part that was
    lost.

    Attributes
    ----------
    psf
        The PSF before the convolution.
    kernel
        What the image was convolved with.
    """

    psf: Psf
    kernel: SpatialKernel

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels: that of the PSF."""
        return self.psf.size

    @property
    def is_smooth(self) -> bool:
        """Whether the PSF before the convolution is."""
        return self.psf.is_smooth

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The convolved image at a position; its sum is one, less what lies outside the stamp."""
        return self._seen(self.psf.kernel_image(x=x, y=y), x, y)

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """Those before the convolution, through the kernel."""
        inner = self.psf.layers(x=x, y=y)
        return None if inner is None else [self._layer(layer) for layer in inner]

    def _layer(self, inner: PsfLayer) -> PsfLayer:
        return replace(inner, images_at=lambda x, y: self._seen(inner.images_at(x, y), x, y))

    def _seen(self, images: FloatArray, x: float, y: float) -> FloatArray:
        """One or several images through the kernel, on their own stamps."""
        wide, margin = convolved_in_full(images, self.kernel.image_at(x=x, y=y)), self.kernel.half
        inside = slice(margin, margin + self.size)
        return np.asarray(wide[..., inside, inside], dtype=np.float64)
