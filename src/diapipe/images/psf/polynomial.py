"""PolynomialPsf: an image whose pixels are polynomials of the position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.fields import ImageField
from diapipe.images.psf.base import Psf
from diapipe.numerics.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class PolynomialPsf(Psf):
    """A PSF on the pixel grid with polynomial variation, clamped to the region it was fitted over."""

    field: ImageField

    @classmethod
    def constant(cls, image: FloatArray, box: Box) -> PolynomialPsf:
        """The same image everywhere; square with an odd side."""
        return cls(ImageField(np.asarray(image, dtype=np.float64)[None], box))

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels."""
        return self.field.size

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The image at a position, normalised to unit sum; outside its region the value at the nearest border."""
        box = self.field.box
        image = self.field.at(x=min(max(x, box.x0 - 0.5), box.x1 - 0.5), y=min(max(y, box.y0 - 0.5), box.y1 - 0.5))
        total = image.sum()
        if not total > 0:
            raise PsfUndefinedError(
                f"the PSF model has sum {total:.3g} at ({x:.1f}, {y:.1f}); a positive sum is needed"
            )
        return image / total
