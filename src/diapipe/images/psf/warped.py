"""WarpedPsf: the PSF of an image that was resampled onto another grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf.base import Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.interpolant import LANCZOS, Interpolant, sampled_at


@dataclass(frozen=True, slots=True, eq=False)
class WarpedPsf(Psf):
    """What a star of the source image looks like after the resampling, drawn exactly as the resampling draws it.

    A star at the centre of a target pixel is put on the source image with the sub-pixel phase it has there and sampled
    by the same interpolant at the positions of the target pixels around it, the map being linearised: the blur of
    the interpolation at that phase is in it.

    Attributes
    ----------
    psf
        PSF of the source image.
    pixel_map
        From target to source positions.
    interpolant
        As it was used on the image.
    """

    psf: Psf
    pixel_map: PixelMap
    interpolant: Interpolant = LANCZOS
    _size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        scale, own = self.pixel_map.scale, self.psf.size
        size = 2 * math.ceil((own // 2) / scale) + 1 if math.isfinite(scale) else own
        object.__setattr__(self, "_size", size)  # asked for at every position, and the scale takes a millisecond

    @property
    def size(self) -> int:
        """Side of the kernel image in target pixels: the source's stamp, rounded up to an odd side."""
        return self._size

    @property
    def is_smooth(self) -> bool:
        """Whether that of the source image is."""
        return self.psf.is_smooth

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The PSF of a star on the centre of the pixel nearest to ``(x, y)``, of unit sum.

        Raises
        ------
        PsfUndefinedError
            If the position has none on the source image.
        """
        x_pixel, y_pixel = math.floor(x + 0.5), math.floor(y + 0.5)
        source_x, source_y = (float(value) for value in self.pixel_map.at(x=x_pixel, y=y_pixel))
        if not (math.isfinite(source_x) and math.isfinite(source_y)):
            raise PsfUndefinedError(f"({x:.1f}, {y:.1f}) lies nowhere on the image that the PSF comes from")
        star = self.psf.image_at(x=source_x, y=source_y)
        half = self.size // 2
        offset = np.arange(-half, half + 1, dtype=np.float64)
        dx, dy = np.meshgrid(offset, offset)
        affine = self.pixel_map.affine_at(x=x_pixel, y=y_pixel)
        middle = self.psf.size // 2
        column = middle + source_x - math.floor(source_x + 0.5) + affine[0, 0] * dx + affine[0, 1] * dy
        row = middle + source_y - math.floor(source_y + 0.5) + affine[1, 0] * dx + affine[1, 1] * dy
        image = sampled_at(star, self.interpolant, x=column, y=row)
        return image / image.sum()
