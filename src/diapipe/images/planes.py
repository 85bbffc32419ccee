"""The planes of an image as the kernels want them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import Float32Array, MaskArray


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """C-contiguous planes of an image, whatever box it was cut by."""

    image: Float32Array
    mask: MaskArray
    variance: Float32Array
    box: Box

    @classmethod
    def of(cls, image: MaskedImage) -> Planes:
        """Planes of an image, copied only where it is a cut-out."""
        return cls(
            np.ascontiguousarray(image.image),
            np.ascontiguousarray(image.mask),
            np.ascontiguousarray(image.variance),
            image.box,
        )

    @property
    def arrays(self) -> tuple[Float32Array, MaskArray, Float32Array]:
        """Image, mask and variance."""
        return self.image, self.mask, self.variance
