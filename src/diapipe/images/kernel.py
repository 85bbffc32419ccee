"""SpatialKernel: the matching kernel at every position of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.images.fields import ImageField, scaled_coordinates
from diapipe.numerics.arrays import FloatArray, RealArray
from diapipe.numerics.polynomials import leverage


@dataclass(frozen=True, slots=True, eq=False)
class SpatialKernel:
    """A convolution kernel that varies smoothly: K(u, v; x, y), with (K * I)(x) = Σ_u K(u; x) I(x - u).

    True convolution: the kernel image of a star is the star moved by the kernel's own centroid.
    """

    field: ImageField

    @classmethod
    def constant(cls, image: FloatArray, box: Box) -> SpatialKernel:
        """The same kernel image everywhere; ``image`` is square with an odd side."""
        return cls(ImageField(np.asarray(image, dtype=np.float64)[None], box))

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels, odd."""
        return self.field.size

    @property
    def half(self) -> int:
        """Pixels from the centre of the kernel image to its border."""
        return self.field.size // 2

    @property
    def box(self) -> Box:
        """Region over which the kernel was fitted."""
        return self.field.box

    def image_at(self, *, x: float, y: float) -> FloatArray:
        """Kernel image at a position; shape (size, size)."""
        return self.field.at(x=x, y=y)

    def sum_at(self, *, x: float, y: float) -> float:
        """Sum of the kernel image: the flux scale there."""
        return float(self.image_at(x=x, y=y).sum())

    @property
    def sum(self) -> float:
        """Sum of the kernel at the centre of its region (everywhere, where the fit keeps it constant)."""
        return self.sum_at(x=self.box.x_center, y=self.box.y_center)

    def leverage_at(self, *, x: RealArray, y: RealArray) -> FloatArray:
        """`diapipe.numerics.polynomials.leverage` of a fit of its order; the shape of ``x``.

        Positions beyond the borders count as on them, and those that are none as the middle.
        """
        u, v = (np.clip(np.nan_to_num(t), -1.0, 1.0) for t in scaled_coordinates(self.box, x=x, y=y))
        return leverage(u, v, self.field.order)

    @property
    def normalized(self) -> SpatialKernel:
        """The same kernel with `sum` 1."""
        return SpatialKernel(ImageField(self.field.images / self.sum, self.field.box))
